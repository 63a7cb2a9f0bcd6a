# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the images of the hosts, one per Debian release, with systemd, an SSH server and etcd.

The build needs no container registry.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import tempfile
from pathlib import Path

from podman import Podman
from settings import SUITES, Settings
from shell import LabError, lock, output, run, say

REPOSITORY = "localhost/kube-ha-lab"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "etcd-server",
    "iproute2",
    "iptables",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",  # without this package, Ansible's apt module installs it on each host
    "sudo",
    "systemd",
    "systemd-sysv",
)

# The image does not install these packages, so that tests can check that the role installs them.
# The image contains a package repository with them, so that hosts need no internet access.
OFFERED = ("python3-cryptography", "python3-yaml")

FILES = {
    # Unit hardening and LoadCredential need a shared root mount. This script sets the mount before
    # systemd starts, so that `podman stop` and `podman start` restore a host completely.
    "/usr/sbin/lab-init": "#!/bin/sh\nmount --make-rshared /\nexec /lib/systemd/systemd\n",
    "/etc/ssh/sshd_config.d/lab.conf": (
        "HostKey /etc/lab/ssh_host_ed25519_key\n"
        "AuthorizedKeysFile /etc/lab/authorized_keys .ssh/authorized_keys\n"
        "UseDNS no\n"
        "MaxStartups 100\n"
    ),
    "/etc/systemd/journald.conf.d/lab.conf": (
        "[Journal]\nStorage=persistent\nSystemMaxUse=64M\nRateLimitBurst=0\n"
    ),
    "/etc/apt/sources.list": "deb [trusted=yes] file:/usr/share/lab-apt ./\n",
}

# Debian's etcd.service starts a separate etcd on port 2379. If an apiserver uses that etcd, the
# apiserver seems healthy, and each scheduler becomes a leader.
MASKED = (
    "etcd.service",
    "systemd-modules-load.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)

SETUP = f"""
set -eu
chmod 0755 /usr/sbin/lab-init
rm -f /etc/ssh/ssh_host_*
: > /etc/machine-id
mkdir -p /usr/share/lab-apt /var/log/journal
mv /var/cache/apt/archives/*.deb /usr/share/lab-apt/
cd /usr/share/lab-apt
for package in *.deb; do
  dpkg-deb --field "$package"
  echo "Filename: ./$package"
  echo "Size: $(stat --format %s "$package")"
  echo "SHA256: $(sha256sum "$package" | cut -d ' ' -f 1)"
  echo
done > Packages
rm -rf /var/lib/apt/lists/*
apt-get update
systemctl mask {" ".join(MASKED)}
systemctl enable ssh.service
"""

HOOKS = (
    'rm --force "$1"/var/cache/apt/archives/*.deb',
    (
        'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" '
        f"apt-get install --yes --download-only {' '.join(OFFERED)}"
    ),
    'cp --recursive "$LAB_FILES"/. "$1"/',
    f'chroot "$1" sh -c {shlex.quote(SETUP)}',
)


def recipe(suite: str) -> str:
    """Return a hash of all inputs of the image."""
    parts = (suite, PACKAGES, OFFERED, sorted(FILES.items()), HOOKS)
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def tag(suite: str) -> str:
    return f"{REPOSITORY}-{suite}:{recipe(suite)}"


def host_mirrors(log: Path) -> str:
    """Return the Debian mirrors of this machine's apt as lines `URI LABEL`."""
    targets = ("Created-By: Packages", "Origin: Debian")
    ask = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", *targets]
    if not shutil.which("apt-get"):
        raise LabError(
            "the lab uses the Debian mirrors of apt, but this machine has no apt; run it on Debian"
        )
    if mirrors := output(ask, check=False):
        return mirrors
    run(["apt-get", "update"], "Querying apt for its mirrors", log)
    if mirrors := output(ask, check=False):
        return mirrors
    raise LabError("apt has no source of Debian packages; add one to /etc/apt/sources.list")


def sources(mirrors: str, kind: str = "deb", suite: str = SUITES[0]) -> str:
    """Return the lines for sources.list of a suite that use these mirrors."""
    suites = {"Debian": suite, "Debian-Security": f"{suite}-security"}
    lines = {
        f"{kind} [signed-by={KEYRING}] {uri} {suites[label]} main\n"
        for uri, _space, label in (line.partition(" ") for line in mirrors.splitlines())
        if label in suites
    }
    return "".join(sorted(lines))


def ensure(
    settings: Settings, podman: Podman, suite: str = SUITES[0], *, rebuild: bool = False
) -> str:
    """Return the ID of the image. If the image is missing, build the image first."""
    archive = settings.cache / "images" / f"{suite}-{settings.arch}-{recipe(suite)}.tar"
    with lock(settings.cache / "locks" / "image.lock", "the image"):
        if rebuild:
            archive.unlink(missing_ok=True)
        elif podman.call("image", "exists", tag(suite), check=False).returncode == 0:
            return identity(podman, suite)
        if not archive.exists():
            build(settings, archive, suite)
        repository = tag(suite).partition(":")[0]
        previous = podman.call(
            "images", "--quiet", "--no-trunc", repository, check=False
        ).stdout.split()
        run(
            [
                "podman",
                "import",
                "--change",
                'CMD=["/usr/sbin/lab-init"]',
                str(archive),
                tag(suite),
            ],
            "Importing the image of the hosts",
            settings.logs / "image.log",
            environment=podman.environment,
        )
        for image in previous:
            # the image remains if another lab uses it
            podman.call("image", "rm", image, check=False)
    return identity(podman, suite)


def identity(podman: Podman, suite: str) -> str:
    return podman.call("image", "inspect", "--format", "{{.Id}}", tag(suite)).stdout.strip()


def build(settings: Settings, archive: Path, suite: str) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    log = settings.logs / "image.log"
    mirrors = sources(host_mirrors(log), suite=suite)
    with tempfile.TemporaryDirectory(prefix="kube-ha-lab-") as scratch:
        for path, content in FILES.items():
            target = Path(scratch, path.lstrip("/"))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        unfinished = archive.with_suffix(".tmp.tar")
        run(
            [
                "mmdebstrap",
                "--variant=minbase",
                f"--include={','.join(PACKAGES)}",
                "--skip=cleanup/apt/lists",
                *(f"--customize-hook={hook}" for hook in HOOKS),
                suite,
                str(unfinished),
                mirrors,
            ],
            "Building the image of the hosts (about 30 s)",
            log,
            environment={"LAB_FILES": scratch},
        )
        unfinished.rename(archive)
    for older in archive.parent.glob(f"{suite}-{settings.arch}-*.tar"):
        if older != archive:
            say(f"  Removing the previous image {older.name}")
            older.unlink()
