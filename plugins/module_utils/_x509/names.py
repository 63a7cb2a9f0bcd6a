# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import typing as t
import unicodedata
from collections.abc import Iterable, Mapping

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error

with contextlib.suppress(ImportError):
    from cryptography import x509

# Short name, object identifier, longest value (RFC 5280, appendix A), other names; in the order of the encoding.
_ATTRIBUTES: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    ("C", "2.5.4.6", 2, ("countryName",)),
    ("ST", "2.5.4.8", 128, ("stateOrProvinceName",)),
    ("L", "2.5.4.7", 128, ("localityName",)),
    ("O", "2.5.4.10", 64, ("organizationName",)),
    ("OU", "2.5.4.11", 64, ("organizationalUnitName",)),
    ("CN", "2.5.4.3", 64, ("commonName",)),
    ("emailAddress", "1.2.840.113549.1.9.1", 255, ("E",)),
    ("serialNumber", "2.5.4.5", 64, ("SerialNumber",)),
)
_SHORT = {
    other: short for short, _oid, _longest, others in _ATTRIBUTES for other in (short, *others)
}
_LONGEST = {short: longest for short, _oid, longest, _others in _ATTRIBUTES}
_OIDS = {short: oid for short, oid, _longest, _others in _ATTRIBUTES}
_BY_OID = {oid: short for short, oid in _OIDS.items()}
_ORDER = list(_OIDS)
Subject = tuple[tuple[str, str], ...]
# IDNA 2008 gives these characters other names than Python's IDNA 2003 does: ß (two forms of sigma likewise) and joiners.
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
)
_EMAIL_USER = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")


def parse_subject(options: Mapping[str, t.Any], names: Iterable[Mapping[str, t.Any]]) -> Subject:
    """Return the attributes of a subject, given as a mapping and as cfssl's list of mappings, in the order of the encoding.

    Raises X509Error for an unknown attribute or a bad value.
    """
    found: list[tuple[str, str]] = []
    for where, mapping in (
        ("subject", options),
        *((f"names[{index}]", entry) for index, entry in enumerate(names)),
    ):
        for name, values in mapping.items():
            place = f"{where}.{name}"
            short = _SHORT.get(str(name))
            if short is None:
                raise X509Error(f"unknown attribute; use one of {', '.join(_ORDER)}", option=place)
            for value in values if isinstance(values, list) and values else [values]:
                _check_attribute(place, short, value)
                if (short, value) not in found:
                    found.append((short, value))
    if sum(short == "CN" for short, _value in found) > 1:
        raise X509Error(
            "more than one common name; give one, and the others in subject_alt_name",
            option="subject.CN",
        )
    return tuple(sorted(found, key=lambda pair: _ORDER.index(pair[0])))


def _check_attribute(place: str, short: str, value: object) -> None:
    if not isinstance(value, str):
        raise X509Error(f"{value!r} is not a string: put it in quotes", option=place)
    if not value.strip() or value != value.strip():
        raise X509Error(f"{value!r} is empty, or begins or ends with a space", option=place)
    if any(unicodedata.category(char).startswith("C") for char in value):
        raise X509Error(
            f"{value[:80]!a} has control, invisible or unassigned characters: remove them",
            option=place,
        )
    if len(value) > _LONGEST[short]:
        raise X509Error(
            f"has {len(value)} characters, at most {_LONGEST[short]} are allowed", option=place
        )
    if short == "C" and not re.fullmatch(r"[A-Z]{2}", value):
        raise X509Error(
            f"{value!r} is not a country: write its two capital letters (ISO 3166), such as CN",
            option=place,
        )
    if short == "serialNumber" and not re.fullmatch(r"[A-Za-z0-9 '()+,./:=?-]+", value):
        raise X509Error(f"{value!r} has characters that a PrintableString lacks", option=place)
    if short == "emailAddress":
        _email(value, place)


def build_x509_name(attributes: Subject) -> x509.Name:
    """Return the library's form of a subject."""
    return x509.Name(
        [
            x509.NameAttribute(x509.ObjectIdentifier(_OIDS[short]), value)
            for short, value in attributes
        ]
    )


def describe_name(name: x509.Name) -> dict[str, t.Any]:
    """Return a distinguished name as a mapping of short names; an attribute with several values has a sorted list."""
    values: dict[str, list[str]] = {}
    for attribute in name:
        oid = attribute.oid.dotted_string
        values.setdefault(_BY_OID.get(oid, oid), []).append(str(attribute.value))
    return {key: found[0] if len(found) == 1 else sorted(found) for key, found in values.items()}


def parse_alt_names(entries: Iterable[object], where: str = "subject_alt_name") -> tuple[str, ...]:
    """Return subject alternative names with their types ("DNS:m1.example"), each once; raise X509Error for a bad one."""
    return tuple(
        dict.fromkeys(_alt_name(entry, f"{where}[{index}]") for index, entry in enumerate(entries))
    )


def _alt_name(entry: object, place: str) -> str:
    if not isinstance(entry, str) or not entry:
        raise X509Error(
            f"{entry!r} is not a name: give an address, a DNS name, an e-mail address or a URI",
            option=place,
        )
    prefix, colon, rest = entry.partition(":")
    kind = (
        {"dns": "DNS", "ip": "IP", "email": "email", "uri": "URI"}.get(prefix.lower())
        if colon
        else None
    )
    value = rest if kind else entry
    if kind is None:
        kind = (
            "URI"
            if "://" in entry
            else "email"
            if "@" in entry
            else "IP"
            if _like_address(entry)
            else "DNS"
        )
    return f"{kind}:{_CHECKS[kind](value, place)}"


def _like_address(text: str) -> bool:
    last = text.rpartition(".")[2]
    return ":" in text or last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last.lower()) is not None


