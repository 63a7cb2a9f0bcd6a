# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import (
    apply_profile,
    convert_profile,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
    parse_key_kind,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    build_extended_key_usage,
    describe_extended_key_usage,
    parse_usages,
    select_usable,
)
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_module import one_line
from tests.support.pki import options, write_profiles


def test_profile_sets_options_that_the_task_does_not_set(tmp_path: Path) -> None:
    path = write_profiles(tmp_path)
    found = apply_profile(options(ca_config=path, profile="kubernetes", valid_for="24h"))
    assert found["valid_for"] == "24h"
    assert found["key_usage"] == ["digitalSignature", "keyEncipherment"]
    assert found["extended_key_usage"] == ["clientAuth", "serverAuth"]
    assert "profile" not in found
    client = apply_profile(
        options(ca_config=path, profile="kubernetes", extended_key_usage=["client auth"])
    )
    assert client["extended_key_usage"] == ["client auth"]
    assert parse_certificate_spec({**client, "subject": {"CN": "x"}}).extended_key_usage == (
        "clientAuth",
    )


@pytest.mark.parametrize("name", ["nosuch", "", " ", "Kubernetes", "default\n", "../x"])
def test_unknown_profile_is_rejected_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(X509Error, match="set one of: kubernetes") as caught:
        apply_profile(options(ca_config=write_profiles(tmp_path), profile=name))
    one_line(caught.value)


def test_profile_without_its_file_is_rejected() -> None:
    with pytest.raises(X509Error, match="set ca_config to the path of cfssl's configuration"):
        apply_profile(options(profile="kubernetes"))
    with pytest.raises(MissingError, match="does not exist"):
        apply_profile(options(ca_config="/nonexistent/ca-config.json"))


USAGES = ["signing", "client auth"]
BAD_PROFILES: dict[str, Any] = {
    "no usages": {"expiry": "1h"},
    "empty usages": {"usages": []},
    "unknown usage": {"usages": ["signing", "sign things"]},
    "usages as text": {"usages": "signing"},
    "zero": {"usages": USAGES, "expiry": "0h"},
    "negative": {"usages": USAGES, "expiry": "-1h"},
    "years": {"usages": USAGES, "expiry": "1y"},
    "a number": {"usages": USAGES, "expiry": 8760},
    "backdate": {"usages": USAGES, "backdate": "x"},
    "for CAs": {"usages": USAGES, "ca_constraint": {"is_ca": True}},
    "constraint as text": {"usages": USAGES, "ca_constraint": "yes"},
    "more than we do": {"usages": USAGES, "crl_url": "http://x/"},
    "remote": {"usages": USAGES, "auth_remote": {"remote": "x"}},
    "not a mapping": ["signing"],
    "null": None,
}


@pytest.mark.parametrize("case", BAD_PROFILES)
def test_invalid_profile_is_rejected(tmp_path: Path, case: str) -> None:
    path = write_profiles(tmp_path, {"signing": {"profiles": {"p": BAD_PROFILES[case]}}})
    with pytest.raises(X509Error) as caught:
        apply_profile(options(ca_config=path, profile="p"))
    one_line(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "null",
        "{",
        '{"signing": []}',
        '{"signing": {"profiles": []}}',
        "\ufeff{}",
        "[" * 20000,
    ],
)
def test_invalid_configuration_is_rejected(tmp_path: Path, content: str) -> None:
    path = tmp_path / "c.json"
    path.write_text(content)
    for profile in (None, "kubernetes"):
        with pytest.raises(X509Error) as caught:
            apply_profile(options(ca_config=str(path), profile=profile))
        one_line(caught.value)


def test_ca_profile_sets_the_options_of_a_ca(tmp_path: Path) -> None:
    content = {
        "signing": {
            "profiles": {
                "ca": {
                    "usages": ["cert sign", "crl sign"],
                    "ca_constraint": {"is_ca": True, "max_path_len": 1},
                }
            }
        }
    }
    found = apply_profile(
        options(ca_config=write_profiles(tmp_path, content), profile="ca", is_ca=True)
    )
    assert (found["path_length"], found["key_usage"]) == (1, ["cRLSign", "keyCertSign"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["is_ca", "max_path_len", "x"]), inner)
    ),
)


@given(
    st.dictionaries(
        st.sampled_from(["usages", "expiry", "backdate", "ca_constraint", "x"]), ANYTHING
    ),
    st.booleans(),
)
def test_any_profile_is_converted_or_rejected_in_one_line(
    profile: dict[str, Any], usable: bool
) -> None:
    try:
        found = convert_profile(
            {**profile, "usages": ["signing"]} if usable else profile, "profile"
        )
        parse_certificate_spec(options(subject={"CN": "x"}, **found))
    except X509Error as exc:
        one_line(exc)


