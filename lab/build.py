# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kubernetes built from source: from its Go module, or 1.20.2 from Debian's source package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from settings import Settings, version_key
from shell import LabError, run, say

DEBIAN_VERSION = "1.20.2"


class CannotBuildError(Exception):
    """Why, in a few words."""


def build(settings: Settings, version: str, commands: Sequence[str], keep: Callable[[str, Path], None]) -> None:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go") or shutil.which("/usr/lib/go/bin/go")
    if go is None:
        raise CannotBuildError("and no Go to build it with is in PATH")
    (from_debian if version == DEBIAN_VERSION else from_module)(settings, go, version, commands, keep)


def go_mod(version: str, upstream: str, commands: Sequence[str]) -> str:
    """A module that requires Kubernetes, with its staging modules taken from where they are published."""
    _, minor, patch = version.split(".")
    lines = ["module lab.invalid/kubernetes", ""]
    lines += re.findall(r"^go \S+$", upstream, re.MULTILINE)
    lines += re.findall(r"^godebug (?!\().+$", upstream, re.MULTILINE)
    lines += re.findall(r"^godebug \(\n(?:.*\n)*?\)$", upstream, re.MULTILINE)
    lines += ["", f"require k8s.io/kubernetes v{version}", ""]
    staging = re.findall(r"^\s*(?:replace\s+)?(k8s\.io/\S+) => \./staging/", upstream, re.MULTILINE)
    lines += [f"replace {module} => {module} v0.{minor}.{patch}" for module in staging]
    return "\n".join(lines) + "\n"


def tools_go(commands: Sequence[str]) -> str:
    imports = "".join(f'import _ "k8s.io/kubernetes/cmd/{command}"\n' for command in commands)
    return f"//go:build tools\n\npackage tools\n\n{imports}"


def version_flags(version: str, packages: Sequence[str]) -> str:
    major, minor, _ = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for package in packages for key, value in values.items())])


def from_module(
    settings: Settings, go: str, version: str, commands: Sequence[str], keep: Callable[[str, Path], None]
) -> None:
    module = f"k8s.io/kubernetes@v{version}"
    # GOTOOLCHAIN=local: an older Go says so at once instead of looking for a newer one.
    environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -buildvcs=false"}
    log = settings.logs / f"build-{version}.log"
    with tempfile.TemporaryDirectory(prefix="kube-ha-build-") as scratch:
        folder = Path(scratch)
        say(f"Fetching the source of Kubernetes {version}")
        found = subprocess.run(
            [go, "mod", "download", "-json", module],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            check=False,
        )
        answer = json.loads(found.stdout or "{}")
        if found.returncode or "GoMod" not in answer:
            reason = str(answer.get("Error") or found.stderr).strip().splitlines() or ["no reason given"]
            raise CannotBuildError(f"the Go module {module} cannot be had ({reason[-1].strip()})")
        upstream = Path(answer["GoMod"]).read_text()
        wanted = re.search(r"^go (\d+(?:\.\d+)*)", upstream, re.MULTILINE)
        present = re.search(r"go(\d+(?:\.\d+)*)", subprocess.check_output([go, "version"], text=True))
        if wanted and present and version_key(present[1]) < version_key(wanted[1]):
            raise CannotBuildError(f"its source needs Go {wanted[1]}, and {go} is {present[1]}")
        (folder / "go.mod").write_text(go_mod(version, upstream, commands))
        (folder / "tools.go").write_text(tools_go(commands))
        try:
            run([go, "mod", "tidy"], f"Fetching what Kubernetes {version} needs", log, cwd=folder, environment=environment)
        except LabError as error:
            raise CannotBuildError(f"a module that it needs cannot be had ({error})") from None
        flags = version_flags(version, ["k8s.io/component-base/version"])
        for command in commands:
            run(
                [go, "build", "-trimpath", f"-ldflags={flags}", "-o", command, f"k8s.io/kubernetes/cmd/{command}"],
                f"Building {command} {version} (minutes on a cold cache)",
                log,
                cwd=folder,
                environment=environment,
            )
            move(folder / command, settings, command, keep)


def move(path: Path, settings: Settings, command: str, keep: Callable[[str, Path], None]) -> None:
    """Onto the cache's file system first, so that it appears there by a rename."""
    waiting = settings.cache / "locks" / f"{command}.{os.getpid()}.part"
    waiting.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(path, waiting)
    keep(command, waiting)


def from_debian(
    settings: Settings, go: str, version: str, commands: Sequence[str], keep: Callable[[str, Path], None]
) -> None:
    raise CannotBuildError("not yet")
