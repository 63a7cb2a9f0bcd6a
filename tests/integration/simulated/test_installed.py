"""Test the installed tarball by its collection name, with the inventory of README."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.spec import INFO_SPEC

from tests.support.pki import Ca, spare
from tests.support.prometheus import on_this_machine
from tests.support.simulation import ROOT, Simulation

PROGRAMS = Path(sys.executable).parent
README = (ROOT / "README.md").read_text()
MODULES = sorted(path.stem for path in (ROOT / "plugins/modules").glob("*.py"))
ENTRIES = yaml.safe_load((ROOT / "roles/kube_scheduler/meta/argument_specs.yml").read_text())[
    "argument_specs"
]
PLAYBOOKS = sorted(path.stem for path in (ROOT / "playbooks").glob("[!_]*.yml"))


@dataclass
class Installed:
    tarball: Path
    collections: Path

    @property
    def root(self) -> Path:
        return self.collections / "ansible_collections/kube_ha/scheduler"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the tarball that TARBALL names.

    If TARBALL is not set, install a tarball that is built from this clone.
    """
    folder = tmp_path_factory.mktemp("installed")
    galaxy: list[str | Path] = [PROGRAMS / "ansible-galaxy", "collection"]
    if "TARBALL" not in os.environ:
        subprocess.run(
            [*galaxy, "build", ROOT, "--output-path", folder], check=True, capture_output=True
        )
    tarball = (
        Path(os.environ["TARBALL"]) if "TARBALL" in os.environ else next(folder.glob("*.tar.gz"))
    )
    found = Installed(tarball, folder / "collections")
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(found.collections),
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
    }
    subprocess.run(
        [*galaxy, "install", "--offline", tarball],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
    )
    return found


@pytest.fixture
def cluster(installed: Installed, tmp_path: Path) -> Simulation:
    """Return the hosts of the inventory in README, with the connection and the CA of this test."""
    text = next(
        block
        for block in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
        if "kube_masters:" in block
    )
    found = Simulation(
        tmp_path, {"kube_masters": list(yaml.safe_load(text)["kube_masters"]["hosts"])}
    )
    found.inventory = tmp_path / "readme.yml"
    found.inventory.write_text(text)
    found.variables = {
        name: value for name, value in found.variables.items() if re.match("ansible_|.*_ca_", name)
    }
    found.collections, found.cwd = installed.collections, tmp_path
    return found


def test_tarball_contains_only_what_users_need(installed: Installed) -> None:
    with tarfile.open(installed.tarball) as archive:
        names = {name.rstrip("/") for name in archive.getnames()}
    for name in (
        *("README.md", "LICENSE", "SECURITY.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md"),
        *(
            "meta/runtime.yml",
            "meta/execution-environment.yml",
            "meta/requirements.txt",
            "meta/bindep.txt",
        ),
        *(
            "changelogs/changelog.yaml",
            "roles/kube_scheduler/README.md",
            "docs/security.md",
            "tests/config.yml",
        ),
        *("inventory/hosts.yml", "inventory/group_vars/kube_masters.yml"),
        *(f"playbooks/{name}.yml" for name in PLAYBOOKS),
        *(f"plugins/modules/{name}.py" for name in MODULES),
    ):
        assert name in names, name
    assert "TARBALL" not in os.environ or "CHANGELOG.rst" in names
    top = {name.partition("/")[0] for name in names}
    ours = {"lab", "molecule", "requirements", "Makefile", "pyproject.toml", "ansible.cfg", "dist"}
    assert not top & ours
    assert {name for name in names if name.startswith("tests/")} == {"tests/config.yml"}
    assert not [name for name in names if "__pycache__" in name or re.search(r"(^|/)\.", name)]


def test_execution_environment_finds_its_requirements(installed: Installed) -> None:
    """ansible-builder reads the requirements from the root of the installed collection."""
    told = yaml.safe_load((installed.root / "meta/execution-environment.yml").read_text())[
        "dependencies"
    ]
    for path in told.values():
        assert (installed.root / path).read_text().strip(), path


