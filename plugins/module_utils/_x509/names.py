# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse, convert and describe names in certificates."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import typing as t
import unicodedata
from collections.abc import Iterable, Mapping

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der

with contextlib.suppress(ImportError):
    from cryptography import x509

# Each attribute has a short name, an object identifier, a maximum length (RFC 5280, appendix A) and
# other names. Certificates encode the attributes in this order.
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
_SHORT = {other: short for short, _oid, _max, others in _ATTRIBUTES for other in (short, *others)}
_MAX_CHARS = {short: max_chars for short, _oid, max_chars, _others in _ATTRIBUTES}
_OIDS = {short: oid for short, oid, _max, _others in _ATTRIBUTES}
_BY_OID = {oid: short for short, oid in _OIDS.items()}
_ORDER = list(_OIDS)
_ENCODINGS = {der.T61_STRING: "latin-1", der.BMP_STRING: "utf-16-be"}
Subject = tuple[tuple[str, str], ...]
# IDNA 2003, which Python uses, and IDNA 2008 encode these characters differently.
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*://(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+"
)
_EMAIL_USER = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}")


def parse_subject(options: Mapping[str, t.Any], names: Iterable[Mapping[str, t.Any]]) -> Subject:
    """Parse a subject, and return its attributes in the order of the encoding.

    `options` is the option subject, `names` the list of mappings of cfssl. Raises X509Error for an
    unknown attribute or an invalid value.
    """
    attributes: list[tuple[str, str]] = []
    for option, mapping in (
        ("subject", options),
        *((f"names[{index}]", entry) for index, entry in enumerate(names)),
    ):
        for name, values in mapping.items():
            location = f"{option}.{name}"
            short = _SHORT.get(str(name))
            if short is None:
                raise X509Error(
                    f"unknown attribute; use one of {', '.join(_ORDER)}", option=location
                )
            for value in values if isinstance(values, list) and values else [values]:
                _check_attribute(location, short, value)
                if (short, value) not in attributes:
                    attributes.append((short, value))
    if sum(short == "CN" for short, _value in attributes) > 1:
        raise X509Error(
            "has more than one common name; keep one, and move the others to subject_alt_name",
            option="subject.CN",
        )
    return tuple(sorted(attributes, key=lambda pair: _ORDER.index(pair[0])))


def _check_attribute(location: str, short: str, value: object) -> None:
    if not isinstance(value, str):
        raise X509Error(f"{value!r} is not a string; quote it", option=location)
    if not value.strip() or value != value.strip():
        raise X509Error(
            f"{value!r} is empty, or begins or ends with a space; set text without spaces at the"
            " ends",
            option=location,
        )
    if any(unicodedata.category(char).startswith("C") for char in value):
        raise X509Error(
            f"{value[:80]!a} has control, invisible or unassigned characters; remove them",
            option=location,
        )
    if len(value) > _MAX_CHARS[short]:
        raise X509Error(
            f"has {len(value)} characters; use at most {_MAX_CHARS[short]}", option=location
        )
    size = len(value.encode())
    if short == "CN" and size > _MAX_CHARS[short]:
        # The library counts the bytes of this attribute, unlike RFC 5280.
        raise X509Error(
            f"has {size} bytes in UTF-8; use at most {_MAX_CHARS[short]} bytes", option=location
        )
    if short == "C" and not re.fullmatch(r"[A-Z]{2}", value):
        raise X509Error(
            f"{value!r} is not a country code; use two capital letters (ISO 3166), such as CN",
            option=location,
        )
    if short == "serialNumber" and not re.fullmatch(r"[A-Za-z0-9 '()+,./:=?-]+", value):
        raise X509Error(
            f"{value!r} has characters that are not allowed; use those of a PrintableString",
            option=location,
        )
    if short == "emailAddress":
        _email(value, location)


def build_x509_name(attributes: Subject) -> x509.Name:
    """Convert a subject to the type of the cryptography library."""
    return x509.Name(
        [
            x509.NameAttribute(x509.ObjectIdentifier(_OIDS[short]), value)
            for short, value in attributes
        ]
    )


def describe_name(name: x509.Name) -> dict[str, t.Any]:
    """Return a distinguished name as a mapping of short names to values.

    If an attribute has several values, the mapping contains their sorted list.
    """
    values: dict[str, list[str]] = {}
    for attribute in name:
        oid = attribute.oid.dotted_string
        values.setdefault(_BY_OID.get(oid, oid), []).append(str(attribute.value))
    return {key: texts[0] if len(texts) == 1 else sorted(texts) for key, texts in values.items()}


def describe_encoded_name(encoded: bytes) -> dict[str, t.Any]:
    """Return a distinguished name in DER like `describe_name`, in formats the library rejects too.

    As Go does, read T61 as Latin-1. Raises DerError.
    """
    values: dict[str, list[str]] = {}
    for group in der.read_single(encoded, der.SEQUENCE).children():
        for attribute in group.children():
            oid, value = attribute.children()
            encoding = _ENCODINGS.get(value.tag, "utf-8")
            number = der.read_oid(oid)
            text = value.content.decode(encoding, "replace")
            values.setdefault(_BY_OID.get(number, number), []).append(text)
    return {key: texts[0] if len(texts) == 1 else sorted(texts) for key, texts in values.items()}


