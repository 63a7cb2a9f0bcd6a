# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    build_general_name,
    build_x509_name,
    describe_general_names,
    describe_name,
    parse_alt_names,
    parse_name_constraints,
    parse_subject,
)
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tests.support.fake_module import one_line


def test_subject_and_names_are_merged_in_a_fixed_order() -> None:
    entry = {
        "C": "CN",
        "ST": "BeiJing",
        "L": "BeiJing",
        "O": "system:kube-scheduler",
        "OU": "4Paradigm",
    }
    found = parse_subject({"commonName": "system:kube-scheduler", "O": ["b", "a"]}, [entry])
    assert [short for short, _value in found] == ["C", "ST", "L", "O", "O", "O", "OU", "CN"]
    assert describe_name(build_x509_name(found)) == {
        **entry,
        "O": ["a", "b", "system:kube-scheduler"],
        "CN": "system:kube-scheduler",
    }


def test_multi_valued_rdn_is_read_as_single_ones() -> None:
    oid = x509.NameOID.ORGANIZATION_NAME
    several = x509.Name(
        [x509.RelativeDistinguishedName([x509.NameAttribute(oid, value) for value in ("b", "a")])]
    )
    assert describe_name(several) == {"O": ["a", "b"]}


STRANGE = [
    "",
    " ",
    " a",
    "a ",
    "a\0",
    "a\nb",
    "a\tb",
    "a\r",
    "\u202ea",
    "a\u200b",
    "\ud800",
    "\ue000",
    "x" * 65,
    "x" * 10000,
]
NOT_STRINGS: list[Any] = [None, True, 1, 1.5, {"a": 1}, [["a"]], [None], b"a"]


@pytest.mark.parametrize("attribute", ["CN", "O", "OU", "serialNumber"])
@pytest.mark.parametrize("value", [*STRANGE, *NOT_STRINGS])
def test_invalid_attribute_value_is_rejected(attribute: str, value: Any) -> None:
    with pytest.raises(X509Error, match=rf"^subject\.{attribute}: ") as caught:
        parse_subject({attribute: value}, [])
    one_line(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", ["CHN", "cn", "C", "C\n", "", "ÇN", "12", "CN "])
def test_country_without_two_capital_letters_is_rejected(value: str) -> None:
    with pytest.raises(X509Error) as caught:
        parse_subject({"C": value}, [])
    one_line(caught.value)


@pytest.mark.parametrize(
    "value",
    ["{{ 7*7 }}", "$(id)", "`id`", "; rm", "../x", "-rf", "a,b=c+d", "# x", ": ", "&a", "*a", "🙂"],
)
def test_unusual_valid_value_is_kept(value: str) -> None:
    if value != value.strip():
        value = value.strip()
    assert describe_name(build_x509_name(parse_subject({"CN": value}, []))) == {"CN": value}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"cn": "x"}, []),
        ({"": "x"}, []),
        ({"CN": "a"}, [{"CN": "b"}]),
        ({}, [{"hosts": "x"}]),
        ({"CN": ["a", "b"]}, []),
    ],
)
def test_unknown_attribute_or_second_common_name_is_rejected(options: Any, names: Any) -> None:
    with pytest.raises(X509Error) as caught:
        parse_subject(options, names)
    one_line(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a" * 65, "has 65 characters; use at most 64"),
        ("\U0001d400" * 16 + "0", "has 65 bytes in UTF-8; use at most 64 bytes"),
    ],
)
def test_common_name_that_is_too_long_is_rejected(name: str, message: str) -> None:
    with pytest.raises(X509Error) as caught:
        parse_subject({"CN": name}, [])
    assert one_line(caught.value).endswith(message)
    parse_subject({"CN": name[1:]}, [])


@given(
    st.dictionaries(st.sampled_from(["CN", "O", "OU", "L", "ST", "C", "E"]), st.text(max_size=70))
)
def test_any_subject_is_kept_or_rejected_in_one_line(options: dict[str, str]) -> None:
    try:
        found = parse_subject(options, [])
    except X509Error as exc:
        one_line(exc)
    else:
        expected = {
            ("emailAddress" if key == "E" else key): value for key, value in options.items()
        }
        assert describe_name(build_x509_name(found)) == expected