def test_installed_pages_have_no_dead_links(installed: Installed) -> None:
    """No page has a dead link.

    Galaxy displays only README, so its links are absolute. All other links stay within the tarball.
    """
    repository = re.compile(
        "https://(?:github.com/kube-ha/scheduler/blob|raw.githubusercontent.com/kube-ha/scheduler)/main/"
    )
    for page in installed.root.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
            if found := repository.match(target):
                assert (ROOT / target[found.end() :]).exists(), f"{page.name}: {target}"
            elif not target.startswith(("https://", "mailto:")):
                assert page != installed.root / "README.md", f"{target} is relative"
                assert (page.parent / target).exists(), (
                    f"{page.relative_to(installed.root)}: {target}"
                )


@pytest.mark.cores
def test_readme_inventory_works_from_another_directory(cluster: Simulation) -> None:
    for name in cluster.answers:
        cluster.empty(name)
    run = cluster.run("kube_ha.scheduler.site", "--check", "--diff")
    assert run.code == 0, run.output
    assert all({"gather", "drift"} <= set(calls) for calls in run.calls.values())
    # Up to ansible-core 2.18, null becomes "", which the module does not accept as a dictionary.
    for name in cluster.answers:
        for options in run.options(name, "scheduler_info"):
            assert ArgumentSpecValidator(INFO_SPEC).validate(options).error_messages == []


@pytest.mark.cores
def test_installed_collection_reports_the_status(cluster: Simulation) -> None:
    run = cluster.run("kube_ha.scheduler.status")
    assert run.code == 0, run.output
    assert not re.search(r"\[(WARNING|DEPRECATION)", run.output), run.output
    leader = next(iter(cluster.answers))
    assert re.search(rf"{leader} +1\.37\.2 +active +yes +\* ", run.output)


@pytest.mark.cores
def test_ansible_doc_lists_all_modules_and_entry_points(cluster: Simulation) -> None:
    def told(kind: str, *names: str) -> dict[str, dict[str, object]]:
        asked = [f"kube_ha.scheduler.{name}" for name in names]
        done = subprocess.run(
            [PROGRAMS / "ansible-doc", "--json", "--type", kind, *asked],
            cwd=cluster.cwd,
            env=cluster.environment(),
            capture_output=True,
            text=True,
            check=True,
            timeout=600,
        )
        # When ansible-core 2.20 searches roles, it warns about one of its own collections.
        assert [
            line for line in done.stderr.splitlines() if "/ansible/_protomatter' " not in line
        ] == []
        found: dict[str, dict[str, object]] = json.loads(done.stdout)
        return found

    modules = told("module", *MODULES)
    assert set(modules) == {f"kube_ha.scheduler.{name}" for name in MODULES}
    assert all(set(entry) >= {"doc", "examples", "return"} for entry in modules.values())
    [role] = told("role", "kube_scheduler").values()
    assert set(role["entry_points"]) == set(ENTRIES)  # type: ignore[call-overload]


def test_larger_playbook_example_runs(installed: Installed, tmp_path: Path) -> None:
    """The example in docs/inclusion.md is an unchanged copy of docs/examples/cluster.yml."""
    example = (installed.root / "docs/examples/cluster.yml").read_text()
    [shown] = re.findall(
        r"```yaml\n(.*?)```", (installed.root / "docs/inclusion.md").read_text(), re.DOTALL
    )
    assert shown in example
    cluster = Simulation(tmp_path, {"control_plane": ["m1", "m2", "m3"]})
    cluster.collections, cluster.cwd = installed.collections, tmp_path
    for name in cluster.answers:
        cluster.answers[name]["leader_info"] = {"changed": False, "holder": "m1.example"}
    cluster.variables["cluster_pki"] = str(tmp_path)
    (tmp_path / "cluster.yml").write_text(example)
    run = cluster.run("cluster.yml")
    assert run.code == 0, run.output
    assert "m1.example leads; deploy the add-ons here" in run.output
    assert [calls[-2:] for calls in run.calls.values()] == [
        ["drift", "leader_info"],
        ["gather", "drift"],
        ["gather", "drift"],
    ]
    run = cluster.run("cluster.yml", "--tags=scheduler", "--check", "--diff")
    assert run.code == 0, run.output
    assert set(map(tuple, run.calls.values())) == {("gather", "drift")}


