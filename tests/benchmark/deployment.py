# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure deployments with the walk-through's commands, a plain role and this collection.

Usage: python tests/benchmark/deployment.py [--rounds 5] [--masters "3 12"]     (make bench)
All use the same lab. The figures are written to docs/benchmark.md, which describes the comparison.
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
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import floor
import page
import yaml

ROOT = Path(__file__).resolve().parents[2]
HERE = ROOT / "tests" / "benchmark"
LOGS = ROOT / ".cache" / "deployment"
sys.path.insert(0, str(ROOT / "lab"))

import settings as lab_settings  # noqa: E402

OUR_VENV, PLAIN_VENV = ROOT / ".venv", ROOT / ".cache" / "bench"
WALK_THROUGH, PLAIN_ROLE, OURS = NAMES = ("walk-through", "plain role", "this collection")
FLOOR = "ping and debug"
TIMEOUT_S = 60.0
USER = "k8s"
# Before each first run, a host has the binary, the user, and the libraries that only the modules of
# this collection need.
BINARY_AND_USER = f"""
install -D --mode=0755 /usr/share/lab-binaries/v{{version}}/bin/linux/{{arch}}/kube-scheduler \\
    /opt/k8s/bin/kube-scheduler-v{{version}}
id {USER} >/dev/null 2>&1 || useradd --system --create-home --shell /bin/sh {USER}
"""
LIBRARIES = """
set -e
apt-get -q update
apt-get -q install --yes --no-install-recommends python3-cryptography python3-yaml
"""
READY = f"""
set -e
timeout {TIMEOUT_S:.0f} sh -c '
    until curl -ksf -o /dev/null https://127.0.0.1:10259/readyz; do sleep 0.05; done'
systemctl show --property=MainPID --value kube-scheduler
"""


@dataclass(frozen=True)
class Run:
    """Hold one run of a contestant.

    The counts are those of the host with the most tasks or module runs.
    """

    seconds: float
    tasks: int = 0
    modules: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Round:
    """Hold the results of a first run and of a run without changes."""

    first: Run
    led: float  # seconds from the start of the first run until a scheduler holds the lease
    again: Run
    restarted: int  # number of schedulers that the run without changes restarted


class Floor(NamedTuple):
    """Hold the run times of a play with as many module runs and tasks as this collection."""

    first: float
    again: float