CASES: dict[str, dict[str, Any]] = {
    "unknown usage": {"key_usage": ["sign"]},
    "extended usage among key usages": {"key_usage": ["clientAuth"]},
    "unknown extended usage": {"extended_key_usage": ["server"]},
    "no usage": {"key_usage": []},
    "CA usage on a leaf": {"key_usage": ["keyCertSign"]},
    "CRL usage on a leaf": {"key_usage": ["digitalSignature", "crl sign"]},
    "CA that may not sign": {"is_ca": True, "key_usage": ["cRLSign"]},
    "path length on a leaf": {"path_length": 0},
    "constraints on a leaf": {"name_constraints": {"permitted": ["DNS:x"], "excluded": []}},
    "negative path length": {"is_ca": True, "path_length": -1},
    "huge path length": {"is_ca": True, "path_length": 2**63},
    "nobody": {"subject": {}, "names": [], "subject_alt_name": []},
    "nameless CA": {"is_ca": True, "subject": {}, "subject_alt_name": ["x.y"]},
    "no time": {"valid_for": "0h"},
    "always in the window": {"valid_for": "719h"},
    "nothing to renew before": {"renew_before": "0h"},
    "backdate": {"backdate": "-5m"},
}


@pytest.mark.parametrize("case", CASES)
def test_invalid_options_are_rejected(case: str) -> None:
    with pytest.raises(X509Error) as caught:
        parse_certificate_spec(options(**{"subject": {"CN": "x"}, **CASES[case]}))
    one_line(caught.value)


@pytest.mark.parametrize(
    "given_options",
    [
        {"privatekey_type": "RSA", "privatekey_size": size}
        for size in (-1, 0, 1, 511, 1024, 2047, 8193, 65536, 2**63)
    ]
    + [
        {"privatekey_type": "ECC", "privatekey_size": 2048},
        {"privatekey_type": "Ed25519", "privatekey_size": 256},
        {"privatekey_type": "RSA", "privatekey_curve": "secp256r1"},
        {"privatekey_type": "Ed25519", "privatekey_format": "traditional"},
    ],
)
def test_invalid_key_options_are_rejected(given_options: dict[str, Any]) -> None:
    with pytest.raises(X509Error) as caught:
        parse_key_kind(options(**given_options))
    one_line(caught.value)


@pytest.mark.parametrize(
    ("key_type", "left"),
    [
        ("RSA", ("digitalSignature", "keyEncipherment")),
        ("ECC", ("digitalSignature",)),
        ("Ed25519", ("digitalSignature",)),
    ],
)
def test_key_gets_only_the_usages_of_its_type(key_type: str, left: tuple[str, ...]) -> None:
    spec = parse_certificate_spec(options(subject={"CN": "x"}))
    assert select_usable(spec.key_usage, key_type) == left
    if key_type != "RSA":
        with pytest.raises(X509Error, match="cannot be used for"):
            select_usable(("keyEncipherment",), key_type)


def test_all_usages_of_cfssl_are_known() -> None:
    names = (
        "signing|digital signature|content commitment|key encipherment|key agreement|data encipherment|cert sign|crl sign|encipher only|decipher only|"
        "any|server auth|client auth|code signing|email protection|s/mime|ipsec end system|ipsec tunnel|ipsec user|timestamping|ocsp signing|"
        "microsoft sgc|netscape sgc"
    )
    found = parse_usages(names.split("|"), "x", ("key_usage", "extended_key_usage"))
    assert (len(found["key_usage"]), len(found["extended_key_usage"])) == (9, 12)
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1.3.6.1.5.5.7.3.17", "1.3.6.1.5.5.7.3.17"),
        ("1.3.6.1.5.5.7.3.2", "clientAuth"),
        ("2.999.2147483647", "2.999.2147483647"),
    ],
)
def test_extended_key_usage_can_be_an_object_identifier(given: str, expected: str) -> None:
    spec = parse_certificate_spec({"subject": {"CN": "x"}, "extended_key_usage": [given]})
    assert spec.extended_key_usage == (expected,)
    built = build_extended_key_usage(spec.extended_key_usage)
    assert describe_extended_key_usage(built) == [expected]


@pytest.mark.parametrize("given", ["1.3", "1.40.1", "3.1.1", "1.3.06", "1.3.2147483648", "1.3.6."])
def test_invalid_object_identifier_is_rejected(given: str) -> None:
    with pytest.raises(X509Error) as caught:
        parse_usages([given], "extended_key_usage", ("extended_key_usage",))
    assert str(caught.value).count("anyExtendedKeyUsage") == 1


@pytest.mark.parametrize(
    ("extended", "expected"),
    [
        (["clientAuth"], ("digitalSignature",)),
        (["serverAuth"], ("digitalSignature", "keyEncipherment")),
        (None, ("digitalSignature", "keyEncipherment")),
    ],
)
def test_only_a_server_certificate_has_key_encipherment_by_default(
    extended: list[str] | None, expected: tuple[str, ...]
) -> None:
    spec = parse_certificate_spec({"subject": {"CN": "x"}, "extended_key_usage": extended})
    assert spec.key_usage == expected
