# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure the load of site.yml on the controller for inventories of many three-host clusters.

Usage: .venv/bin/python tests/benchmark/clusters.py [--clusters 1,10,30,100] [--keep]
The hosts are simulated, so that only Ansible and this collection are measured. For comparison, each
run has a floor: a play of Ansible's own modules on the same hosts, with the same numbers of module
runs and tasks. The script writes the figures to docs/benchmark.md. With --keep, the script only
prints the figures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / ".collections")]

import floor  # noqa: E402
import page  # noqa: E402
from ansible.release import __version__  # noqa: E402

from tests.support.simulation import Simulation  # noqa: E402

# The simulated hosts report success for these modules.
BUILTIN_MODULES = ("file", "scheduler_binary", "apt", "user")
KINDS = ("first rollout", "no-op")


class Cost(NamedTuple):
    """Hold the cost of one run. The counts are those of the first host."""

    wall: float  # seconds
    cpu: float  # seconds of processor time
    memory: float  # MiB of the largest process
    modules: int
    tasks: int

    def cells(self, hosts: int) -> list[str]:
        per_host = 1000 * self.cpu / hosts
        return [f"{self.wall:.1f}", f"{self.cpu:.1f}", f"{per_host:.0f}", f"{self.memory:.0f}"]


def simulate(directory: Path, clusters: int, kind: str) -> Simulation:
    names = {f"c{c:03}": [f"c{c:03}m{m}" for m in (1, 2, 3)] for c in range(clusters)}
    simulation = Simulation(directory, clusters=names)
    simulation.timeout = 7200
    simulation.variables["kube_scheduler_binary_checksum"] = f"sha256:{'0' * 64}"
    for name in simulation.answers:
        if kind == "first rollout":
            simulation.empty(name)
        for module in BUILTIN_MODULES:
            simulation.answers[name][module] = {"changed": True}
    return simulation


def measure_run(clusters: int, kind: str, playbook: str) -> Cost:
    """Measure one run in this process.

    All children of this process must belong to the run.
    """
    with tempfile.TemporaryDirectory() as directory:
        simulation = simulate(Path(directory), clusters, kind)
        began = time.monotonic()
        run = simulation.run(playbook, simulation.everywhere)
        wall = time.monotonic() - began
    if run.code:
        raise SystemExit(run.output[-4000:])
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    host = next(iter(simulation.answers))
    modules = sum(1 for name, kind_, _module in run.counts if (name, kind_) == (host, "module"))
    return Cost(
        wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, modules, len(run.tasks(host))
    )


def measure_separately(*arguments: object) -> Cost:
    """Measure one run in a new process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure_run, arguments)


def measure_row(kind: str, clusters: int) -> list[str]:
    ours = measure_separately(clusters, kind, "playbooks/site.yml")
    with tempfile.TemporaryDirectory() as directory:
        playbook = floor.write_playbook(Path(directory), ours.modules, ours.tasks)
        least = measure_separately(clusters, "no-op", str(playbook))
    hosts = 3 * clusters
    return [f"{kind}, {clusters}", f"{hosts}", *ours.cells(hosts), *least.cells(hosts)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clusters", default="1,10,30,100")
    parser.add_argument("--keep", action="store_true", help="do not write docs/benchmark.md")
    options = parser.parse_args()
    rows = []
    for kind in KINDS:
        for clusters in map(int, options.clusters.split(",")):
            rows.append(measure_row(kind, clusters))
            print(*rows[-1], flush=True)  # noqa: T201
    costs = ["CPU s", "CPU ms per host", "MiB"]
    header = ["run, clusters", "hosts", "s", *costs, "floor: s", *costs]
    lines = [
        f"{page.machine()}. ansible-core {__version__}, 10 forks.",
        "",
        *page.table(header, rows),
    ]
    if options.keep:
        print("\n".join(lines))  # noqa: T201
    else:
        page.fill("clusters", lines)


if __name__ == "__main__":
    main()