class Hosts:
    """Access the lab's control-plane hosts as a user does."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.settings = lab_settings.read(environment, ROOT)
        self.state = self.settings.state
        self.inventory = self.state / "inventory.yml"
        group = yaml.safe_load(self.inventory.read_text())["kube_masters"]
        self.addresses = [host["ansible_host"] for host in group["hosts"].values()]
        self.apiserver = next(iter(group["hosts"].values()))["kube_scheduler_apiserver"]
        self.ssh_config = LOGS / "ssh_config"
        self.ssh_config.write_text(ssh_config(group["vars"]))
        served = self.settings.served / f"v{self.settings.version}"
        self.kubectl = served / "bin" / "linux" / self.settings.arch / "kubectl"

    def on_all(self, script: str, *words: str) -> list[str]:
        """Run a shell script on all hosts at once and return the output of each host."""
        remote = shlex.join(["sh", "-s", "--", *words])

        def on(address: str) -> str:
            command = ["ssh", "-F", str(self.ssh_config), f"root@{address}", remote]
            return output(command, stdin=script)

        with ThreadPoolExecutor(len(self.addresses)) as pool:
            return list(pool.map(on, self.addresses))

    def prepare(self) -> float:
        """Prepare the hosts, and return the seconds that the installation of the libraries took."""
        self.on_all(BINARY_AND_USER.format(version=self.settings.version, arch=self.settings.arch))
        started = time.monotonic()
        self.on_all(LIBRARIES)
        return time.monotonic() - started

    def reset(self, owner: str, link: bool) -> None:
        script = (HERE / "reset.sh").read_text()
        self.on_all(script, self.settings.version, owner, "yes" if link else "no")
        self.run_kubectl("delete", "lease", "kube-scheduler", "--ignore-not-found")

    def run_kubectl(self, *words: str) -> str:
        admin = f"--kubeconfig={self.state / 'admin.kubeconfig'}"
        return output([str(self.kubectl), admin, "--namespace=kube-system", *words])

    def wait_for_leader(self) -> None:
        holder = "--output=jsonpath={.spec.holderIdentity}"
        deadline = time.monotonic() + TIMEOUT_S
        while not self.run_kubectl("get", "lease", "kube-scheduler", "--ignore-not-found", holder):
            if time.monotonic() > deadline:
                raise SystemExit(
                    f"no scheduler leads after {TIMEOUT_S:.0f} s; "
                    "run journalctl -u kube-scheduler on a host"
                )
            time.sleep(0.1)

    def wait_until_ready(self) -> list[str]:
        """Wait until all schedulers are ready and return the process ID of each scheduler."""
        return self.on_all(READY)


def ssh_config(variables: Mapping[str, str]) -> str:
    words = shlex.split(variables["ansible_ssh_common_args"])
    options = [word for word in words if word != "-o"]
    options += [f"IdentityFile={variables['ansible_ssh_private_key_file']}", "BatchMode=yes"]
    return "".join(f"{option.replace('=', ' ', 1)}\n" for option in options)


def output(command: Sequence[str], stdin: str = "") -> str:
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"{shlex.join(command)}: exit code {done.returncode}: {done.stdout}{done.stderr}"
        )
    return done.stdout


@contextlib.contextmanager
def lab(masters: int) -> Iterator[Hosts]:
    """Start a lab for the block and remove it at the end."""
    environment = {**os.environ, "LAB_MASTERS": str(masters)}
    program = [sys.executable, str(ROOT / "lab" / "lab.py")]
    subprocess.run([*program, "down"], env=environment, check=True)
    try:
        subprocess.run([*program, "up"], env=environment, check=True)
        yield Hosts(environment)
    finally:
        subprocess.run([*program, "down"], env=environment, check=True)


# -- contestants ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contestant:
    """Define a way to deploy.

    `owner` owns /etc/kubernetes. If `link` is set, the hosts get /opt/k8s/bin/kube-scheduler.
    """

    name: str
    run: Callable[[Hosts, Path], Run]
    owner: str = "root"
    link: bool = True

    def play(self, hosts: Hosts, directory: Path, number: int) -> Round:
        hosts.reset(self.owner, self.link)
        started = time.monotonic()
        first = self.run(hosts, directory)
        hosts.wait_for_leader()
        led = time.monotonic() - started
        before = hosts.wait_until_ready()
        again = self.run(hosts, directory)
        restarted = sum(a != b for a, b in zip(before, hosts.wait_until_ready()))
        if again.changed:
            raise SystemExit(
                f"{self.name}: the second run is not a no-op: it reported a change; "
                f"see {directory}/log"
            )
        print(  # noqa: T201
            f"round {number}, {self.name}: "
            f"first run {first.seconds:.1f} s, no-op {again.seconds:.1f} s",
            flush=True,
        )
        return Round(first, led, again, restarted)


def run_walk_through(hosts: Hosts, directory: Path) -> Run:
    environment = {
        **os.environ,
        "PATH": f"{hosts.kubectl.parent}:{os.environ['PATH']}",
        "CA_DIR": str(hosts.state),
        "SSH_CONFIG": str(hosts.ssh_config),
        "KUBE_APISERVER": hosts.apiserver,
        "NODE_IPS": " ".join(hosts.addresses),
    }
    return Run(measure_command([str(HERE / "walk_through.sh")], environment, directory))


def run_plain_role(hosts: Hosts, directory: Path) -> Run:
    variable = f"plain_role_pair_dir={directory}"
    return run_playbook(PLAIN_VENV, hosts, directory, HERE / "plain.yml", variable)


def run_ours(hosts: Hosts, directory: Path) -> Run:
    playbook, variable = ROOT / "playbooks" / "site.yml", "kube_scheduler_binary_source=present"
    return run_playbook(OUR_VENV, hosts, directory, playbook, variable)


CONTESTANTS = (
    Contestant(WALK_THROUGH, run_walk_through, owner=USER),
    Contestant(PLAIN_ROLE, run_plain_role),
    Contestant(OURS, run_ours, link=False),
)


def measure_floor(hosts: Hosts, directory: Path, like: Round) -> Floor:
    def seconds(run: Run) -> float:
        playbook = floor.write_playbook(directory, run.modules, run.tasks)
        variable = "kube_scheduler_hosts=kube_masters"
        return run_playbook(OUR_VENV, hosts, directory, playbook, variable).seconds

    return Floor(seconds(like.first), seconds(like.again))


def run_playbook(venv: Path, hosts: Hosts, directory: Path, playbook: Path, variable: str) -> Run:
    """Run a playbook as an operator does, without an open connection from the previous run."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
    }
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        modules, tasks = Path(name, "modules"), Path(name, "tasks")
        modules.touch()
        environment |= {
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(Path(name, "cp")),
            "ANSIBLE_CALLBACK_PLUGINS": f"{ROOT / 'tests' / 'callback'}:{HERE / 'callback'}",
            "ANSIBLE_CALLBACKS_ENABLED": "count_tasks,count_modules",
            "COUNT_TASKS": str(tasks),
            "COUNT_MODULES": str(modules),
        }
        program = str(venv / "bin" / "ansible-playbook")
        words = [f"--inventory={hosts.inventory}", str(playbook), f"--extra-vars={variable}"]
        seconds = measure_command([program, *words], environment, directory, ROOT)
        counts = json.loads(tasks.read_text())
        module_runs = count_module_runs(modules.read_text())
    return Run(seconds, max(counts["tasks"].values()), module_runs, sum(counts["changed"].values()))


def count_module_runs(lines: str) -> int:
    """Return the largest number of module runs on one host. Runs of `raw` do not count."""
    entries = [line.split(maxsplit=2) for line in lines.splitlines()]
    hosts = [host for host, kind, name in entries if kind == "module" and name != "raw"]
    return max((hosts.count(host) for host in set(hosts)), default=0)


