# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build Kubernetes from source: from its Go module, or 1.20.2 from Debian's source package."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import image
from settings import Settings, version_key
from shell import LabError, need, output, run, say

DEBIAN_VERSION = "1.20.2"
DEBIAN_GO = Path("/usr/lib/go-1.19/bin")
DEBIAN_TOOLS = {
    str(DEBIAN_GO / "go"): "golang-1.19-go",
    "dpkg-source": "dpkg-dev",
    "patch": "patch",
}
ROOT_PACKAGE = "k8s.io/kubernetes"


class CannotBuildError(Exception):
    """Report that a build is not possible. The message is a short reason."""


@dataclass(frozen=True)
class Build:
    settings: Settings
    version: str
    commands: Sequence[str]
    keep: Callable[[str, Path], None]  # called for each binary as soon as the build has created it

    @property
    def log(self) -> Path:
        return self.settings.logs / f"build-{self.version}.log"

    def run(self) -> None:
        with tempfile.TemporaryDirectory(prefix="kube-ha-build-") as scratch:
            if self.version == DEBIAN_VERSION:
                self.from_debian(Path(scratch))
            else:
                self.from_module(Path(scratch))

    def from_module(self, scratch: Path) -> None:
        go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
        if go is None:
            raise CannotBuildError("PATH contains no Go")
        # With GOTOOLCHAIN=local, an older Go fails immediately instead of downloading a newer
        # version.
        environment = {
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOFLAGS": "-mod=mod -buildvcs=false",
        }
        module = f"{ROOT_PACKAGE}@v{self.version}"
        say(f"Fetching the source of Kubernetes {self.version}")
        result = subprocess.run(
            [go, "mod", "download", "-json", module],
            cwd=scratch,
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
            check=False,
        )
        module_info = json.loads(result.stdout or "{}")
        if result.returncode or "GoMod" not in module_info:
            reason = str(module_info.get("Error") or result.stderr).strip().splitlines() or [
                "no reason given"
            ]
            raise CannotBuildError(
                f"the Go module {module} is not available ({reason[-1].strip()})"
            )
        upstream = Path(module_info["GoMod"]).read_text()
        refuse_old_go(output([go, "version"]), upstream)
        (scratch / "go.mod").write_text(go_mod(self.version, upstream))
        (scratch / "tools.go").write_text(tools_go(self.commands))
        tidy = f"Fetching the dependencies of Kubernetes {self.version}"
        try:
            run([go, "mod", "tidy"], tidy, self.log, cwd=scratch, environment=environment)
        except LabError as error:
            raise CannotBuildError(f"a required Go module is not available; {error}") from None
        flags = version_flags(self.version, ["k8s.io/component-base/version"])
        for command in self.commands:
            package = f"{ROOT_PACKAGE}/cmd/{command}"
            self.compile(
                [go, "build", "-trimpath", f"-ldflags={flags}", "-o", command, package],
                scratch,
                environment,
            )

    def from_debian(self, scratch: Path) -> None:
        """Build 1.20.2 in a GOPATH, because Debian's Go is too old for the modules of 1.20.2."""
        need(DEBIAN_TOOLS, self.log)
        source = self.debian_source(scratch)
        environment = {
            "CGO_ENABLED": "0",
            "GO111MODULE": "off",
            "GOFLAGS": "",
            "GOPATH": str(scratch),
            "PATH": f"{DEBIAN_GO}:{os.environ['PATH']}",
        }
        vendored = f"{ROOT_PACKAGE}/vendor/k8s.io"
        packages = [f"{vendored}/component-base/version", f"{vendored}/client-go/pkg/version"]
        flags = version_flags(self.version, packages)
        if "kube-apiserver" in self.commands:
            self.generate_openapi(source, scratch, environment)
        for command in self.commands:
            build = [
                "go",
                "build",
                f"-ldflags={flags}",
                "-o",
                str(scratch / command),
                f"./cmd/{command}",
            ]
            self.compile(
                [str(DEBIAN_GO / "go"), *build[1:]], source, environment, built=scratch / command
            )

    def debian_source(self, scratch: Path) -> Path:
        sources = scratch / "source.list"
        sources.write_text(image.sources(image.host_mirrors(self.log), kind="deb-src"))
        # The build uses a separate apt state, so that the state of the machine does not change.
        (scratch / "lists" / "partial").mkdir(parents=True)
        options = {
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": scratch / "lists",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", *(f"-o{key}={value}" for key, value in options.items())]
        what = f"Fetching Debian's source of Kubernetes {self.version}"
        run([*apt, "update"], what, self.log)
        run(
            [*apt, "source", "--download-only", "kubernetes"],
            what,
            self.log,
            cwd=scratch,
            quiet=True,
        )
        descriptions = list(scratch.glob(f"kubernetes_*{self.version}-*.dsc"))
        if not descriptions:
            raise CannotBuildError(f"Debian's source package on the mirror is not {self.version}")
        target = scratch / "src" / ROOT_PACKAGE
        target.parent.mkdir(parents=True)
        run(
            ["dpkg-source", "--extract", str(descriptions[0]), str(target)],
            what,
            self.log,
            quiet=True,
        )
        return target

    def generate_openapi(self, source: Path, scratch: Path, environment: dict[str, str]) -> None:
        """Generate the apiserver's pkg/generated/openapi, which the package of Debian lacks."""
        tool = scratch / "openapi-gen"
        go = str(DEBIAN_GO / "go")
        what = "Generating pkg/generated/openapi"
        build = [go, "build", "-o", str(tool), "./vendor/k8s.io/kube-openapi/cmd/openapi-gen"]
        run(build, what, self.log, cwd=source, environment=environment)
        run(
            [
                str(tool),
                f"--input-dirs={','.join(openapi_packages(source))}",
                f"--output-package={ROOT_PACKAGE}/pkg/generated/openapi",
                f"--output-base={scratch / 'src'}",
                "--output-file-base=zz_generated.openapi",
                "--go-header-file=hack/boilerplate/boilerplate.generatego.txt",
                f"--report-filename={scratch / 'violations'}",
            ],
            what,
            self.log,
            cwd=source,
            environment=environment,
            quiet=True,
        )

    def compile(
        self, command: list[str], cwd: Path, environment: dict[str, str], built: Path | None = None
    ) -> None:
        name = Path(command[-1]).name
        what = f"Building {name} {self.version} (takes minutes if the cache is empty)"
        run(command, what, self.log, cwd=cwd, environment=environment)
        # The build first writes to the file system of the cache, so that a rename creates the
        # binary.
        waiting = self.settings.cache / f".{name}-{self.version}.{os.getpid()}"
        shutil.move(built or cwd / name, waiting)
        self.keep(name, waiting)


