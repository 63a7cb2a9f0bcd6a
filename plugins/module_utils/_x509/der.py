# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read DER, the binary encoding of certificates, without the cryptography library.

The versions of the library on the hosts differ in what they decode: names in T61, parameters of
RSASSA-PSS, unknown kinds of names.
"""

from __future__ import annotations

import typing as t

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING = 0x01, 0x02, 0x03, 0x04
OBJECT_IDENTIFIER, SEQUENCE, SET = 0x06, 0x30, 0x31
UTF8_STRING, NUMERIC_STRING, PRINTABLE_STRING = 0x0C, 0x12, 0x13
T61_STRING, IA5_STRING, BMP_STRING = 0x14, 0x16, 0x1E
_CONTEXT, _CONSTRUCTED = 0x80, 0x20
MAX_OID_NUMBER = (1 << 31) - 1
"""The largest number in an object identifier that Go reads."""


class DerError(ValueError):
    """The bytes are not the expected DER."""


class Element(t.NamedTuple):
    """One element: its tag, its content, and the bytes of both."""

    tag: int
    content: bytes
    encoded: bytes

    def children(self) -> list[Element]:
        """Return the elements of a constructed element. Raises DerError."""
        return read_elements(self.content)


def context_tag(number: int, *, constructed: bool = False) -> int:
    """Return the tag of a field that the syntax of its structure numbers."""
    return _CONTEXT | (_CONSTRUCTED if constructed else 0) | number


def read_elements(content: bytes) -> list[Element]:
    """Return the elements that follow one another. Raises DerError."""
    elements, position = [], 0
    while position < len(content):
        element = _read_at(content, position)
        elements.append(element)
        position += len(element.encoded)
    return elements


def read_single(content: bytes, tag: int) -> Element:
    """Return the only element of the bytes, which must have this tag. Raises DerError."""
    elements = read_elements(content)
    if len(elements) != 1:
        raise DerError(f"{len(elements)} elements instead of one")
    return require(elements[0], tag)


def require(element: Element, tag: int) -> Element:
    """Return the element; raise DerError if it has another tag."""
    if element.tag != tag:
        raise DerError(f"tag {element.tag:#x} instead of {tag:#x}")
    return element


def _read_at(content: bytes, start: int) -> Element:
    try:
        tag, length, position = content[start], content[start + 1], start + 2
    except IndexError:
        raise DerError("an element is truncated") from None
    if tag & 0x1F == 0x1F:
        raise DerError("a tag of several bytes")
    if length >= 0x80:
        size = length & 0x7F
        octets = content[position : position + size]
        length, position = int.from_bytes(octets, "big"), position + size
        if not 1 <= size <= 4 or len(octets) != size or length < 0x80 or octets[0] == 0:
            raise DerError("a length that is not in its shortest form")
    end = position + length
    if end > len(content):
        raise DerError("an element is truncated")
    return Element(tag, content[position:end], content[start:end])


def read_integer(element: Element) -> int:
    """Return the value of an INTEGER. Raises DerError."""
    return decode_integer(require(element, INTEGER).content)


def decode_integer(content: bytes) -> int:
    """Return the value of the content of an INTEGER. Raises DerError."""
    if not content or (len(content) > 1 and content[0] in (0, 0xFF) and _is_padded(content)):
        raise DerError("an integer that is not in its shortest form")
    return int.from_bytes(content, "big", signed=True)


def _is_padded(content: bytes) -> bool:
    return (content[0] == 0) == (content[1] < 0x80)


def read_boolean(element: Element) -> bool:
    """Return the value of a BOOLEAN. Raises DerError."""
    content = require(element, BOOLEAN).content
    if content not in (b"\xff", b"\x00"):
        raise DerError("a boolean that is neither true nor false")
    return content == b"\xff"


def read_bit_string(element: Element) -> tuple[bytes, int]:
    """Return the octets of a BIT STRING, and the number of unused bits in the last octet.

    Raises DerError.
    """
    content = require(element, BIT_STRING).content
    if not content:
        raise DerError("a bit string is truncated")
    unused, octets = content[0], content[1:]
    if unused > 7 or (unused and not octets) or (octets and octets[-1] & (1 << unused) - 1):
        raise DerError("a bit string with invalid unused bits")
    return octets, unused


def read_oid(element: Element) -> str:
    """Return an object identifier in dotted form. Raises DerError.

    As in Go, a number above 2^31-1 is an error.
    """
    numbers, number = [], 0
    for octet in read_raw_oid(element):
        if number > MAX_OID_NUMBER >> 7:
            raise DerError("an object identifier with a large number")
        number = number << 7 | octet & 0x7F
        if not octet & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2)
    return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def read_raw_oid(element: Element) -> bytes:
    """Return the content of an object identifier with numbers of any size. Raises DerError."""
    content = require(element, OBJECT_IDENTIFIER).content
    if not content or content[-1] & 0x80:
        raise DerError("an object identifier is truncated")
    if any(octet == 0x80 and not before & 0x80 for before, octet in zip(b"\0" + content, content)):
        raise DerError("an object identifier that is not in its shortest form")
    return content