GOOD = {
    "127.0.0.1": "IP:127.0.0.1",
    "IP:10.0.0.1": "IP:10.0.0.1",
    "::1": "IP:::1",
    "2001:DB8:0::1": "IP:2001:db8::1",
    "fe80::1": "IP:fe80::1",
    "m1.example.com": "DNS:m1.example.com",
    "M1.Example.COM": "DNS:m1.example.com",
    "DNS:localhost": "DNS:localhost",
    "dns:localhost": "DNS:localhost",
    "*.example.com": "DNS:*.example.com",
    "bücher.de": "DNS:xn--bcher-kva.de",
    "xn--bcher-kva.de": "DNS:xn--bcher-kva.de",
    "1a.2b": "DNS:1a.2b",
    "kubernetes.default.svc.cluster.local": "DNS:kubernetes.default.svc.cluster.local",
    "a@example.com": "email:a@example.com",
    "email:a+b@example.com": "email:a+b@example.com",
    "https://example.com/x?y=1": "URI:https://example.com/x?y=1",
    "URI:spiffe://cluster/ns/x": "URI:spiffe://cluster/ns/x",
    f"{'a' * 63}.example": f"DNS:{'a' * 63}.example",
}
BAD = [
    "1.2.3.4/24",
    "1.2.3",
    "01.2.3.4",
    "1.2.3.04",
    "0x7f.1",
    "256.1.1.1",
    "1.2.3.4.5",
    "0x10",
    "12345",
    "::1%eth0",
    "fe80::1%1",
    "[::1]",
    "::ffff:1.2.3.4",
    "1::2::3",
    "a_b",
    "a.",
    ".a",
    "a..b",
    ".",
    "-",
    "a-",
    "-a",
    "*",
    "*.x",
    "x*.y",
    "*.*.x",
    "*x.y.z",
    "a.*.b",
    "xn--",
    "xn--a-.x",
    "xn--99999999",
    "faß.de",
    "a@",
    "@b",
    "a@b@c",
    ".a@b",
    "a..b@c",
    "a@1.2.3.4",
    "a@*.b.c",
    "IP:localhost",
    "IP:1.2.3.0/24",
    "IP:",
    "DNS:",
    "URI:",
    "email:",
    "URI:x",
    "URI:http:",
    "http://",
    "http://x/<y>",
    "ftp://x/|",
    "RID:1.2.3",
    "DNS:1.2.3.4",
    "email:x",
    "URI:a\\b://c",
    "http://bücher.de/",
    "a/b",
    "$(id)",
    "{{x}}",
    "a,b",
]


@pytest.mark.parametrize("text", GOOD)
def test_name_gets_its_type(text: str) -> None:
    assert parse_alt_names([text]) == (GOOD[text],)
    assert describe_general_names([build_general_name(GOOD[text])]) == [GOOD[text]]


@pytest.mark.parametrize(
    "entry",
    [
        *BAD,
        "",
        " ",
        "a b",
        " a",
        "a\n",
        "a\0",
        "\u202ea",
        "\ud800",
        "a" * 64,
        ".".join(["a" * 49] * 6),
        None,
        1,
        True,
        ["a"],
    ],
)
def test_invalid_name_is_rejected(entry: Any) -> None:
    with pytest.raises(X509Error, match=r"^subject_alt_name\[1\]: ") as caught:
        parse_alt_names(["ok.example", entry])
    one_line(caught.value)
    assert len(str(caught.value)) < 400


def test_duplicate_name_is_kept_once() -> None:
    assert parse_alt_names(["a.b", "A.b", "DNS:a.b", "127.0.0.1", "IP:127.0.0.1"]) == (
        "DNS:a.b",
        "IP:127.0.0.1",
    )


@given(st.text(max_size=40))
def test_any_name_is_typed_or_rejected_in_one_line(text: str) -> None:
    try:
        (typed,) = parse_alt_names([text])
    except X509Error as exc:
        one_line(exc)
    else:
        assert parse_alt_names([typed]) == (typed,)
        assert describe_general_names([build_general_name(typed)]) == [typed]


@given(st.ip_addresses())
def test_any_address_is_accepted(address: Any) -> None:
    if not getattr(address, "ipv4_mapped", None) and not getattr(address, "scope_id", None):
        assert parse_alt_names([str(address)]) == (f"IP:{address}",)


def test_thousand_names_are_accepted() -> None:
    assert (
        len(parse_alt_names([f"10.0.{number // 256}.{number % 256}" for number in range(1000)]))
        == 1000
    )


def test_name_constraints_are_normalized_or_rejected() -> None:
    found = parse_name_constraints(["DNS:.Example.com", "IP:10.0.0.0/8", "email:example.com"], "x")
    assert found == ("DNS:.example.com", "IP:10.0.0.0/8", "email:example.com")
    for bad in ("example.com", "IP:10.0.0.1/8", "DNS:*.x.y", "URI:x", ""):
        with pytest.raises(X509Error) as caught:
            parse_name_constraints([bad], "name_constraints.permitted")
        one_line(caught.value)
