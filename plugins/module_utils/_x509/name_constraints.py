# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check names against the name constraints of CAs, with the rules of Go's crypto/x509.

Go evaluates the kinds DNS, IP, email and URI. It rejects a critical constraint of another kind,
such as a directory name, and ignores it if it is not critical.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import der

_TAGS = {1: "email", 2: "DNS", 6: "URI", 7: "IP"}
_OTHER_KINDS = {
    0: "otherName",
    3: "x400Address",
    4: "directoryName",
    5: "ediPartyName",
    8: "registeredID",
}
_ATOM = re.compile(r"(?:\\?[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-])+")
_QUOTED = re.compile(
    r'"(?:[\x01-\x08\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]|\\[\x01-\x09\x0b\x0c\x0e-\x7f])*"'
)
# Go also accepts a reference without a scheme.
_URI = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:(?:(?!//)|//(?:[A-Za-z0-9._~!$&'()*+,;=:-]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+,;=-]*)(?::[0-9]*)?(?=[/?#]|$))"
    r"(?:[!-$&-~]|%[0-9A-Fa-f]{2})*"
)
Network = t.Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Name(t.NamedTuple):
    """A subject alternative name: its kind (DNS, IP, email, URI) and its text."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.text}"


class Subtree(t.NamedTuple):
    """One constraint. `limit` is a domain, an address or, for the kind IP, a network."""

    kind: str
    limit: t.Any

    def __str__(self) -> str:
        return f"{self.kind}:{self.limit}"


class Constraints(t.NamedTuple):
    """The name constraints of a CA, and the kinds that Go does not evaluate."""

    permitted: tuple[Subtree, ...]
    excluded: tuple[Subtree, ...]
    unhandled: tuple[str, ...] = ()


# --- parsing


def parse_name(tag: int, content: bytes) -> Name | None:
    """Return a subject alternative name; None for a kind that Go ignores. Raises DerError."""
    kind = _kind_of(tag)
    if kind == "IP":
        return Name(kind, str(_parse_address(content)))
    if kind is None:
        return None
    text = _decode(content)
    if kind == "URI" and _uri_host(text) is None:
        raise der.DerError("an invalid URI")
    return Name(kind, text)


def _kind_of(tag: int) -> str | None:
    number = tag & 0x1F
    return _TAGS.get(number) if tag == der.context_tag(number) else None


def _decode(content: bytes) -> str:
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise der.DerError("a name that is not ASCII") from None


def _parse_address(content: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if len(content) == 4:
        return ipaddress.IPv4Address(content)
    if len(content) == 16:
        return ipaddress.IPv6Address(content)
    raise der.DerError(f"an IP address of {len(content)} octets")


def parse_constraints(value: bytes) -> Constraints:
    """Parse the extension nameConstraints. Raises DerError."""
    sides: dict[int, list[Subtree]] = {0: [], 1: []}
    unhandled: list[str] = []
    parts = der.read_single(value, der.SEQUENCE).children()
    tags = [der.context_tag(number, constructed=True) for number in sides]
    if [part.tag for part in parts] not in (tags, tags[:1], tags[1:]) or not any(
        part.content for part in parts
    ):
        raise der.DerError("name constraints without a subtree")
    for part in parts:
        for entry in part.children():
            base = next(iter(der.require(entry, der.SEQUENCE).children()), None)
            if base is None:
                raise der.DerError("an empty name constraint")
            kind = _kind_of(base.tag)
            if kind is None:
                unhandled.append(_OTHER_KINDS.get(base.tag & 0x1F, "unknown"))
            else:
                sides[tags.index(part.tag)].append(_parse_subtree(kind, base.content))
    return Constraints(tuple(sides[0]), tuple(sides[1]), tuple(dict.fromkeys(unhandled)))


def _parse_subtree(kind: str, content: bytes) -> Subtree:
    if kind == "IP":
        return Subtree(kind, _parse_network(content))
    limit = _decode(content)
    is_mailbox = kind == "email" and "@" in limit
    is_valid = split_mailbox(limit) is not None if is_mailbox else _is_limit(limit)
    if not is_valid:
        raise der.DerError(f"the invalid {kind} constraint {limit[:80]!a}")
    if kind == "URI" and _is_address(limit):
        raise der.DerError("a URI constraint that is an IP address")
    return Subtree(kind, limit)


def _parse_network(content: bytes) -> Network:
    half = len(content) // 2
    if half not in (4, 16) or len(content) % 2:
        raise der.DerError(f"an IP constraint of {len(content)} octets")
    address, mask = _parse_address(content[:half]), int.from_bytes(content[half:], "big")
    bits = 8 * half
    prefix = bin(mask).count("1")
    if mask != (1 << bits) - (1 << (bits - prefix)):
        raise der.DerError("an IP constraint with a mask that is not contiguous")
    return (
        ipaddress.ip_network((int(address) & mask, prefix))
        if half == 4
        else (ipaddress.IPv6Network((int(address) & mask, prefix)))
    )


def _is_domain(text: str) -> bool:
    """Whether the text is a domain for Go, which also accepts the empty text."""
    return not text or all(
        label and all(33 <= ord(char) <= 126 for char in label) for label in text.split(".")
    )


def _is_limit(text: str) -> bool:
    return text != "." and _is_domain(text.removeprefix("."))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def split_mailbox(text: str) -> tuple[str, str] | None:
    """Return the local part and the domain in lowercase; None for an invalid address."""
    quoted = _QUOTED.match(text)
    found = quoted or _ATOM.match(text)
    if found is None:
        return None
    local = re.sub(r"\\(.)", r"\1", found[0][1:-1] if quoted else found[0], flags=re.DOTALL)
    if not quoted and (local.startswith(".") or local.endswith(".") or ".." in local):
        return None
    domain = text[found.end() :]
    if not domain.startswith("@") or not _is_domain(domain[1:]):
        return None
    return local, domain[1:].lower()


def _uri_host(text: str) -> str | None:
    """Return the host of a URI in lowercase, "" without a host; None for an invalid URI."""
    found = _URI.fullmatch(text)
    host = (found and found["host"]) or ""
    if found is None or not _is_domain(host):
        return None
    if host.startswith("[") and not _is_ipv6(host[1:-1]):
        return None
    return host.lower()


def _is_ipv6(text: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.IPv6Address(text) is not None
    return False


# --- checking


def find_violation(names: t.Iterable[Name], constraints: Constraints) -> str:
    """Return why the constraints do not allow one of the names; "" if they allow all."""
    return next(filter(None, (_check(name, constraints) for name in names)), "")


def _check(name: Name, constraints: Constraints) -> str:
    value = _comparable(name)
    if isinstance(value, _Invalid):
        return f"{name} {value.reason}"
    permitted = [limit for limit in constraints.permitted if limit.kind == name.kind]
    if permitted and not any(_covers(limit, value, excluded=False) for limit in permitted):
        return f"{name} is not in {' or '.join(map(str, permitted))}, which the CA permits"
    for limit in constraints.excluded:
        if limit.kind == name.kind and _covers(limit, value, excluded=True):
            return f"{name} is in {limit}, which the CA excludes"
    return ""


class _Invalid(t.NamedTuple):
    reason: str


def _comparable(name: Name) -> t.Any:
    """Return the part of a name that constraints limit: an address, a domain or a mailbox."""
    if name.kind == "IP":
        return ipaddress.ip_address(name.text)
    if name.kind == "email":
        return split_mailbox(name.text) or _Invalid("is not a valid e-mail address")
    if name.kind == "DNS":
        return name.text.lower() if _is_domain(name.text) else _Invalid("is not a valid DNS name")
    host = _uri_host(name.text)
    if not host or host.startswith("[") or _is_address(host):
        return _Invalid("has no DNS name, so that constraints cannot be evaluated")
    return host


def _covers(limit: Subtree, value: t.Any, *, excluded: bool) -> bool:
    if limit.kind == "IP":
        return value.version == limit.limit.version and _contains(limit.limit, value)
    if limit.kind == "email":
        local, domain = value
        if "@" in limit.limit:
            return split_mailbox(limit.limit) == (local, domain)
        return _is_below(domain, limit.limit, excluded=excluded)
    return _is_below(value, limit.limit, excluded=excluded)


def _contains(network: t.Any, address: t.Any) -> bool:
    # Go compares an IPv4 address in IPv6 format only with networks of such addresses.
    mapped = getattr(address, "ipv4_mapped", None)
    if mapped and not network.network_address.ipv4_mapped:
        return False
    return bool(address in network)


def _is_below(name: str, limit: str, *, excluded: bool) -> bool:
    """Whether a domain is the limit or below it; for a limit with a leading dot only below it."""
    limit = limit.lower()
    if not limit or name == limit or name.endswith(limit if limit[0] == "." else f".{limit}"):
        return True
    # A wildcard can stand for the excluded name itself.
    is_sibling = "." in limit and "." in name and limit.partition(".")[2] == name.partition(".")[2]
    return excluded and name.startswith("*") and is_sibling
