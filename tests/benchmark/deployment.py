# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a deployment takes: the walk-through's own commands, a plain role, and this collection, on the same lab in one run.

Usage: python tests/benchmark/deployment.py [--rounds 5] [--masters "3 12"] [--mitogen]     (make bench)
Writes the figures to docs/benchmark.md, where it is said what is compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import floor
import page
import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "benchmark"
LOGS = ROOT / ".cache" / "deployment"
sys.path.insert(0, str(ROOT / "lab"))

import settings as lab_settings  # noqa: E402

OURS, PLAIN, MITOGEN = ROOT / ".venv", ROOT / ".cache" / "bench", ROOT / ".cache" / "bench-mitogen"
NAMES = ("walk-through", "plain role", "this collection")
PATIENCE = 60.0
USER = "k8s"
# What the masters have before the first run of anybody: binary, user, and the libraries that only our modules need.
BINARY_AND_USER = f"""
install -D --mode=0755 /usr/share/lab-binaries/v{{version}}/bin/linux/{{arch}}/kube-scheduler /opt/k8s/bin/kube-scheduler-v{{version}}
id {USER} >/dev/null 2>&1 || useradd --system --create-home --shell /bin/sh {USER}
"""
LIBRARIES = "apt-get -q update && apt-get -q install --yes --no-install-recommends python3-cryptography python3-yaml"
UNTIL_READY = f"timeout {PATIENCE:.0f} sh -c 'until curl -ksf -o /dev/null https://127.0.0.1:10259/readyz; do sleep 0.05; done'"
READY = f"""
set -e
{UNTIL_READY}
systemctl show --property=MainPID --value kube-scheduler
"""
# Prints the milliseconds.
START = f"""
set -e
started=$(date +%s%N)
systemctl start kube-scheduler
{UNTIL_READY}
echo $((($(date +%s%N) - started) / 1000000))
"""


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    seconds: float
    phases: Mapping[str, float] = field(default_factory=dict)
    tasks: int = 0  # of the host that has most of them
    modules: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Round:
    """A first run, and the next one with nothing to do."""

    first: Run
    led: float  # from the start of the first run until a scheduler holds the lease
    again: Run
    restarted: int  # schedulers that the second run restarted


class Masters:
    """The lab's masters, and how a person reaches them."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings = lab_settings.read(environment, ROOT)
        self.state = self.settings.state
        self.inventory = self.state / "inventory.yml"
        group = yaml.safe_load(self.inventory.read_text())["kube_masters"]
        self.addresses = [host["ansible_host"] for host in group["hosts"].values()]
        self.apiserver = next(iter(group["hosts"].values()))["kube_scheduler_apiserver"]
        options = [
            word for word in shlex.split(group["vars"]["ansible_ssh_common_args"]) if word != "-o"
        ]
        options += [
            f"IdentityFile={group['vars']['ansible_ssh_private_key_file']}",
            "BatchMode=yes",
        ]
        self.ssh_config = LOGS / "ssh_config"
        self.ssh_config.write_text(
            "".join(f"{option.replace('=', ' ', 1)}\n" for option in options)
        )
        settings = self.settings
        self.kubectl = (
            settings.served / f"v{settings.version}" / "bin" / "linux" / settings.arch / "kubectl"
        )

    def on_all(self, script: str, *words: str) -> list[str]:
        def on(address: str) -> str:
            command = [
                "ssh",
                "-F",
                str(self.ssh_config),
                f"root@{address}",
                shlex.join(["sh", "-s", "--", *words]),
            ]
            return output(command, stdin=script)

        with ThreadPoolExecutor(len(self.addresses)) as pool:
            return list(pool.map(on, self.addresses))

    def prepare(self) -> float:
        """Returns the seconds that our libraries took."""
        self.on_all(BINARY_AND_USER.format(version=self.settings.version, arch=self.settings.arch))
        started = time.monotonic()
        self.on_all(LIBRARIES)
        return time.monotonic() - started

    def reset(self, owner: str, link: bool) -> None:
        self.on_all(
            (HERE / "reset.sh").read_text(), self.settings.version, owner, "yes" if link else "no"
        )
        self.delete_lease()

    def delete_lease(self) -> None:
        self.ask("delete", "lease", "kube-scheduler", "--ignore-not-found")

    def ask(self, *words: str) -> str:
        admin = f"--kubeconfig={self.state / 'admin.kubeconfig'}"
        return output([str(self.kubectl), admin, "--namespace=kube-system", *words])

    def wait_for_leader(self) -> None:
        holder = "--output=jsonpath={.spec.holderIdentity}"
        deadline = time.monotonic() + PATIENCE
        while not self.ask("get", "lease", "kube-scheduler", "--ignore-not-found", holder):
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"no scheduler leads after {PATIENCE:.0f} s: see journalctl -u kube-scheduler on a master"
                )
            time.sleep(0.1)

    def start(self) -> float:
        """Returns the seconds that the schedulers take to become ready when all are started at once and nobody holds the lease."""
        self.on_all("systemctl stop kube-scheduler")
        self.delete_lease()
        return max(map(int, self.on_all(START))) / 1000

    def wait_until_ready(self) -> list[str]:
        """Returns each scheduler's process."""
        return self.on_all(READY)


