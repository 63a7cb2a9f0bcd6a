# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage the lab: hosts in containers with a real etcd and kube-apiserver.

The script needs only the standard library.
"""

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
    podman.check_owner()
    binaries.ensure(settings)
    images = {
        suite: image.ensure(settings, podman, suite)
        for suite in {SUITES[0], *map(settings.suite, settings.hosts)}
    }
    cluster.reset_if_incompatible(settings, podman)
    identities = access.ensure_keys(settings)
    subnet = podman.ensure_network()
    specs = [mirror_spec(settings, images[SUITES[0]], subnet)]
    specs += [
        master_spec(settings, images[settings.suite(host)], subnet, host, identities[host])
        for host in settings.hosts
    ]
    if podman.converge(specs):
        end_ssh_clients(subnet)
    access.remove_other_hosts(settings)
    access.write(settings, subnet)
    wait_for_ssh(address(subnet, host) for host in settings.hosts)
    cluster.converge(settings, subnet)
    healthy = cluster.report(settings, podman, subnet)
    say(
        f"The lab {settings.name} is up after {time.monotonic() - started:.0f} s: "
        f"{settings.state}/inventory.yml"
    )
    return 0 if healthy else 1


def down(settings: Settings) -> int:
    podman = Podman(settings)
    if shutil.which("podman"):
        podman.configure()
        podman.wait_for_orphans()
        podman.check_owner()
        subnet = podman.subnet()
        if subnet:
            end_ssh_clients(subnet)
        podman.remove_all()
    shutil.rmtree(settings.state, ignore_errors=True)
    say(f"Removed the lab {settings.name}; binaries and image remain in {settings.cache}")
    return 0


def status(settings: Settings) -> int:
    podman = Podman(settings)
    subnet = None
    if shutil.which("podman") and settings.state.exists():
        podman.configure()
        podman.check_owner()
        subnet = podman.subnet()
    if subnet is None:
        say(f"The lab {settings.name} does not exist.")
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
    commands.add_parser("up", help="start the lab, or restore it")
    commands.add_parser("down", help="remove the lab, but keep the caches")
    commands.add_parser("status", help="show containers and cluster; fail if a part is unhealthy")
    commands.add_parser("binaries", help="download or build the Kubernetes binaries into the cache")
    image_parser = commands.add_parser("image", help="build the image of the hosts")
    image_parser.add_argument("--rebuild", action="store_true", help="even if an image exists")
    arguments = parser.parse_args()
    # The lab handles these signals even if the calling shell ignores them.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        settings = read(os.environ, Path(__file__).resolve().parent.parent)
        if arguments.command == "binaries":
            return only_binaries(settings)
        if os.geteuid():
            raise LabError(
                "the containers of the lab need root; run the command as root (sudo make …)"
            )
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
            "lab: interrupted; `make lab-up` continues, `make lab-down` removes the lab",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
