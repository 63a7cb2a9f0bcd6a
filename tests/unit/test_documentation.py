"""Compare the documentation with the code: modules, role, pages."""

from __future__ import annotations

import importlib
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils import basic
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import monitoring
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import (
    MONITORING_ALERTS_SPEC,
    MONITORING_SPEC,
)

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles/kube_scheduler"
PHASES = ("preflight", "install", "credentials", "configure", "rollout", "verify")
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))


class CapturedError(Exception):
    pass


def spec_of(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, dict[str, Any]]:
    module = importlib.import_module(
        f"ansible_collections.kube_ha.scheduler.plugins.modules.{name}"
    )
    captured: dict[str, Any] = {}

    class Spy:
        def __init__(self, argument_spec: dict[str, Any], **options: Any) -> None:
            captured.update(spec=argument_spec, **options)
            raise CapturedError

    monkeypatch.setattr(module, "AnsibleModule", Spy)
    with pytest.raises(CapturedError):
        module.main()
    return module, captured


def compare(documented: dict[str, Any], spec: dict[str, Any], where: str) -> None:
    assert set(documented) == set(spec), where
    for name, option in spec.items():
        documented_option = documented[name]
        place = f"{where}.{name}"
        assert documented_option.get("type", "str") == option.get("type", "str"), place
        assert documented_option.get("elements") == option.get("elements"), place
        assert documented_option.get("default") == option.get("default"), place
        assert documented_option.get("choices") == (
            list(option["choices"]) if "choices" in option else None
        ), place
        assert documented_option.get("required", False) == option.get("required", False), place
        assert documented_option.get("description"), place
        if "options" in option:
            compare(
                documented_option.get("suboptions") or documented_option["options"],
                option["options"],
                place,
            )


