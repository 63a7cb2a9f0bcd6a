# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What site.yml costs the controller where one inventory holds many clusters of three masters, and how that grows.

Usage: .venv/bin/python tests/benchmark/clusters.py [--clusters 1,10,30,100] [--keep]
The masters are simulated, so that nothing but Ansible and what is ours is measured. Beside each run stands one of Ansible's own modules alone: over the
same hosts, as many module runs and other tasks a host. Writes the figures to docs/benchmark.md, with --keep only to the screen.
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

# What a deployment asks of Ansible's own modules: each says that it did it.
ANSIBLES_OWN = ("file", "get_url", "apt", "user")
KINDS = ("first rollout", "no-op")


class Cost(NamedTuple):
    """What one run took: seconds, seconds of processor time, MiB of the largest process, module runs and tasks of the first host."""

    wall: float
    cpu: float
    memory: float
    modules: int
    tasks: int


def simulated(folder: Path, clusters: int, kind: str) -> Simulation:
    names = {f"c{c:03}": [f"c{c:03}m{m}" for m in (1, 2, 3)] for c in range(clusters)}
    simulation = Simulation(folder, clusters=names)
    simulation.timeout = 7200
    simulation.variables["kube_scheduler_binary_checksum"] = f"sha256:{'0' * 64}"
    for name in simulation.answers:
        if kind == "first rollout":
            simulation.empty(name)
        for module in ANSIBLES_OWN:
            simulation.answers[name][module] = {"changed": True}
    return simulation


def cost(clusters: int, kind: str, playbook: str) -> Cost:
    """Of one run; to be called in a process of its own, whose children are this run's alone."""
    with tempfile.TemporaryDirectory() as folder:
        simulation = simulated(Path(folder), clusters, kind)
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


def of_its_own(*arguments: object) -> Cost:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(cost, arguments)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clusters", default="1,10,30,100")
    parser.add_argument("--keep", action="store_true", help="leave docs/benchmark.md as it is")
    options = parser.parse_args()
    rows = []
    for kind in KINDS:
        for clusters in map(int, options.clusters.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                ours = of_its_own(clusters, kind, "playbooks/site.yml")
                theirs = of_its_own(
                    clusters,
                    "no-op",
                    str(floor.playbook(Path(folder), [floor.PING] * ours.modules, ours.tasks)),
                )
            hosts = 3 * clusters
            rows.append(
                [
                    f"{kind}, {clusters}",
                    f"{hosts}",
                    f"{ours.wall:.1f}",
                    f"{ours.cpu:.1f}",
                    f"{1000 * ours.cpu / hosts:.0f}",
                    f"{ours.memory:.0f}",
                    f"{theirs.wall:.1f}",
                    f"{theirs.cpu:.1f}",
                    f"{1000 * theirs.cpu / hosts:.0f}",
                    f"{theirs.memory:.0f}",
                ]
            )
            print(*rows[-1], flush=True)  # noqa: T201
    header = [
        "run, clusters",
        "hosts",
        "s",
        "CPU s",
        "CPU ms a host",
        "MiB",
        "Ansible: s",
        "CPU s",
        "CPU ms a host",
        "MiB",
    ]
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