def measure_command(
    command: Sequence[str], environment: Mapping[str, str], directory: Path, cwd: Path | None = None
) -> float:
    """Return the wall time of a command in seconds; append its output to the log."""
    log = directory / "log"
    with log.open("a") as sink:
        started = time.monotonic()
        done = subprocess.run(
            command,
            env=environment,
            cwd=cwd or directory,
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


# -- figures --------------------------------------------------------------------------------------


@dataclass
class Measured:
    """Hold all results for one size of the lab."""

    libraries: float  # seconds that the installation of the libraries takes
    rounds: dict[str, list[Round]]
    floors: list[Floor]


def time_rows(
    label: str, measured: Measured, pick: Callable[[Round], float], floors: Sequence[float]
) -> list[list[str]]:
    """Return the medians with minimum and maximum, then their ratios to two contestants."""
    columns = [[pick(entry) for entry in measured.rounds[name]] for name in NAMES]
    middle = [statistics.median(values) for values in columns]
    least = statistics.median(floors)
    times = [
        f"{median:.1f} ({min(values):.1f} to {max(values):.1f})"
        for median, values in zip(middle, columns)
    ]

    def ratios(values: Sequence[float], base: float) -> list[str]:
        return [f"{value / base:.2f}" for value in values]

    return [
        [label, *times, f"{least:.1f}"],
        ["ratio to the walk-through", *ratios([*middle, least], middle[0])],
        ["ratio to the plain role", *ratios(middle, middle[1]), "-"],
    ]


def count_row(label: str, measured: Measured, pick: Callable[[Run], int]) -> list[str]:
    """Return the largest counts of one host, in a first run and in a run without changes.

    The floor has the same counts as this collection.
    """
    cells = []
    for name in NAMES:
        pairs = [(pick(entry.first), pick(entry.again)) for entry in measured.rounds[name]]
        first, again = map(max, zip(*pairs))
        cells.append(f"{first}, {again}" if first or again else "-")
    return [label, *cells, cells[-1]]


def figures(measured: Measured) -> list[str]:
    first = [entry.first for entry in measured.floors]
    again = [entry.again for entry in measured.floors]
    led = time_rows("first run until one leads, s", measured, lambda entry: entry.led, first)[0]
    restarted = [str(max(entry.restarted for entry in measured.rounds[name])) for name in NAMES]
    rows = [
        *time_rows("first run, s", measured, lambda entry: entry.first.seconds, first),
        [*led[:-1], "-"],
        *time_rows("no-op, s", measured, lambda entry: entry.again.seconds, again),
        ["schedulers restarted by the no-op", *restarted, "-"],
        count_row("tasks per host: first run, no-op", measured, lambda run: run.tasks),
        count_row("module runs per host: first run, no-op", measured, lambda run: run.modules),
    ]
    return page.table(["", *NAMES, FLOOR], rows)


def describe_versions(kubernetes: str, rounds: int) -> str:
    code = "import ansible, sys; print(ansible.__version__)"
    plain, ours = (
        output([str(venv / "bin" / "python"), "-c", code]).strip()
        for venv in (PLAIN_VENV, OUR_VENV)
    )
    commit = output(["git", "-C", str(ROOT), "describe", "--always", "--dirty"]).strip()
    return (
        f"{page.machine()}. kube-scheduler {kubernetes}. ansible-core {plain} for the {PLAIN_ROLE},"
        f" {ours} for {OURS} at {commit}. Rounds: {rounds}. Each figure is the median, with minimum"
        " and maximum in parentheses. Ratios are ratios of medians."
    )


def report(results: Mapping[int, Measured], kubernetes: str, rounds: int) -> list[str]:
    lines = [describe_versions(kubernetes, rounds)]
    for size, measured in results.items():
        lines += ["", f"### {size} hosts", "", *figures(measured), ""]
        lines.append(
            "Not included: the installation of the libraries that only this collection needs, "
            f"once, on all hosts at the same time: {measured.libraries:.1f} s."
        )
    return lines


def measure(hosts: Hosts, rounds: int) -> Measured:
    measured = Measured(hosts.prepare(), {name: [] for name in NAMES}, [])
    for number in range(1, rounds + 1):
        for contestant in CONTESTANTS:
            round_logs = LOGS / f"{len(hosts.addresses)}-hosts" / f"round-{number}"
            directory = round_logs / contestant.name.replace(" ", "-")
            directory.mkdir(parents=True)
            measured.rounds[contestant.name].append(contestant.play(hosts, directory, number))
        measured.floors.append(measure_floor(hosts, directory, measured.rounds[OURS][-1]))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--masters", default="3 12", help="sizes of the lab, separated by spaces")
    options = parser.parse_args()
    results: dict[int, Measured] = {}
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    for size in map(int, options.masters.split()):
        with lab(size) as hosts:
            results[size] = measure(hosts, options.rounds)
            version = hosts.settings.version
        page.fill("deployment", report(results, version, options.rounds))


if __name__ == "__main__":
    main()