def refuse_old_go(present: str, upstream: str) -> None:
    required = re.search(r"^go (\d+(?:\.\d+)*)", upstream, re.MULTILINE)
    installed = re.search(r"go(\d+(?:\.\d+)*)", present)
    if required and installed and version_key(installed[1]) < version_key(required[1]):
        raise CannotBuildError(
            f"the source needs Go {required[1]} or newer, but this is Go {installed[1]}"
        )


def go_mod(version: str, upstream: str) -> str:
    """Return a go.mod that requires Kubernetes and its published staging modules."""
    _major, minor, patch = version.split(".")
    staging = re.findall(r"^\s*(?:replace\s+)?(k8s\.io/\S+) => \./staging/", upstream, re.MULTILINE)
    lines = [
        "module lab.invalid/kubernetes",
        *re.findall(r"^go \S+$", upstream, re.MULTILINE),
        *re.findall(r"^godebug (?!\().+$", upstream, re.MULTILINE),
        *re.findall(r"^godebug \(\n(?:.*\n)*?\)$", upstream, re.MULTILINE),
        f"require {ROOT_PACKAGE} v{version}",
        *(f"replace {module} => {module} v0.{minor}.{patch}" for module in staging),
    ]
    return "\n".join(lines) + "\n"


def tools_go(commands: Sequence[str]) -> str:
    imports = "".join(f'import _ "{ROOT_PACKAGE}/cmd/{command}"\n' for command in commands)
    return f"//go:build tools\n\npackage tools\n\n{imports}"


def version_flags(version: str, packages: Sequence[str]) -> str:
    major, minor, _patch = version.split(".")
    values = {"gitVersion": f"v{version}", "gitMajor": major, "gitMinor": minor}
    settings = [
        f"-X {package}.{key}={value}" for package in packages for key, value in values.items()
    ]
    return " ".join(["-s -w", *settings])


def openapi_packages(source: Path) -> list[str]:
    """Return the packages that request OpenAPI generation.

    Staging modules have the names of their vendored copies.
    """
    packages = set()
    for top in ("pkg", "cmd", "staging/src/k8s.io"):
        for path in (source / top).rglob("*.go"):
            directory = str(path.parent.relative_to(source))
            if re.search(r"/(code-generator|sample-[a-z-]+)/", f"{directory}/"):
                continue
            if "+k8s:openapi-gen=true" in path.read_text(errors="replace"):
                packages.add(directory.replace("staging/src/", "vendor/"))
    return [f"{ROOT_PACKAGE}/{directory}" for directory in sorted(packages)]