def returned(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in values.items():
        yield f"{path}{name}", value
        yield from returned(value.get("contains", {}), f"{path}{name}.")


def fragment_options(documentation: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a module documents through doc fragments of this collection."""
    options: dict[str, Any] = {}
    for fragment in documentation["extends_documentation_fragment"]:
        if not fragment.startswith("kube_ha.scheduler."):
            continue
        file, _dot, part = fragment.removeprefix("kube_ha.scheduler.").partition(".")
        module = importlib.import_module(
            f"ansible_collections.kube_ha.scheduler.plugins.doc_fragments.{file}"
        )
        text = getattr(module.ModuleDocFragment, part.upper() or "DOCUMENTATION")
        options |= yaml.safe_load(text).get("options", {})
    return options


@pytest.mark.parametrize("name", MODULES)
def test_module_documentation_matches_its_spec(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, captured = spec_of(name, monkeypatch)
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["module"] == name
    assert captured["supports_check_mode"] is True
    spec = captured["spec"]
    # The documentation of Ansible describes the file options.
    own_options = {
        option: documented_option
        for option, documented_option in {
            **fragment_options(documentation),
            **documentation["options"],
        }.items()
        if option not in basic.FILE_COMMON_ARGUMENTS
    }
    compare(
        own_options,
        {
            option: value
            for option, value in spec.items()
            if option not in basic.FILE_COMMON_ARGUMENTS
        },
        name,
    )
    assert documentation["seealso"]
    for path, value in returned(yaml.safe_load(module.RETURN)):
        assert value["description"], path
        assert value["type"] == "bool" or "sample" in value or "contains" in value, (
            f"{path}: give a sample"
        )
    for task in yaml.safe_load(module.EXAMPLES):
        used = task.get(f"kube_ha.scheduler.{name}")
        if isinstance(used, dict):
            assert set(used) <= set(spec) | set(basic.FILE_COMMON_ARGUMENTS), task["name"]


def shipped_yaml() -> Iterator[tuple[str, Any]]:
    """Yield the YAML documents of files and pages, with their paths."""
    for folder in (
        "roles",
        "playbooks",
        "docs",
        "inventory",
        "molecule",
        "tests/integration/targets",
    ):
        for path in sorted((ROOT / folder).rglob("*.yml")):
            for part in yaml.safe_load_all(path.read_text()):
                yield str(path.relative_to(ROOT)), part
    for path in [
        ROOT / "README.md",
        *sorted((ROOT / "docs").glob("*.md")),
        *sorted(ROLE.glob("*.md")),
    ]:
        for block in re.findall(
            r"^ *```yaml\n(.*?)^ *```", path.read_text(), re.DOTALL | re.MULTILINE
        ):
            for part in yaml.safe_load_all(textwrap.dedent(block)):
                yield path.name, part


def calls(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each call of a module of this collection, with its arguments."""
    if isinstance(value, dict):
        for key, entry in value.items():
            name = str(key).removeprefix("kube_ha.scheduler.")
            if name in MODULES and name != key and isinstance(entry, dict):
                yield name, entry
            yield from calls(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from calls(entry)


def test_arguments_in_yaml_match_the_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The arguments in YAML match the specs.

    The rule `args` of ansible-lint skips modules with an action plugin.
    """
    specs = {name: spec_of(name, monkeypatch)[1] for name in MODULES}
    checked = set()
    for where, part in shipped_yaml():
        for name, given in calls(part):
            captured, place = specs[name], f"{where}: {name}"
            spec = captured["spec"]
            accepted = set(spec) | (
                set(basic.FILE_COMMON_ARGUMENTS) if captured.get("add_file_common_args") else set()
            )
            assert set(given) <= accepted | {
                alias for option in spec.values() for alias in option.get("aliases", ())
            }, place
            assert {option for option, rule in spec.items() if rule.get("required")} <= set(
                given
            ), place
            for option, value in given.items():
                choices = spec.get(option, {}).get("choices")
                assert not choices or value in choices or "{{" in str(value), (
                    f"{place}: {option}: {value}"
                )
            checked.add(name)
    # The role runs kubeconfig through scheduler_credentials.
    assert checked == set(MODULES) - {"kubeconfig"}


def load(path: str) -> Any:
    return yaml.safe_load((ROLE / path).read_text())


def test_role_defaults_match_their_spec() -> None:
    defaults = load("defaults/main.yml")
    options = load("meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: option["default"] for name, option in options.items()} == defaults
    for name, option in options.items():
        assert name.startswith("kube_scheduler_")
        assert option["description"]


def test_every_variable_has_an_example() -> None:
    """A choice, a boolean or a default that is not empty counts as an example."""
    for spec in load("meta/argument_specs.yml")["argument_specs"].values():
        for name, option in spec["options"].items():
            description = " ".join(
                [option["description"]]
                if isinstance(option["description"], str)
                else option["description"]
            )
            if option["type"] != "bool" and "choices" not in option and not option.get("default"):
                assert re.search(r"\bas [VC]\(", description), f"{name}: give an example"
            if re.search(r"_(before|duration|deadline|period|for)$", name):
                assert re.search(r"Go duration|seconds", description), f"{name}: give the unit"


def test_every_entry_point_takes_the_variables() -> None:
    specs = load("meta/argument_specs.yml")["argument_specs"]
    entries = {path.stem for path in (ROLE / "tasks").glob("*.yml")} & {
        "main",
        "status",
        "drill",
        "rollback",
        "rotate",
        "monitored",
        "monitoring",
        *PHASES,
    }
    assert set(specs) == entries
    compare(specs["monitoring"]["options"], MONITORING_SPEC, "monitoring")
    # The entry point monitoring has separate variables.
    for name, spec in [entry for entry in specs.items() if entry[0] != "monitoring"]:
        entry_options = {
            option
            for option in spec["options"]
            if name in ("drill", "rotate", "status") and option not in specs["main"]["options"]
        }
        assert {k: v for k, v in spec["options"].items() if k not in entry_options} == specs[
            "main"
        ]["options"], name
        assert spec["short_description"], name


def test_every_variable_of_the_role_is_used() -> None:
    tasks = "".join(
        path.read_text()
        for folder in ("tasks", "templates", "vars")
        for path in (ROLE / folder).rglob("*.*")
    )
    code = "".join(
        path.read_text() for path in (ROOT / "plugins").rglob("*.py") if path.name != "variables.py"
    )
    # variables.py uses the election times by these names.
    code += "".join(
        f'"{name}"' for name in ("lease_preset", "lease_duration", "renew_deadline", "retry_period")
    )
    for name in load("defaults/main.yml"):
        short = name.removeprefix("kube_scheduler_")
        assert re.search(
            rf"\bv\.{short}\b|variables\.{short}\b|\b{name}\b|\"{short}\"", tasks + code
        ), name
    for path in (ROLE / "vars/main").glob("*.yml"):
        for name in yaml.safe_load(path.read_text()):
            assert name.startswith("__kube_scheduler_"), name
            assert tasks.count(name) > 1, name


def test_private_variables_are_few() -> None:
    text = "".join(
        path.read_text()
        for folder in (ROLE, ROOT / "playbooks")
        for path in folder.rglob("*.*")
        if path.is_file()
    )
    assert len(set(re.findall(r"__kube_scheduler_[a-z_]+", text))) < 30


def test_every_option_has_a_test() -> None:
    tests = "".join(path.read_text() for path in (ROOT / "molecule").rglob("*.py"))
    folder = ROOT / "tests/unit/plugins/module_utils/_scheduler/decide"
    unit = "".join(
        (folder / f"test_{name}.py").read_text()
        for name in ("variables", "variable_rules", "host_rules")
    )
    for name in load("defaults/main.yml"):
        short = name.removeprefix("kube_scheduler_")
        assert name in tests or f'"{short}"' in unit or name == "kube_scheduler_state", name


@pytest.mark.parametrize(
    ("page", "least"),
    [("security", 50), ("upgrade", 9), ("comparison", 15), ("scale", 2), ("inclusion", 0)],
)
def test_page_names_existing_tests(page: str, least: int) -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)(?:\.py)?`", (ROOT / f"docs/{page}.md").read_text()))
    files = [
        path for folder in ("tests", "molecule") for path in (ROOT / folder).rglob("test_*.py")
    ]
    known = {path.stem for path in files}
    for path in files:
        known.update(re.findall(r"^def (test_\w+)\(", path.read_text(), re.MULTILINE))
    assert len(named) > least
    assert named <= known, sorted(named - known)


def test_each_party_of_the_security_page_has_tests() -> None:
    page = (ROOT / "docs/security.md").read_text()
    section = page.split("## Who can do what\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ")][1:]
    parties = {party.strip(): re.findall(r"`test_\w+`", tests) for party, _effect, tests in rows}
    assert {
        "A control-plane host",
        "A worker of the same inventory",
        "The Prometheus host",
        "A local user of a host",
        "A container on a host",
    } <= set(parties)
    assert all(parties.values()), parties


def test_decisions_in_the_architecture_page_name_existing_functions() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| [^|]+ \| (`(?:_|plugins)[^|]+) \| (`[^|]+) \|$", page, re.MULTILINE)
    assert len(rows) > 30
    for files, functions in rows:
        paths = re.findall(r"`([\w/]+\.py)`", files)
        code = "".join(
            (
                ROOT / ("" if path.startswith("plugins") else "plugins/module_utils") / path
            ).read_text()
            for path in paths
        )
        for name in re.findall(r"`(\w+)`", functions):
            assert re.search(rf"^(?:(?:def|class) )?{name}\b", code, re.MULTILINE), (paths, name)


def test_architecture_page_names_existing_files_and_functions() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    folders = ("plugins", "roles", "playbooks", "tests", "inventory", "lab")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    paths = {str(path) for path in files}
    for name in re.findall(r"`((?:[\w.]+/)*\w+\.(?:py|yml|j2))`", page):
        assert any(path.endswith(f"/{name}") for path in paths), name
    code = "".join(path.read_text() for path in files if path.suffix == ".py")
    journeys = page[page.index("## Journey of a variable") :]
    for name in re.findall(r"`([a-z]+_[a-z_]+)`", journeys):
        known = name in code or any(name in path for path in paths)
        assert known or name.startswith("kube_scheduler_"), name


def test_each_alert_has_a_section() -> None:
    """Each alert has a section.

    Alerts link to anchors, which GitHub derives from headings.
    """
    headings = re.findall(
        r"^## (.+)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE
    )
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings
    }
    assert {section for _severity, section in monitoring.ALERT_PROPERTIES.values()} <= anchors
    page = (ROOT / "docs/monitoring.md").read_text()
    assert re.findall(r"^\| `KubeScheduler(\w+)`", page, re.MULTILINE) == list(
        monitoring.ALERT_PROPERTIES
    )
    assert set(re.findall(r"`alerts: (\w+)`", page)) == set(MONITORING_ALERTS_SPEC)