def parse_alt_names(entries: Iterable[object], option: str = "subject_alt_name") -> tuple[str, ...]:
    """Parse subject alternative names to typed names without duplicates, such as "DNS:m1.example".

    Raises X509Error for an invalid name.
    """
    return tuple(
        dict.fromkeys(_alt_name(entry, f"{option}[{index}]") for index, entry in enumerate(entries))
    )


def _alt_name(entry: object, location: str) -> str:
    if not isinstance(entry, str) or not entry:
        raise X509Error(
            f"{entry!r} is not a name; use an IP address, a DNS name, an e-mail address or a URI",
            option=location,
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
    return f"{kind}:{_CHECKS[kind](value, location)}"


def _like_address(text: str) -> bool:
    last = text.rpartition(".")[2]
    return ":" in text or last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last.lower()) is not None


def _address(text: str, location: str) -> str:
    advice = (
        f"{text!r} is not an IP address; use the format 192.0.2.1 or 2001:db8::1, without prefix"
        " length and zone"
    )
    if "%" in text or (":" not in text and re.search(r"(^|\.)0[0-9]", text)):
        raise X509Error(advice, option=location)
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise X509Error(advice, option=location) from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        raise X509Error(
            f"{text!r} is an IPv4 address in IPv6 format; use {address.ipv4_mapped}",
            option=location,
        )
    return str(address)


def _dns(text: str, location: str, *, wildcard: bool = True) -> str:
    advice = (
        f"{text[:80]!a} is not a DNS name; use up to 253 characters in labels of 1 to 63 letters,"
        " digits and inner hyphens, without a final dot; a wildcard must be the whole first label"
        " of at least three"
    )
    name = text.lower()
    if not name.isascii():
        if _DEVIATIONS & set(text):
            raise X509Error(
                f"{text!a} has a character that the IDNA versions encode differently; use the xn--"
                " format",
                option=location,
            )
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            raise X509Error(advice, option=location) from None
    labels = name.split(".")
    if wildcard and labels[0] == "*" and len(labels) > 2:
        labels = labels[1:]
    bad = (
        not all(_LABEL.fullmatch(label) for label in labels)
        or len(name) > 253
        or _like_address(name)
    )
    if bad or any(label.startswith("xn--") and not _decodes(label) for label in labels):
        raise X509Error(advice, option=location)
    return name


def _decodes(label: str) -> bool:
    try:
        return bool(label[4:].encode("ascii").decode("punycode"))
    except UnicodeError:
        return False


def _email(text: str, location: str) -> str:
    user, _at, domain = text.rpartition("@")
    if (
        not _EMAIL_USER.fullmatch(user)
        or user.startswith(".")
        or user.endswith(".")
        or ".." in user
    ):
        raise X509Error(
            f"{text[:80]!a} is not an e-mail address; use the format user@example.com",
            option=location,
        )
    return f"{user}@{_dns(domain, location, wildcard=False)}"


def _uri(text: str, location: str) -> str:
    if not _URI.fullmatch(text):
        raise X509Error(
            f"{text[:80]!a} is not a URI; use scheme://host/path and percent-encode other"
            " characters",
            option=location,
        )
    return text


_CHECKS: dict[str, t.Callable[[str, str], str]] = {
    "DNS": _dns,
    "IP": _address,
    "email": _email,
    "URI": _uri,
}


def build_general_name(entry: str) -> x509.GeneralName:
    """Convert a typed name to the type of the cryptography library.

    In a name constraint, an IP entry is a network.
    """
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
    """Return general names sorted and with their types, in the format of subject_alt_name."""
    kinds = {
        x509.DNSName: "DNS",
        x509.IPAddress: "IP",
        x509.RFC822Name: "email",
        x509.UniformResourceIdentifier: "URI",
    }
    return sorted(f"{kinds.get(type(name), 'other')}:{name.value}" for name in names)


def parse_name_constraints(entries: Iterable[object], option: str) -> tuple[str, ...]:
    """Parse the entries of a name constraint: DNS and e-mail domains, e-mail addresses, networks.

    Raises X509Error for an invalid entry. `option` is the name of the option.
    """
    subtrees = []
    for index, entry in enumerate(entries):
        location = f"{option}[{index}]"
        kind, _colon, value = str(entry).partition(":")
        if kind == "IP":
            try:
                subtrees.append(f"IP:{ipaddress.ip_network(value)}")
            except ValueError:
                raise X509Error(
                    f"{value!r} is not a network; use the format IP:192.0.2.0/24", option=location
                ) from None
        elif kind == "DNS":
            subtrees.append(
                f"DNS:{value[:1] if value[:1] == '.' else ''}"
                f"{_dns(value.lstrip('.'), location, wildcard=False)}"
            )
        elif kind == "email":
            domain = (
                _email(value, location) if "@" in value else _dns(value, location, wildcard=False)
            )
            subtrees.append(f"email:{domain}")
        else:
            raise X509Error(
                f"{str(entry)[:80]!a} is not a name constraint; begin it with DNS:, IP: or email:",
                option=location,
            )
    return tuple(dict.fromkeys(subtrees))