def output(command: Sequence[str], stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"{shlex.join(command)}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout


@contextlib.contextmanager
def lab(masters: int) -> Iterator[Masters]:
    """A lab for the block; it is gone afterwards."""
    environment = {**os.environ, "LAB_MASTERS": str(masters)}
    program = [sys.executable, str(ROOT / "lab" / "lab.py")]
    subprocess.run([*program, "down"], env=environment, check=True)
    try:
        subprocess.run([*program, "up"], env=environment, check=True)
        yield Masters(environment)
    finally:
        subprocess.run([*program, "down"], env=environment, check=True)


# -- contestants ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contestant:
    name: str
    run: Callable[[Masters, Path], Run]
    owner: str = "root"  # of /etc/kubernetes
    link: bool = True  # whether /opt/k8s/bin/kube-scheduler is there
    mitogen: bool = False

    @property
    def under(self) -> str:
        return ", Mitogen" if self.mitogen else ""

    @property
    def label(self) -> str:
        return f"{self.name}{self.under}"

    def play(self, masters: Masters, folder: Path, number: int) -> Round:
        masters.reset(self.owner, self.link)
        started = time.monotonic()
        first = self.run(masters, folder)
        masters.wait_for_leader()
        led = time.monotonic() - started
        before = masters.wait_until_ready()
        again = self.run(masters, folder)
        restarted = sum(a != b for a, b in zip(before, masters.wait_until_ready()))
        if again.changed:
            raise SystemExit(
                f"{self.label}: its second run changed something, so it is not a no-op: {folder}/log"
            )
        say(
            f"round {number}, {self.label}: first run {first.seconds:.1f} s, no-op {again.seconds:.1f} s"
        )
        return Round(first, led, again, restarted)


def contestants(mitogen: bool) -> list[Contestant]:
    found = [
        Contestant(NAMES[0], walk_through, owner=USER),
        Contestant(NAMES[1], plain_role(PLAIN)),
        Contestant(NAMES[2], ours(OURS), link=False),
    ]
    if mitogen:
        found.append(Contestant(NAMES[1], plain_role(MITOGEN), mitogen=True))
        found.append(Contestant(NAMES[2], ours(MITOGEN), link=False, mitogen=True))
    return found


def walk_through(masters: Masters, folder: Path) -> Run:
    environment = {
        **os.environ,
        "PATH": f"{masters.kubectl.parent}:{os.environ['PATH']}",
        "CA_DIR": str(masters.state),
        "SSH_CONFIG": str(masters.ssh_config),
        "KUBE_APISERVER": masters.apiserver,
        "NODE_IPS": " ".join(masters.addresses),
    }
    return Run(timed([str(HERE / "walk_through.sh")], environment, folder))


def plain_role(venv: Path) -> Callable[[Masters, Path], Run]:
    def run(masters: Masters, folder: Path) -> Run:
        return play(venv, masters, folder, HERE / "plain.yml", f"plain_role_pair_dir={folder}")

    return run


def ours(venv: Path) -> Callable[[Masters, Path], Run]:
    def run(masters: Masters, folder: Path) -> Run:
        return play(
            venv,
            masters,
            folder,
            ROOT / "playbooks" / "site.yml",
            "kube_scheduler_binary_source=present",
        )

    return run


class Floor(NamedTuple):
    """Seconds that Ansible takes for as many module runs and tasks a host as a first run, and a no-op, of ours; the same with our imports; and what the
    schedulers take to start, for which a first run waits."""

    first: float
    again: float
    first_imports: float
    again_imports: float
    start: float


def least(venv: Path, masters: Masters, folder: Path, like: Round) -> Floor:
    def seconds(tasks: int, modules: list[dict[str, Any]]) -> float:
        path = floor.playbook(folder, modules, tasks)
        return play(venv, masters, folder, path, "kube_scheduler_hosts=kube_masters").seconds

    runs = (like.first, floor.FIRST), (like.again, floor.AGAIN)
    if any(run.modules != len(imports) for run, imports in runs):
        raise SystemExit(
            "a first run or a no-op has other module runs than before: see tests/benchmark/floor.py"
        )
    first, again = like.first.tasks, like.again.tasks
    return Floor(
        seconds(first, [floor.PING] * len(floor.FIRST)),
        seconds(again, [floor.PING] * len(floor.AGAIN)),
        seconds(first, floor.FIRST),
        seconds(again, floor.AGAIN),
        masters.start(),
    )


def play(venv: Path, masters: Masters, folder: Path, playbook: Path, variable: str) -> Run:
    """As an operator has it, each time with no connection open from the run before."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        counts, times = Path(name, "counts"), Path(name, "times")
        environment |= {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(Path(name, "cp")),
            "ANSIBLE_CALLBACK_PLUGINS": f"{ROOT / 'tests' / 'callback'}:{HERE / 'callback'}",
            "ANSIBLE_CALLBACKS_ENABLED": "phase_times",
            "ANSIBLE_LIBRARY": str(HERE / "library"),
            "PHASE_TIMES": str(times),
            "COUNT_MODULES": str(counts),
        }
        if venv == MITOGEN:
            (strategies,) = MITOGEN.glob(
                "lib/python*/site-packages/ansible_mitogen/plugins/strategy"
            )
            environment |= {
                "ANSIBLE_STRATEGY": "mitogen_linear",
                "ANSIBLE_STRATEGY_PLUGINS": str(strategies),
            }
        else:  # Mitogen starts modules in a way of its own, which is not counted
            environment["ANSIBLE_CALLBACKS_ENABLED"] += ",count_modules"
            counts.touch()
        program = str(venv / "bin" / "ansible-playbook")
        command = [
            program,
            f"--inventory={masters.inventory}",
            str(playbook),
            f"--extra-vars={variable}",
        ]
        seconds = timed(command, environment, folder, ROOT)
        answer: dict[str, Any] = json.loads(times.read_text())
        hosts = (
            [
                host
                for host, kind, name in (
                    line.split(maxsplit=2) for line in counts.read_text().splitlines()
                )
                if kind == "module" and name != "raw"
            ]
            if counts.exists()
            else []
        )
    return Run(
        seconds=seconds,
        phases=answer["phases"],
        tasks=max(answer["tasks"].values()),
        modules=max((hosts.count(host) for host in set(hosts)), default=0),
        changed=sum(answer["changed"].values()),
    )


def timed(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, cwd: Path | None = None
) -> float:
    log = folder / "log"
    with log.open("a") as sink:
        started = time.monotonic()
        done = subprocess.run(
            command,
            env=environment,
            cwd=cwd or folder,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            check=False,
        )
        seconds = time.monotonic() - started
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-40:]
        raise SystemExit("\n".join([*tail, f"{shlex.join(command)}: exit code {done.returncode}"]))
    return seconds


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


# -- figures -------------------------------------------------------------------------------------------------------------

Results = Mapping[Contestant, Sequence[Round]]


def figures(results: Results, mitogen: bool) -> list[str]:
    """A table: each contestant's medians with least and most, and their ratios."""
    columns = [rounds for contestant, rounds in results.items() if contestant.mitogen == mitogen]
    if mitogen:
        columns.insert(0, next(iter(results.values())))

    def row(label: str, pick: Callable[[Round], float]) -> list[list[str]]:
        measured = [[pick(entry) for entry in rounds] for rounds in columns]
        middle = [statistics.median(values) for values in measured]
        return [
            [
                label,
                *(
                    f"{m:.1f} ({min(values):.1f} to {max(values):.1f})"
                    for m, values in zip(middle, measured)
                ),
            ],
            ["… to the walk-through's", *(f"{value / middle[0]:.2f}" for value in middle)],
            ["… to the plain role's", *(f"{value / middle[1]:.2f}" for value in middle)],
        ]

    def counts(label: str, pick: Callable[[Run], int]) -> list[str]:
        most = [
            [max(pick(run) for run in runs) for runs in zip(*((r.first, r.again) for r in rounds))]
            for rounds in columns
        ]
        return [label, *("-" if not any(pair) else f"{pair[0]}, {pair[1]}" for pair in most)]

    rows = row("first run, s", lambda entry: entry.first.seconds)
    rows += row("first run until one leads, s", lambda entry: entry.led)[:1]
    rows += row("no-op, s", lambda entry: entry.again.seconds)
    rows.append(
        [
            "restarted by the no-op",
            *(str(max(entry.restarted for entry in rounds)) for rounds in columns),
        ]
    )
    rows.append(counts("tasks a host: first run, no-op", lambda run: run.tasks))
    if not mitogen:
        rows.append(counts("module runs a host: first run, no-op", lambda run: run.modules))
    return page.table(["", *NAMES], rows)


Floors = Mapping[Contestant, Sequence[Floor]]
"""Of ours: what Ansible alone takes beside each round."""


def floors(results: Results, measured: Floors) -> list[str]:
    """Ours beside the least that Ansible takes: medians."""

    def medians(pairs: Sequence[tuple[float, ...]]) -> list[str]:
        return [f"{statistics.median(values):.1f}" for values in zip(*pairs)]

    header, own, least_of, imports = [""], [NAMES[2]], ["ping and debug"], ["imports and debug"]
    start = ["start of the schedulers"]
    for contestant, floors_of in measured.items():
        header += [f"first run{contestant.under}, s", f"no-op{contestant.under}, s"]
        own += medians(
            [(entry.first.seconds, entry.again.seconds) for entry in results[contestant]]
        )
        least_of += medians([(entry.first, entry.again) for entry in floors_of])
        imports += medians([(entry.first_imports, entry.again_imports) for entry in floors_of])
        start += [*medians([(entry.start,) for entry in floors_of]), "-"]
    return page.table(header, [own, imports, least_of, start])


def phases(results: Results) -> list[str]:
    """Where our own seconds go: medians."""
    columns: dict[str, list[Run]] = {}
    for contestant, rounds in results.items():
        if contestant.name == NAMES[2]:
            columns[f"first run{contestant.under}, s"] = [entry.first for entry in rounds]
            columns[f"no-op{contestant.under}, s"] = [entry.again for entry in rounds]
    names = dict.fromkeys(
        phase for runs in columns.values() for run in runs for phase in run.phases
    )

    def row(label: str, pick: Callable[[Run], float]) -> list[str]:
        return [label, *(f"{statistics.median(map(pick, runs)):.1f}" for runs in columns.values())]

    rows = [row(name, lambda run, name=name: run.phases.get(name, 0.0)) for name in names]  # type: ignore[misc]
    rows.append(row("start, other plays, end", lambda run: run.seconds - sum(run.phases.values())))
    return page.table(["phase", *columns], rows)


def versions(kubernetes: str, rounds: int) -> str:
    """What was measured."""
    code = "import ansible, sys; print(ansible.__version__)"
    cores = {
        name: output([str(venv / "bin" / "python"), "-c", code]).strip()
        for name, venv in ((NAMES[1], PLAIN), (NAMES[2], OURS))
    }
    commit = output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip()
    return (
        f"{page.machine()}. kube-scheduler {kubernetes}; ansible-core {cores[NAMES[1]]} for the {NAMES[1]}, {cores[NAMES[2]]} for {NAMES[2]}, which is at "
        f"{commit}. Rounds: {rounds}; each figure is their median, with the least and the most in brackets; a ratio is one of medians."
    )


def report(
    measured: Mapping[int, Results],
    least_of: Mapping[int, Floors],
    libraries: Mapping[int, float],
    kubernetes: str,
    rounds: int,
) -> list[str]:
    lines = [versions(kubernetes, rounds), ""]
    for masters, results in measured.items():
        lines += [f"### {masters} masters", "", *figures(results, mitogen=False), ""]
        if any(contestant.mitogen for contestant in results):
            lines += [
                f"### {masters} masters, under Mitogen",
                "",
                *figures(results, mitogen=True),
                "",
            ]
        title = f"### {masters} masters, as many module runs and tasks a host"
        lines += [title, "", *floors(results, least_of[masters]), ""]
        lines += [f"### {masters} masters, this collection by phase", "", *phases(results), ""]
        lines.append(
            f"In none of these: {libraries[masters]:.1f} s for the libraries that only ours needs on a master, once, on all at once."
        )
        lines.append("")
    return lines[:-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--masters", default="3 12", help="sizes of the lab, separated by spaces")
    parser.add_argument("--mitogen", action="store_true", help="the playbooks under Mitogen too")
    wanted = parser.parse_args()
    measured: dict[int, dict[Contestant, list[Round]]] = {}
    libraries: dict[int, float] = {}
    least_of: dict[int, dict[Contestant, list[Floor]]] = {}
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    for size in map(int, wanted.masters.split()):
        with lab(size) as masters:
            libraries[size] = masters.prepare()
            rounds = measured[size] = {contestant: [] for contestant in contestants(wanted.mitogen)}
            least_of[size] = {
                contestant: [] for contestant in rounds if contestant.name == NAMES[2]
            }
            counted = next(iter(least_of[size]))  # Mitogen's module runs are not
            for number in range(1, wanted.rounds + 1):
                for contestant, results in rounds.items():
                    folder = (
                        LOGS
                        / f"{size}-masters"
                        / f"round-{number}"
                        / contestant.label.replace(", ", "-").replace(" ", "-")
                    )
                    folder.mkdir(parents=True)
                    results.append(contestant.play(masters, folder, number))
                for contestant, floors_of in least_of[size].items():
                    venv = MITOGEN if contestant.mitogen else OURS
                    floors_of.append(least(venv, masters, folder, rounds[counted][-1]))
        page.fill(
            "deployment",
            report(measured, least_of, libraries, masters.settings.version, wanted.rounds),
        )


if __name__ == "__main__":
    main()