# --- the pages


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = sorted(
    {
        line.partition(" #")[0].strip()
        for page in PAGES
        for line in re.findall(
            r"(?:^ +|`)(ansible-playbook -i inventory[^`\n]*)", page.read_text(), re.MULTILINE
        )
    }
)
# The replacements cover prompts, values that exist only in a lab, and names that differ between the
# pages and this test.
MEANS = {
    r"playbooks/(\w+)\.yml": r"kube_ha.scheduler.\1",
    r"[][]": "",
    "=PATH": "=./report",
    r"cluster_\w:cluster_\w": "kube_masters",
    "/var/lib/(kube-ha-controller|prometheus/node-exporter)/": "./",
    r"\b(HOST|m3)\b": "kube-node3",
    r"(kube_ha\.scheduler\.uninstall(?!.*(limit|confirm)).*)": r"\1 -e kube_scheduler_confirm=all",
    r"(kube_ha\.scheduler\.uninstall.*limit.*)": r"\1 -e kube_scheduler_confirm=yes",
    r"(kube_ha\.scheduler\.drill.*)": r"\1 -e drill_confirm=yes -e kube_scheduler_admin_kubeconfig=/dev/null",
    "kube_scheduler_name=batch-scheduler": "kube_scheduler_name=kube-scheduler",
    r"(rotate=ca)": r"\1 -e kube_scheduler_new_ca_cert={folder}/next.pem -e kube_scheduler_new_ca_key={folder}/next-key.pem",
    r"(kube_ha\.scheduler\.monitoring.*)": r"\1 -e kube_scheduler_bind_address=0.0.0.0",
}


def test_pages_contain_commands() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.nightly
@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_the_pages_runs(command: str, cluster: Simulation) -> None:
    """Each command of the pages runs on healthy hosts in check mode.

    Its playbook and its variables therefore exist.
    """
    for pattern, replacement in MEANS.items():
        command = re.sub(pattern, replacement, command)
    Ca(cluster.folder, key=spare("ECC", number=5), name="next")
    _program, _option, inventory, *words = shlex.split(
        command.replace("{folder}", str(cluster.folder))
    )
    beside = cluster.folder if inventory.endswith(".yml") else cluster.folder / inventory
    beside.mkdir(exist_ok=True)
    (cluster.folder / "cluster.yml").write_text(
        "[{import_playbook: kube_ha.scheduler.site, tags: scheduler}]"
    )
    (cluster.folder / "batch.yml").write_text("{kube_scheduler_secure_port: 10260}")
    for answer in cluster.answers.values():
        answer["scheduler_fileset"] |= {
            "version": "1.37.2",
            "not_after": "2036-01-01T00:00:00+00:00",
        }
        answer["gather"]["apiserver"] |= {"next_accepted": True, "next_serves": True}
    [ours] = cluster.lay_out()[1:]
    told = yaml.safe_load(ours.read_text())["all"]["children"]["kube_masters"]["hosts"]
    (beside / "host_vars").mkdir()
    for name, variables in told.items():
        (beside / f"host_vars/{name}.yml").write_text(json.dumps(variables))
    (cluster.folder / "prometheus").mkdir()
    watching = on_this_machine(cluster.folder / "prometheus")
    groups = {"prometheus": {"hosts": {"p1": watching}}, "observers": {"hosts": {"p1": None}}}
    (beside / "monitoring.yml").write_text(yaml.safe_dump(groups))
    assert cluster.inventory
    (beside / "inventory.yml").write_text(cluster.inventory.read_text())
    run = cluster.call([PROGRAMS / "ansible-playbook", "-i", inventory, *words, "--check"])
    assert run.code == 0, run.output
    assert not re.search(r"\[(WARNING|DEPRECATION).*", run.output), run.output
