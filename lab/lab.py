# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: masters in containers with a real etcd and kube-apiserver. Standard library only."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import access
import binaries
import cluster
import image
from podman import Podman, end_ssh_clients, master_spec, mirror_spec, wait_for_ssh
from settings import SUITES, Settings, address, read
from shell import TOOLS, LabError, lock, need, say


def up(settings: Settings) -> int:
    started = time.monotonic()
    podman = Podman(settings)
    need(TOOLS, settings.logs / "apt.log")
    podman.configure()
    podman.wait_for_orphans()
    podman.refuse_another_clone()
    binaries.ensure(settings)
    images = {
        suite: image.ensure(settings, podman, suite)
        for suite in {SUITES[0], *map(settings.suite, settings.hosts)}
    }
    cluster.forget_if_rebuilt(settings, podman)
    identities = access.ensure_keys(settings)
    subnet = podman.ensure_network()
    specs = [mirror_spec(settings, images[SUITES[0]], subnet)]
    specs += [
        master_spec(settings, images[settings.suite(host)], subnet, host, identities[host])
        for host in settings.hosts
    ]
    if podman.converge(specs):
        end_ssh_clients(subnet)
    access.forget_others(settings)
    access.write(settings, subnet)
    wait_for_ssh(address(subnet, host) for host in settings.hosts)
    cluster.converge(settings, subnet)
    healthy = cluster.report(settings, podman, subnet)
    say(
        f"The lab {settings.name} is up after {time.monotonic() - started:.0f} s: {settings.state}/inventory.yml"
    )
    return 0 if healthy else 1


def down(settings: Settings) -> int:
    podman = Podman(settings)
    if shutil.which("podman"):
        podman.configure()
        podman.wait_for_orphans()
        podman.refuse_another_clone()
        subnet = podman.subnet()
        if subnet:
            end_ssh_clients(subnet)
        podman.remove_all()
    shutil.rmtree(settings.state, ignore_errors=True)
    say(f"The lab {settings.name} is gone; binaries and image stay in {settings.cache}")
    return 0


def status(settings: Settings) -> int:
    podman = Podman(settings)
    subnet = None
    if shutil.which("podman") and settings.state.exists():
        podman.configure()
        podman.refuse_another_clone()
        subnet = podman.subnet()
    if subnet is None:
        say(f"There is no lab {settings.name}.")
        return 1
    return 0 if cluster.report(settings, podman, subnet) else 1


def only_binaries(settings: Settings) -> int:
    for path in binaries.ensure(settings):
        say(str(path))
    return 0


def only_image(settings: Settings, rebuild: bool) -> int:
    podman = Podman(settings)
    need(TOOLS, settings.logs / "apt.log")
    podman.configure()
    say(image.ensure(settings, podman, rebuild=rebuild))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring the lab up, or back to what it should be")
    commands.add_parser("down", help="remove all of the lab but the caches")
    commands.add_parser("status", help="show containers and cluster; exit code 0 when all is well")
    commands.add_parser("binaries", help="bring the wanted Kubernetes binaries into the cache")
    image_parser = commands.add_parser("image", help="make the masters' image")
    image_parser.add_argument("--rebuild", action="store_true", help="even when there is one")
    arguments = parser.parse_args()
    for sign in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
    ):  # also where a shell has left them ignored
        signal.signal(sign, signal.default_int_handler)
    try:
        settings = read(os.environ, Path(__file__).resolve().parent.parent)
        if arguments.command == "binaries":
            return only_binaries(settings)
        if os.geteuid():
            raise LabError("the lab's containers need root; run it as root (sudo make …)")
        if arguments.command == "status":
            return status(settings)
        with lock(
            settings.cache / "locks" / f"lab-{settings.name}.lock", f"the lab {settings.name}"
        ):
            if arguments.command == "image":
                return only_image(settings, arguments.rebuild)
            return {"up": up, "down": down}[arguments.command](settings)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "lab: interrupted; `make lab-up` goes on from here, `make lab-down` removes all",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