def _address(text: str, place: str) -> str:
    advice = f"{text!r} is not an IP address: write it as 192.0.2.1 or 2001:db8::1, with no prefix length or zone"
    if "%" in text or (":" not in text and re.search(r"(^|\.)0[0-9]", text)):
        raise X509Error(advice, option=place)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise X509Error(advice, option=place) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise X509Error(
            f"{text!r} is an IPv4 address written as IPv6: write {address.ipv4_mapped}",
            option=place,
        )
    return str(address)


def _dns(text: str, place: str, *, wildcard: bool = True) -> str:
    advice = (
        f"{text[:80]!a} is not a DNS name: letters, digits and inner hyphens in labels of up to 63 characters,"
        " 253 in all, with no dot at its end; a wildcard is the whole first label of three or more"
    )
    name = text.lower()
    if not name.isascii():
        if _DEVIATIONS & set(text):
            raise X509Error(
                f"{text!a} has a letter on whose encoding IDNA's versions differ: write it as xn--",
                option=place,
            )
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise X509Error(advice, option=place) from None
    labels = name.split(".")
    if wildcard and labels[0] == "*" and len(labels) > 2:
        labels = labels[1:]
    bad = (
        not all(_LABEL.fullmatch(label) for label in labels)
        or len(name) > 253
        or _like_address(name)
    )
    if bad or any(label.startswith("xn--") and not _decodes(label) for label in labels):
        raise X509Error(advice, option=place)
    return name


def _decodes(label: str) -> bool:
    try:
        return bool(label[4:].encode("ascii").decode("punycode"))
    except UnicodeError:
        return False


def _email(text: str, place: str) -> str:
    user, _at, domain = text.rpartition("@")
    if (
        not _EMAIL_USER.fullmatch(user)
        or user.startswith(".")
        or user.endswith(".")
        or ".." in user
    ):
        raise X509Error(
            f"{text[:80]!a} is not an e-mail address: write it as user@example.com", option=place
        )
    return f"{user}@{_dns(domain, place, wildcard=False)}"


def _uri(text: str, place: str) -> str:
    if not _URI.fullmatch(text):
        raise X509Error(
            f"{text[:80]!a} is not a URI: write scheme://host/path, with all else percent-encoded",
            option=place,
        )
    return text


_CHECKS: dict[str, t.Callable[[str, str], str]] = {
    "DNS": _dns,
    "IP": _address,
    "email": _email,
    "URI": _uri,
}


def build_general_name(entry: str) -> x509.GeneralName:
    """Return the library's form of a typed name; an IP entry of a name constraint is a network."""
    kind, _colon, value = entry.partition(":")
    if kind == "IP":
        return x509.IPAddress(
            ipaddress.ip_network(value) if "/" in value else ipaddress.ip_address(value)
        )
    kinds: dict[str, t.Any] = {
        "DNS": x509.DNSName,
        "email": x509.RFC822Name,
        "URI": x509.UniformResourceIdentifier,
    }
    return t.cast("x509.GeneralName", kinds[kind](value))


def describe_general_names(names: Iterable[x509.GeneralName]) -> list[str]:
    """Return typed names, sorted, in the form of the option."""
    kinds = {
        x509.DNSName: "DNS",
        x509.IPAddress: "IP",
        x509.RFC822Name: "email",
        x509.UniformResourceIdentifier: "URI",
    }
    return sorted(f"{kinds.get(type(name), 'other')}:{name.value}" for name in names)


def parse_name_constraints(entries: Iterable[object], where: str) -> tuple[str, ...]:
    """Return the subtrees of a name constraint: DNS domains, e-mail domains or addresses, networks.

    Raises X509Error for a bad one; *where* is its option.
    """
    found = []
    for index, entry in enumerate(entries):
        place = f"{where}[{index}]"
        kind, _colon, value = str(entry).partition(":")
        if kind == "IP":
            try:
                found.append(f"IP:{ipaddress.ip_network(value)}")
            except ValueError:
                raise X509Error(
                    f"{value!r} is not a network: write IP:192.0.2.0/24", option=place
                ) from None
        elif kind == "DNS":
            found.append(
                f"DNS:{value[:1] if value[:1] == '.' else ''}{_dns(value.lstrip('.'), place, wildcard=False)}"
            )
        elif kind == "email":
            found.append(
                f"email:{_email(value, place) if '@' in value else _dns(value, place, wildcard=False)}"
            )
        else:
            raise X509Error(
                f"{str(entry)[:80]!a} is not a name constraint: begin it with DNS:, IP: or email:",
                option=place,
            )
    return tuple(dict.fromkeys(found))


def find_disallowed_name(
    entries: Iterable[str], permitted: Iterable[str], excluded: Iterable[str]
) -> str | None:
    """Return the first of these names that the name constraints of a CA do not allow."""
    permitted, excluded = list(permitted), list(excluded)
    for entry in entries:
        kind = entry.partition(":")[0]
        alike = [limit for limit in permitted if limit.startswith(f"{kind}:")]
        if (alike and not any(_within(entry, limit) for limit in alike)) or any(
            _within(entry, x) for x in excluded
        ):
            return entry
    return None


def _within(entry: str, limit: str) -> bool:
    (kind, _colon, value), (other, _colon, domain) = entry.partition(":"), limit.partition(":")
    if kind != other:
        return False
    if kind == "IP":
        address, network = ipaddress.ip_address(value), ipaddress.ip_network(domain)
        return address.version == network.version and address in network
    if kind == "email":
        return value == domain if "@" in domain else _below(value.rpartition("@")[2], domain)
    return kind == "DNS" and _below(value, domain)


def _below(name: str, domain: str) -> bool:
    domain = domain.lstrip(".")
    return name == domain or name.endswith(f".{domain}")
