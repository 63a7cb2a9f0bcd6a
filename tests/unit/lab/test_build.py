# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import build
import pytest

UPSTREAM = """module k8s.io/kubernetes

go 1.25.0

godebug default=go1.25

godebug (
\tx=1
)

require (
\tk8s.io/api v0.0.0
)

replace (
\tk8s.io/api => ./staging/src/k8s.io/api
\tk8s.io/client-go => ./staging/src/k8s.io/client-go
\texample.org/x => example.org/y v1.0.0
)
"""


def test_go_mod_takes_staging_modules_from_their_published_versions() -> None:
    assert build.go_mod("1.37.2", UPSTREAM).splitlines() == [
        "module lab.invalid/kubernetes",
        "go 1.25.0",
        "godebug default=go1.25",
        "godebug (",
        "\tx=1",
        ")",
        "require k8s.io/kubernetes v1.37.2",
        "replace k8s.io/api => k8s.io/api v0.37.2",
        "replace k8s.io/client-go => k8s.io/client-go v0.37.2",
    ]


def test_tools_go_imports_every_command() -> None:
    assert '"k8s.io/kubernetes/cmd/kubectl"' in build.tools_go(["kube-scheduler", "kubectl"])


def test_version_flags_set_version_of_each_package() -> None:
    assert build.version_flags("1.37.2", ["p/version"]) == (
        "-s -w -X p/version.gitVersion=v1.37.2 -X p/version.gitMajor=1 -X p/version.gitMinor=37"
    )


def test_older_go_is_rejected() -> None:
    build.refuse_old_go("go version go1.26.8 linux/amd64", UPSTREAM)
    with pytest.raises(
        build.CannotBuildError, match=r"needs Go 1\.25\.0 or newer, but this is Go 1\.19\.8"
    ):
        build.refuse_old_go("go version go1.19.8 linux/amd64", UPSTREAM)


def test_openapi_packages_are_those_that_request_generation(tmp_path: Path) -> None:
    for directory, marked in (
        ("pkg/apis/a", True),
        ("pkg/apis/b", False),
        ("staging/src/k8s.io/api/core/v1", True),
        ("staging/src/k8s.io/sample-apiserver/pkg", True),
        ("staging/src/k8s.io/code-generator/x", True),
    ):
        path = tmp_path / directory / "doc.go"
        path.parent.mkdir(parents=True)
        path.write_text("// +k8s:openapi-gen=true\n" if marked else "package b\n")
    assert build.openapi_packages(tmp_path) == [
        "k8s.io/kubernetes/pkg/apis/a",
        "k8s.io/kubernetes/vendor/k8s.io/api/core/v1",
    ]
