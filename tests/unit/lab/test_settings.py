# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
import settings as lab
from hypothesis import given
from hypothesis import strategies as st
from shell import LabError

ROOT = Path("/clone")


def test_defaults_of_the_settings() -> None:
    settings = lab.read({}, ROOT)
    assert settings.state == ROOT / ".lab"
    assert settings.hosts == settings.control_plane == ("m1", "m2", "m3")
    assert settings.hostname("m1") == "m1.kube-ha.example"
    assert settings.container("m1") == "kube-ha-m1"
    assert settings.required == tuple(
        (lab.NEWEST, name) for name in ("kube-apiserver", "kubectl", "kube-scheduler")
    )


def test_empty_variable_counts_as_not_set() -> None:
    assert lab.read({"LAB_NAME": "", "LAB_MASTERS": " ", "LAB_KUBE_VERSION": ""}, ROOT) == lab.read(
        {}, ROOT
    )


def test_settings_follow_the_environment() -> None:
    settings = lab.read(
        {
            "LAB_NAME": "other",
            "LAB_MASTERS": "5",
            "LAB_KUBE_VERSION": "v1.36.1",
            "LAB_SCHEDULERS": "1.37.2 1.36.1",
        },
        ROOT,
    )
    assert settings.state == ROOT / ".lab-other"
    assert settings.hosts == ("m1", "m2", "m3", "m4", "m5")
    assert settings.control_plane == ("m1", "m2", "m3")
    assert settings.required.count(("1.36.1", "kube-scheduler")) == 1
    assert ("1.37.2", "kube-scheduler") in settings.required
    assert ("1.37.2", "kube-apiserver") not in settings.required


def test_debian_releases_follow_the_environment() -> None:
    settings = lab.read(
        {"LAB_MASTERS": "6", "LAB_SUITES": "bookworm bookworm bookworm bullseye trixie"}, ROOT
    )
    assert [settings.suite(host) for host in settings.hosts[2:]] == [
        "bookworm",
        "bullseye",
        "trixie",
        "bookworm",
    ]


@pytest.mark.parametrize(
    "suites", ["bookworm bookworm bookworm sid", "trixie", "bookworm bookworm bullseye"]
)
def test_invalid_debian_releases_are_rejected(suites: str) -> None:
    with pytest.raises(
        LabError,
        match="set one of bookworm, bullseye, trixie for each host, and bookworm for the hosts",
    ):
        lab.read({"LAB_SUITES": suites}, ROOT)


def test_local_directory_is_served_separately(tmp_path: Path) -> None:
    plain = lab.read({}, ROOT)
    own = lab.read({"LAB_BINARIES": str(tmp_path)}, ROOT)
    assert own.served != plain.served
    assert own.served.is_relative_to(own.cache)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LAB_NAME", "Upper"),
        ("LAB_NAME", "../up"),
        ("LAB_NAME", "-x"),
        ("LAB_MASTERS", "0"),
        ("LAB_MASTERS", "13"),
        ("LAB_MASTERS", "three"),
        ("LAB_MASTERS", "-1"),
        ("LAB_KUBE_VERSION", "newest"),
        ("LAB_KUBE_VERSION", "1.37"),
        ("LAB_SCHEDULERS", "1.36.1,1.37.2"),
        ("LAB_BINARIES", "/nowhere/at/all"),
    ],
)
def test_invalid_settings_are_rejected_on_one_line(variable: str, value: str) -> None:
    with pytest.raises(LabError, match=variable) as caught:
        lab.read({variable: value}, ROOT)
    assert "\n" not in str(caught.value)


@given(
    st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=32),
    st.sets(st.integers(0, 511), max_size=9),
)
def test_subnet_depends_on_the_name_and_is_free(name: str, used: set[int]) -> None:
    every = list(lab.BENCHMARK_RANGE.subnets(new_prefix=24))
    taken = [every[index] for index in used]
    chosen = lab.choose_subnet(name, taken)
    assert chosen == lab.choose_subnet(name, taken)
    assert chosen in every
    assert chosen not in taken
    free = lab.choose_subnet(name, [])
    assert free in taken or chosen == free


def test_without_a_free_subnet_the_lab_fails() -> None:
    with pytest.raises(LabError, match="no free network"):
        lab.choose_subnet("x", [ipaddress.IPv4Network("198.16.0.0/12")])


def test_addresses_of_mirror_and_hosts() -> None:
    subnet = ipaddress.IPv4Network("198.18.10.0/24")
    assert lab.address(subnet, "mirror") == "198.18.10.2"
    assert lab.address(subnet, "m1") == "198.18.10.11"
    assert lab.address(subnet, "m12") == "198.18.10.22"


def test_versions_sort_by_number() -> None:
    assert lab.version_key("1.9.10") < lab.version_key("1.10.2")
