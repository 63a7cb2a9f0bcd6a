"""Test the import rules: dependencies go one way, and no file imports from the other side.

The sides are controller and host. docs/architecture.md, section "Layers", explains the rules.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLLECTION = "ansible_collections.kube_ha.scheduler."
MODULE_UTILS = "plugins.module_utils."

# The list starts with the lowest layer. A file imports only its own layer and lower layers.
LAYERS = (
    "_errors",
    "_libraries",
    "_numbers",
    "_yaml_limits",
    "_durations",
    "_secrets",
    "_files",
    "_x509",
    "_kube",
    "_scheduler",
)
SHARED_FILES = {"facts", "markup", "masking", "names", "settings", "spec", "text", "versions"}
# The number is the rank of a package in `_scheduler`. A package imports lower ranks only. Packages
# with equal ranks do not import each other.
PACKAGES = {
    "fileset": 1,
    "host": 2,
    "inspect": 3,
    "deploy": 3,
    "decide": 3,
    "report": 4,
    "drill": 4,
}
CONTROLLER, HOST = "controller", "host"
SIDES = {
    "decide": CONTROLLER,
    "report": CONTROLLER,
    "drill": CONTROLLER,
    "fileset": HOST,
    "host": HOST,
    "inspect": HOST,
    "deploy": HOST,
}
# These parts of a drill run on the target host.
FILES_ON_HOSTS = {"drill.fault", "drill.fault_script", "drill.firewall"}
CONTROLLER_PLUGINS = ("plugins.action.", "plugins.plugin_utils.")
HOST_PLUGINS = "plugins.modules."


def module_name(path: PurePosixPath) -> str:
    """Return the dotted name of a file below the collection's root."""
    return ".".join(path.with_suffix("").parts)


def imports(source: str, is_module: frozenset[str]) -> Iterator[str]:
    """Yield the collection's modules that a file imports, at any depth."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(COLLECTION):
            continue
        base = str(node.module).removeprefix(COLLECTION)
        for alias in node.names:
            name = f"{base}.{alias.name}"
            yield name if name in is_module else base


def layer(name: str) -> int:
    """Return the rank of a module below module_utils."""
    return LAYERS.index(name.removeprefix(MODULE_UTILS).split(".")[0])


def scheduler_parts(name: str) -> tuple[str, str]:
    """Return package and file of a module in `_scheduler`. A shared file has no package."""
    package, _dot, file = name.removeprefix(f"{MODULE_UTILS}_scheduler.").rpartition(".")
    return package, file


def side(name: str) -> str:
    """Return the side that a module is limited to, or an empty string for both sides."""
    if name.startswith(CONTROLLER_PLUGINS):
        return CONTROLLER
    if name.startswith(HOST_PLUGINS):
        return HOST
    if not name.startswith(f"{MODULE_UTILS}_scheduler."):
        return ""
    package, file = scheduler_parts(name)
    return HOST if f"{package}.{file}" in FILES_ON_HOSTS else SIDES.get(package, "")


def rank(name: str) -> int:
    """Return the rank of a module in `_scheduler`.

    The rank is -1 for a shared file that is not in SHARED_FILES.
    """
    package, file = scheduler_parts(name)
    if not package:
        return 0 if file in SHARED_FILES else -1
    return PACKAGES.get(package, -1)


def violation(importer: str, imported: str) -> str:  # noqa: PLR0911 - a flat list of rules
    """Return the rule that an import breaks, or an empty string."""
    if {side(importer), side(imported)} == {CONTROLLER, HOST}:
        return "crosses the controller/host line"
    utils = importer.startswith(MODULE_UTILS)
    if not imported.startswith(MODULE_UTILS):
        return "goes up to a plugin" if utils else ""
    if not utils:
        return ""
    if layer(imported) > layer(importer):
        return "goes up"
    if not importer.startswith(f"{MODULE_UTILS}_scheduler.") or layer(imported) < layer(importer):
        return ""
    if scheduler_parts(importer)[0] == scheduler_parts(imported)[0]:
        return ""
    if -1 in (rank(importer), rank(imported)):
        return "concerns a file that no rule names"
    return "" if rank(imported) < rank(importer) else "goes up or to a peer"


def violations(files: dict[str, str]) -> list[str]:
    """Return one line for each import that breaks a rule.

    The keys of the argument are dotted names, and the values are sources.
    """
    known = frozenset(files)
    return [
        f"{name} imports {imported}: {rule}"
        for name, source in sorted(files.items())
        for imported in imports(source, known)
        if (rule := violation(name, imported))
    ]


def sources() -> dict[str, str]:
    """Return the source of each plugin by its dotted name."""
    return {
        module_name(PurePosixPath(path.relative_to(ROOT).as_posix())): path.read_text()
        for path in (ROOT / "plugins").rglob("*.py")
    }


def test_imports_follow_the_rules() -> None:
    assert violations(sources()) == []


@pytest.mark.parametrize(
    ("importer", "imported", "rule"),
    [
        ("_files.paths", "_x509.pem", "goes up"),
        ("_x509.pair", "_kube.lease", "goes up"),
        ("_kube.lease", "_scheduler.facts", "goes up"),
        ("_scheduler.names", "_scheduler.host.proc", "goes up or to a peer"),
        ("_scheduler.fileset.fileset", "_scheduler.host.proc", "goes up or to a peer"),
        ("_scheduler.inspect.info", "_scheduler.deploy.lifecycle", "goes up or to a peer"),
        ("_scheduler.deploy.lifecycle", "_scheduler.inspect.probes", "goes up or to a peer"),
        ("_scheduler.decide.plan", "_scheduler.host.process", "crosses the controller/host line"),
        ("_scheduler.host.proc", "_scheduler.decide.plan", "crosses the controller/host line"),
        (
            "_scheduler.report.status",
            "_scheduler.inspect.health",
            "crosses the controller/host line",
        ),
        ("_scheduler.drill.watch", "_scheduler.drill.fault", "crosses the controller/host line"),
        ("_scheduler.drill.fault", "_scheduler.drill.choice", "crosses the controller/host line"),
    ],
)
def test_each_forbidden_import_is_reported(importer: str, imported: str, rule: str) -> None:
    importer, imported = f"{MODULE_UTILS}{importer}", f"{MODULE_UTILS}{imported}"
    package, _dot, name = imported.rpartition(".")
    for line in (
        f"from {COLLECTION}{package} import {name}",
        f"from {COLLECTION}{imported} import thing",
        f"def later():\n    from {COLLECTION}{package} import {name}",
    ):
        assert violations({importer: line, imported: ""}) == [
            f"{importer} imports {imported}: {rule}"
        ]


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("plugins.action.scheduler_plan", "_scheduler.host.process"),
        ("plugins.plugin_utils._plan", "_scheduler.inspect.info"),
        ("plugins.modules.scheduler_plan", "_scheduler.decide.plan"),
    ],
)
def test_plugin_does_not_import_the_other_side(importer: str, imported: str) -> None:
    imported = f"{MODULE_UTILS}{imported}"
    source = f"from {COLLECTION}{imported} import describe"
    assert violations({importer: source, imported: ""}) == [
        f"{importer} imports {imported}: crosses the controller/host line"
    ]


def test_every_file_of_the_scheduler_has_a_rank() -> None:
    names = [name for name in sources() if name.startswith(f"{MODULE_UTILS}_scheduler.")]
    assert [name for name in names if rank(name) < 0] == []
