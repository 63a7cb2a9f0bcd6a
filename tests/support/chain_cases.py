# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Chains as other tools create them, and chains as the project x509-limbo describes them.

Each entry of CASES states the verdict of Kubernetes. A unit test compares this collection with the
verdicts, and an integration test compares the verdicts with Go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.chain import (
    find_chain_problem,
)
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support import chains
from tests.support.chains import (
    ANY,
    BMP,
    CERT_SIGN,
    CLIENT,
    CODE_SIGNING,
    CRL_SIGN,
    DIGITAL_SIGNATURE,
    PRINTABLE,
    SERVER,
    T61,
    UTF8,
    Entity,
    alt_names,
    basic,
    constraints,
    extended,
    extension,
    general_name,
    integer,
    key_usage,
    make,
    name,
    sequence,
    tlv,
    unknown,
)
from tests.support.pki import spare

NAMES = ("DNS:m1.example.com", "IP:10.0.0.1")
CA_USAGE = key_usage(DIGITAL_SIGNATURE, CERT_SIGN, CRL_SIGN)
LEAF_USAGE = key_usage(DIGITAL_SIGNATURE)
CA = (basic(), CA_USAGE)
BOTH = extended(CLIENT, SERVER)
# Mersenne primes, because the library generates no RSA keys of these sizes.
SHORT_PRIMES = ((1 << 127) - 1, (1 << 607) - 1)
LONG_PRIMES = ((1 << 4253) - 1, (1 << 4423) - 1)


class Case(NamedTuple):
    """A chain, and the CAs that the verifier trusts."""

    leaf: Entity
    intermediates: Sequence[Entity]
    anchors: Sequence[Entity]

    def decide(self, now: datetime) -> str:
        """Return why this collection rejects the chain; "" if it accepts the chain.

        As its readers do, ignore an anchor that the library cannot load.
        """
        leaf, *intermediates = (entry.readable for entry in (self.leaf, *self.intermediates))
        anchors = [entry.readable for entry in self.anchors]
        if leaf is None or None in intermediates:
            return "cannot be read"
        return find_chain_problem(
            leaf,
            [entry for entry in intermediates if entry is not None],
            [entry for entry in anchors if entry is not None],
            now,
        )


class Verdict(NamedTuple):
    """A case and whether Kubernetes accepts it.

    `stricter` is the reason why this collection rejects a case that Kubernetes accepts.
    """

    build: Callable[[], Case]
    accepted: bool
    stricter: str = ""


def root(*extensions: bytes, subject: str | bytes = "root", **more: Any) -> Entity:
    return make(subject, *(extensions or (basic(), CA_USAGE)), **more)


def middle(issuer: Entity, *extensions: bytes, number: int = 1, **more: Any) -> Entity:
    subject = more.pop("subject", f"middle{number}")
    return make(subject, *(extensions or (basic(), CA_USAGE)), issuer=issuer, number=number, **more)


def leaf(issuer: Entity, *extensions: bytes, names: Sequence[str] = NAMES, **more: Any) -> Entity:
    usual = (basic(ca=False), LEAF_USAGE, BOTH, *((alt_names(*names),) if names else ()))
    return make(
        more.pop("subject", "leaf"), *(extensions or usual), issuer=issuer, number=9, **more
    )


def below(anchor: Entity, **more: Any) -> Case:
    """Return a leaf that an anchor signed."""
    return Case(leaf(anchor, **more), [], [anchor])


def through(
    *extensions: bytes, names: Sequence[str] = NAMES, bare: bool = False, **more: Any
) -> Case:
    """Return a leaf below one intermediate CA with these extensions, with none if `bare`."""
    anchor = root()
    parent = (
        make("middle", issuer=anchor, number=1, **more)
        if bare
        else middle(anchor, *extensions, **more)
    )
    return Case(leaf(parent, names=names), [parent], [anchor])


def stack(anchor: Entity, *levels: Sequence[bytes], own: Sequence[bytes] = (), **more: Any) -> Case:
    """Return a leaf below intermediate CAs, the uppermost first, each with its extensions."""
    parent, parents = anchor, []
    for number, extensions in enumerate(levels, 1):
        parent = middle(parent, *extensions, number=number)
        parents.append(parent)
    return Case(leaf(parent, *own, **more), parents, [anchor])


def intermediate_as_anchor() -> Case:
    case = through()
    return case._replace(anchors=case.intermediates, intermediates=[])


def with_root() -> Case:
    case = through()
    return case._replace(intermediates=[*case.intermediates, *case.anchors])


def limited(
    permitted: Sequence[str] = (),
    excluded: Sequence[str] = (),
    names: Sequence[str] = NAMES,
    critical: bool = True,
) -> Case:
    """Return a leaf with names below an intermediate CA with name constraints."""
    return through(*CA, constraints(permitted, excluded, critical), names=names)


def deep(lengths: Sequence[int | None], self_issued: int = 0) -> Case:
    """Return a chain in which each CA, the anchor first, has a path length.

    The last `self_issued` intermediates have the subject of their issuer.
    """
    anchor = parent = root(basic(length=lengths[0]), CA_USAGE)
    parents: list[Entity] = []
    for number, length in enumerate(lengths[1:], 1):
        same = number > len(lengths) - 1 - self_issued
        parent = middle(
            parent,
            basic(length=length),
            CA_USAGE,
            number=number,
            subject=parent.subject if same else f"middle{number}",
        )
        parents.append(parent)
    return Case(leaf(parent), parents, [anchor])


def rsa_root(**more: Any) -> Entity:
    return root(key=spare("RSA"), **more)


def pss_chain(digest: str, salt: int) -> Case:
    anchor = rsa_root(digest=digest, salt=salt)
    return Case(leaf(anchor, digest=digest, salt=salt), [], [anchor])


def raw_rsa(primes: tuple[int, int], exponent: int) -> Case:
    """Return a leaf below an intermediate CA with an RSA key."""
    key = chains.RawRsa.of(*primes, exponent)
    return through(key=key, key_info=key.key_info)


def usual_primes() -> tuple[int, int]:
    numbers = spare("RSA").private_numbers()
    return numbers.p, numbers.q


def curve(name: type[ec.EllipticCurve]) -> Case:
    return below(root(key=ec.generate_private_key(name())))


def compressed() -> Case:
    """Return a leaf below a CA whose ECC key is a compressed point."""
    point = (
        spare("ECC")
        .public_key()
        .public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    )
    algorithm = sequence(chains.oid("1.2.840.10045.2.1"), chains.oid("1.2.840.10045.3.1.7"))
    return below(root(key_info=sequence(algorithm, tlv(3, b"\0", point))))


def rsa_encoding(*parameters: bytes, kind: int = 1) -> Case:
    """Return a leaf below a CA whose RSA key has other parameters or another type."""
    numbers = spare("RSA").public_key().public_numbers()
    key = sequence(integer(numbers.n), integer(numbers.e))
    return below(rsa_root(key_info=chains.rsa_key_info(key, *parameters, kind=kind)))


def kubeadm(serial: int) -> Case:
    usage = key_usage(DIGITAL_SIGNATURE, 2, CERT_SIGN)
    return below(make("kubernetes", usage, basic(), key=spare("RSA"), serial=serial))


def step() -> Case:
    anchor = root(key_usage(CERT_SIGN, CRL_SIGN), basic(length=1), subject="Smallstep Root CA")
    parent = middle(anchor, key_usage(CERT_SIGN, CRL_SIGN), basic(length=0))
    return Case(leaf(parent), [parent], [anchor])


def windows() -> Case:
    """Return a chain of AD CS: RSASSA-PSS, extensions of Microsoft, domain components in IA5."""
    microsoft = (
        extension("1.3.6.1.4.1.311.21.1", integer(0)),
        extension("1.3.6.1.4.1.311.20.2", tlv(BMP, "SubCA".encode("utf-16-be"))),
    )
    subject = sequence(
        tlv(0x31, sequence(bytes.fromhex("060a0992268993f22c640119"), tlv(0x16, b"local"))),
        tlv(0x31, sequence(bytes.fromhex("0603550403"), tlv(PRINTABLE, b"corp-CA"))),
    )
    usage = key_usage(DIGITAL_SIGNATURE, CERT_SIGN, CRL_SIGN)
    anchor = make(subject, usage, basic(), microsoft[0], key=spare("RSA"), salt=32)
    parent = middle(anchor, usage, basic(), *microsoft, salt=32)
    return Case(leaf(parent), [parent], [anchor])


def several_cas() -> Case:
    others = [root(subject="other", number=5), root(subject="third", number=6)]
    anchor = root()
    return Case(leaf(anchor), [], [*others, anchor])


def renewed_ca() -> Case:
    ended = root(begin=timedelta(days=-9), end=timedelta(days=-1))
    return Case(leaf(root()), [], [ended, root()])


def named(text: str | bytes, tag: int) -> Case:
    return below(root(subject=name(text, tag)))


def other_format() -> Case:
    """Return a leaf whose issuer has the subject of the CA in another format."""
    anchor = root(subject=name("root", UTF8))
    return Case(leaf(anchor, issuer_name=name("root", PRINTABLE)), [], [anchor])


def cross_signed() -> Case:
    """Return a leaf below a CA that two roots signed, the first one with a valid limit only."""
    first, second = root(subject="first"), root(subject="second", number=5)
    bad = middle(first, *CA, constraints(["DNS:other.example"]), subject="cross")
    good = middle(second, *CA, subject="cross")
    return Case(leaf(good), [bad, good], [first, second])


def mutual() -> Case:
    """Return a leaf below two CAs that signed each other, and no anchor signed."""
    one, two = root(subject="one"), root(subject="two", number=1)
    crossed = (
        make("one", *CA, issuer=two),
        make("two", *CA, issuer=one, number=1),
    )
    return Case(leaf(one), crossed, [root(subject="trusted", number=5)])


def many_paths(count: int) -> Case:
    """Return a leaf with many CAs of one name of which none signed it."""
    anchor = root()
    parents = [middle(anchor, subject="same", number=2, serial=3 + n) for n in range(count)]
    real = middle(anchor, subject="same", number=1)
    return Case(leaf(real), [*parents, real], [anchor])


def twice() -> Case:
    return through(*CA, CA_USAGE)


def anchored_leaf(**more: Any) -> Case:
    own = make("leaf", basic(ca=False), BOTH, alt_names(*NAMES), **more)
    return Case(own, [], [own])


def leaf_with(*extensions: bytes, **more: Any) -> Case:
    anchor = root()
    return Case(
        leaf(anchor, basic(ca=False), LEAF_USAGE, BOTH, alt_names(*NAMES), *extensions, **more),
        [],
        [anchor],
    )


def anchor_with(*extensions: bytes, **more: Any) -> Case:
    return below(root(*CA, *extensions, **more))


def restricted(*usages: Sequence[str]) -> Case:
    """Return a chain in which root, intermediate CA and leaf have these extended key usages."""
    anchor_usages, parent_usages, leaf_usages = (
        (extended(*entry),) if entry else () for entry in usages
    )
    anchor = root(*CA, *anchor_usages)
    parent = middle(anchor, *CA, *parent_usages)
    own = leaf(parent, basic(ca=False), LEAF_USAGE, alt_names(*NAMES), *leaf_usages)
    return Case(own, [parent], [anchor])


def anchored_by(*extensions: bytes) -> Case:
    return below(root(*extensions))


def leaf_with_basic(value: bytes) -> Case:
    return stack(root(), own=(extension("2.5.29.19", value), BOTH, alt_names(*NAMES)))


def key_usage_of(value: bytes) -> Case:
    own = (extension("2.5.29.15", tlv(3, value), True), BOTH, alt_names(*NAMES))
    return stack(root(), own=own)


POLICY = "this collection does not evaluate certificate policies"
EXPLICIT_POLICY = extension("2.5.29.36", sequence(tlv(0x80, b"\0")), True)
POLICY_ENTRY = sequence(bytes.fromhex("06 04 55 1d 20 00"))
ANY_POLICY = extension("2.5.29.32", sequence(POLICY_ENTRY))

CASES: dict[str, Verdict] = {
    # --- CAs of other tools
    "kubeadm before 1.22, serial number 0": Verdict(lambda: kubeadm(0), True),
    "kubeadm": Verdict(lambda: kubeadm(4711), True),
    "openssl without keyUsage": Verdict(lambda: below(root(basic())), True),
    "openssl without extensions, version 1": Verdict(lambda: below(make("root", version=1)), True),
    "cfssl": Verdict(
        lambda: below(root(key_usage(CERT_SIGN, CRL_SIGN), basic(), key=spare("RSA"))), True
    ),
    "step": Verdict(step, True),
    "AD CS": Verdict(windows, True),
    "several CAs in a file": Verdict(several_cas, True),
    "a CA and its renewal": Verdict(renewed_ca, True),
    "a long serial number": Verdict(lambda: below(root(serial=1 << 200)), True),
    "a negative serial number": Verdict(lambda: below(root(serial=-5)), False),
    "a negative serial number of the leaf": Verdict(lambda: leaf_with(serial=-5), False),
    "serial number 0 of the leaf": Verdict(lambda: leaf_with(serial=0), True),
    # --- names
    "a UTF-8 name": Verdict(lambda: named("Zertifikatsstelle Köln", UTF8), True),
    "a T61 name": Verdict(
        lambda: named("Zertifikatsstelle K\u00f6ln".encode("latin-1"), T61), True
    ),
    "a BMP name": Verdict(lambda: named("\u4e2d\u6587".encode("utf-16-be"), BMP), True),
    "a BMP name of odd length": Verdict(lambda: named(b"abc", BMP), False),
    "an invalid UTF-8 name": Verdict(lambda: named(b"\xff\xfe", UTF8), False),
    "a printable name with another character": Verdict(lambda: named("a_b", PRINTABLE), False),
    "a printable name with a wildcard": Verdict(
        lambda: named("*.example", PRINTABLE),
        True,
        "new versions of the library do not load the certificate",
    ),
    "an issuer in another format": Verdict(other_format, False),
    "an empty subject of the CA": Verdict(lambda: below(root(subject="")), True),
    "an empty subject of the leaf": Verdict(lambda: below(root(), subject=""), True),
    # --- signatures
    "RSASSA-PSS with SHA-256": Verdict(lambda: pss_chain("sha256", 32), True),
    "RSASSA-PSS with SHA-384": Verdict(lambda: pss_chain("sha384", 48), True),
    "RSASSA-PSS with SHA-512": Verdict(lambda: pss_chain("sha512", 64), True),
    "RSASSA-PSS with another salt": Verdict(lambda: pss_chain("sha256", 48), False),
    "RSA with SHA-1": Verdict(
        lambda: Case(leaf(rsa_root(), digest="sha1"), [], [rsa_root()]), False
    ),
    "a root with SHA-1": Verdict(lambda: below(rsa_root(digest="sha1")), True),
    "Ed25519": Verdict(lambda: below(root(key=spare("Ed25519"))), True),
    "P-521": Verdict(
        lambda: below(root(key=spare("ECC", curve="secp521r1"), digest="sha512")), True
    ),
    "a spoiled signature": Verdict(lambda: leaf_with(spoiled=True), False),
    "a spoiled signature of the root": Verdict(lambda: below(root(spoiled=True)), True),
    # --- public keys
    "P-224": Verdict(lambda: curve(ec.SECP224R1), True),
    "a Brainpool curve": Verdict(lambda: curve(ec.BrainpoolP256R1), False),
    "a curve of Koblitz": Verdict(lambda: curve(ec.SECP256K1), False),
    "a compressed point": Verdict(compressed, False),
    "an RSA key without parameters": Verdict(lambda: rsa_encoding(b""), False),
    "an RSA key limited to RSASSA-PSS": Verdict(lambda: rsa_encoding(b"", kind=10), False),
    "an RSA key of more than 8192 bits": Verdict(
        lambda: raw_rsa(LONG_PRIMES, 65537), True, "Go rejects the key in a handshake"
    ),
    "an RSA key of 734 bits": Verdict(lambda: raw_rsa(SHORT_PRIMES, 65537), False),
    "an RSA key with a usual exponent": Verdict(lambda: raw_rsa(usual_primes(), 65537), True),
    "an RSA key with an exponent of 33 bits": Verdict(
        lambda: raw_rsa(usual_primes(), (1 << 32) + 15), False
    ),
    # --- trust
    "another CA of the same name": Verdict(lambda: Case(leaf(root()), [], [root(number=5)]), False),
    "a missing intermediate CA": Verdict(lambda: through()._replace(intermediates=[]), False),
    "an intermediate CA": Verdict(through, True),
    "an intermediate CA as anchor": Verdict(intermediate_as_anchor, True),
    "a chain that ends with its root": Verdict(with_root, True),
    "two roots, the first one limited": Verdict(cross_signed, True),
    "CAs that signed each other": Verdict(mutual, False),
    "many CAs of one name": Verdict(lambda: many_paths(90), True),
    "too many CAs of one name": Verdict(lambda: many_paths(101), False),
    "a leaf that is trusted": Verdict(anchored_leaf, True),
    # --- purpose of CAs
    "an anchor without basicConstraints": Verdict(lambda: below(root(CA_USAGE)), False),
    "an anchor with CA:FALSE": Verdict(lambda: below(root(basic(ca=False))), False),
    "an anchor without keyCertSign": Verdict(
        lambda: below(root(basic(), key_usage(DIGITAL_SIGNATURE))), False
    ),
    "an anchor with an empty keyUsage": Verdict(lambda: below(root(basic(), key_usage())), True),
    "an anchor whose basicConstraints are not critical": Verdict(
        lambda: below(root(basic(critical=False))), True
    ),
    "an intermediate CA without keyUsage": Verdict(lambda: through(basic()), True),
    "an intermediate CA without keyCertSign": Verdict(
        lambda: through(basic(), key_usage(DIGITAL_SIGNATURE)), False
    ),
    "an intermediate CA of version 1": Verdict(lambda: through(version=1, bare=True), False),
    "an intermediate that is a leaf": Verdict(lambda: through(basic(ca=False), LEAF_USAGE), False),
    # --- validity
    "an expired leaf": Verdict(lambda: leaf_with(end=timedelta(seconds=-10)), False),
    "a leaf that is not yet valid": Verdict(lambda: leaf_with(begin=timedelta(hours=9)), False),
    "an expired intermediate CA": Verdict(lambda: through(end=timedelta(seconds=-10)), False),
    "an intermediate CA that is not yet valid": Verdict(
        lambda: through(begin=timedelta(hours=9)), False
    ),
    "an expired anchor": Verdict(lambda: below(root(end=timedelta(seconds=-10))), False),
    # --- path length
    "a path length of 0 without intermediate CA": Verdict(lambda: deep([0]), True),
    "a path length of 0 with an intermediate CA": Verdict(lambda: deep([0, None]), False),
    "a path length of 1 with an intermediate CA": Verdict(lambda: deep([1, 0]), True),
    "a path length of 1 with two intermediate CAs": Verdict(lambda: deep([1, None, None]), False),
    "an intermediate CA exceeds its path length": Verdict(lambda: deep([None, 0, None]), False),
    "a self-issued intermediate CA counts": Verdict(lambda: deep([0, None], self_issued=1), False),
    "a self-issued intermediate CA within the length": Verdict(
        lambda: deep([1, 0], self_issued=1), True
    ),
    "a larger path length below": Verdict(lambda: deep([1, 9]), True),
    # --- name constraints
    "permitted names": Verdict(lambda: limited(["DNS:example.com", "IP:10.0.0.0/8"]), True),
    "an address outside the permitted network": Verdict(
        lambda: limited(["IP:10.0.0.0/8"], names=["IP:172.27.129.105"]), False
    ),
    "one address of two outside the permitted network": Verdict(
        lambda: limited(["IP:10.0.0.0/8"], names=["IP:10.0.0.1", "IP:127.0.0.1"]), False
    ),
    "an IPv6 address with only IPv4 permitted": Verdict(
        lambda: limited(["IP:10.0.0.0/8"], names=["IP:2001:db8::1"]), False
    ),
    "an IPv4 address in IPv6 format": Verdict(
        lambda: limited(["IP:::/0"], names=["raw:8700000000000000000000ffff0a000001"]), False
    ),
    "an excluded address": Verdict(lambda: limited(excluded=["IP:10.0.0.0/8"]), False),
    "a permitted domain itself": Verdict(lambda: limited(["DNS:m1.example.com"]), True),
    "a name that only ends with the permitted domain": Verdict(
        lambda: limited(["DNS:ample.com"]), False
    ),
    "a permitted domain with a leading dot": Verdict(lambda: limited(["DNS:.example.com"]), True),
    "a leading dot excludes the domain itself": Verdict(
        lambda: limited(["DNS:.m1.example.com"]), False
    ),
    "a permitted domain in uppercase": Verdict(lambda: limited(["DNS:EXAMPLE.com"]), True),
    "an empty permitted domain": Verdict(lambda: limited(["DNS:"]), True),
    "an empty excluded domain": Verdict(lambda: limited(excluded=["DNS:"]), False),
    "an excluded domain": Verdict(lambda: limited(excluded=["DNS:example.com"]), False),
    "permitted and excluded": Verdict(
        lambda: limited(["DNS:example.com"], ["DNS:m1.example.com"]), False
    ),
    "a wildcard below the permitted domain": Verdict(
        lambda: limited(["DNS:example.com"], names=["DNS:*.example.com"]), True
    ),
    "a wildcard that can be the excluded name": Verdict(
        lambda: limited(excluded=["DNS:m1.example.com"], names=["DNS:*.example.com"]), False
    ),
    "a wildcard beside the excluded name": Verdict(
        lambda: limited(excluded=["DNS:m1.m1.example.com"], names=["DNS:*.example.com"]), True
    ),
    "constraints of another kind than the names": Verdict(
        lambda: limited(["email:example.com"]), True
    ),
    "a leaf without names": Verdict(lambda: limited(["DNS:example.com"], names=[]), True),
    "a permitted mailbox": Verdict(
        lambda: limited(["email:a@example.com"], names=["email:a@EXAMPLE.com"]), True
    ),
    "another mailbox": Verdict(
        lambda: limited(["email:a@example.com"], names=["email:b@example.com"]), False
    ),
    "a permitted domain of mailboxes": Verdict(
        lambda: limited(["email:example.com"], names=["email:a@m1.example.com"]), True
    ),
    "a domain of mailboxes with a leading dot": Verdict(
        lambda: limited(["email:.example.com"], names=["email:a@example.com"]), False
    ),
    "an invalid mailbox": Verdict(
        lambda: limited(["DNS:example.com"], names=["email:a..b@example.com"]), False
    ),
    "a quoted mailbox": Verdict(
        lambda: limited(["email:example.com"], names=['email:"a b"@example.com']), True
    ),
    "a permitted URI": Verdict(
        lambda: limited(["URI:example.com"], names=["URI:https://a@m1.example.com:1/x"]), True
    ),
    "another URI": Verdict(
        lambda: limited(["URI:example.com"], names=["URI:https://example.org/x"]), False
    ),
    "an excluded URI": Verdict(
        lambda: limited(excluded=["URI:.example.com"], names=["URI:spiffe://m1.example.com/x"]),
        False,
    ),
    "a URI with an address": Verdict(
        lambda: limited(["DNS:example.com"], names=["URI:https://10.0.0.1/x"]), False
    ),
    "a URI without a host": Verdict(
        lambda: limited(["DNS:example.com"], names=["URI:urn:example:x"]), False
    ),
    "a URI without a scheme": Verdict(
        lambda: below(root(), names=["URI:example"]),
        True,
        "a subject alternative name that is a URI needs a scheme",
    ),
    "an invalid URI": Verdict(lambda: below(root(), names=["URI:https://a b/"]), False),
    "a URI with an invalid port": Verdict(
        lambda: below(root(), names=["URI:https://example.com:x/"]), False
    ),
    "a URI constraint that is an address": Verdict(lambda: limited(["URI:10.0.0.1"]), False),
    "a constraint with a mask that is not contiguous": Verdict(
        lambda: limited(["raw:870a000000ff00ff00"]), False
    ),
    "a constraint with host bits": Verdict(
        lambda: limited(["raw:870a010203ff000000"], names=["IP:10.0.0.1"]), True
    ),
    "a constraint that ends with a dot": Verdict(lambda: limited(["DNS:example.com."]), False),
    "an IP constraint of the wrong length": Verdict(lambda: limited(["raw:870a000000"]), False),
    "empty constraints": Verdict(limited, False),
    "critical constraints of the kind directoryName": Verdict(
        lambda: limited(["dirName:leaf"]), False
    ),
    "constraints of the kind directoryName": Verdict(
        lambda: limited(["dirName:other"], critical=False), True
    ),
    "critical constraints of the kind registeredID": Verdict(
        lambda: limited(excluded=["raw:882a0304"]), False
    ),
    "constraints of an anchor": Verdict(lambda: anchor_with(constraints(["IP:10.0.0.0/8"])), True),
    "violated constraints of an anchor": Verdict(
        lambda: anchor_with(constraints(["IP:192.168.0.0/16"])), False
    ),
    "violated constraints that are not critical": Verdict(
        lambda: limited(["IP:192.168.0.0/16"], critical=False), False
    ),
    "violated constraints two CAs above": Verdict(
        lambda: stack(root(), (*CA, constraints(["DNS:example.org"])), CA), False
    ),
    "an intermediate CA with a name outside the constraints": Verdict(
        lambda: stack(
            root(*CA, constraints(["DNS:example.com", "IP:10.0.0.0/8"])),
            (*CA, alt_names("DNS:ca.example.org")),
        ),
        False,
    ),
    "constraints of the leaf itself": Verdict(
        lambda: leaf_with(constraints(["DNS:example.org"])), True
    ),
    # --- extensions
    "an unknown critical extension of the leaf": Verdict(lambda: leaf_with(unknown()), False),
    "an unknown extension of the leaf": Verdict(lambda: leaf_with(unknown(False)), True),
    "an unknown critical extension of an intermediate CA": Verdict(
        lambda: through(*CA, unknown()), False
    ),
    "an unknown critical extension of the anchor": Verdict(lambda: anchor_with(unknown()), False),
    "a known extension that Go does not handle": Verdict(
        lambda: leaf_with(extension("2.5.29.18", sequence(tlv(0x82, b"a.example")), True)), False
    ),
    "an extension twice": Verdict(twice, False),
    "a critical subjectKeyIdentifier": Verdict(
        lambda: anchor_with(extension("2.5.29.14", tlv(4, b"1234"), True)), False
    ),
    "a critical authorityKeyIdentifier": Verdict(
        lambda: leaf_with(extension("2.5.29.35", sequence(tlv(0x80, b"1234")), True)), False
    ),
    "a key identifier of another CA": Verdict(
        lambda: leaf_with(extension("2.5.29.35", sequence(tlv(0x80, b"1234")))), True
    ),
    "a critical authorityInfoAccess": Verdict(
        lambda: leaf_with(extension("1.3.6.1.5.5.7.1.1", sequence(), True)), False
    ),
    "a critical subjectAltName": Verdict(
        lambda: stack(root(), own=(BOTH, alt_names(*NAMES, critical=True))), True
    ),
    "a critical subjectAltName of other kinds": Verdict(
        lambda: stack(root(), own=(BOTH, alt_names("dirName:x", critical=True))), False
    ),
    "an address of the wrong length": Verdict(lambda: below(root(), names=["raw:870a0000"]), False),
    "a DNS name that is not ASCII": Verdict(lambda: below(root(), names=["raw:82c3b6"]), False),
    "any policy": Verdict(lambda: leaf_with(ANY_POLICY), True),
    "a required policy that is missing": Verdict(lambda: through(*CA, EXPLICIT_POLICY), False),
    "a required policy": Verdict(
        lambda: stack(
            root(), (*CA, EXPLICIT_POLICY, ANY_POLICY), own=(BOTH, alt_names(*NAMES), ANY_POLICY)
        ),
        True,
        POLICY,
    ),
    # --- malformed parts
    "a policy twice": Verdict(
        lambda: leaf_with(extension("2.5.29.32", sequence(POLICY_ENTRY, POLICY_ENTRY))), False
    ),
    "a policy with a large number": Verdict(
        lambda: leaf_with(
            extension("2.5.29.32", sequence(sequence(chains.oid(f"2.25.{1 << 127}"))))
        ),
        True,
    ),
    "a policy that is not an object identifier": Verdict(
        lambda: leaf_with(extension("2.5.29.32", sequence(sequence(integer(1))))), False
    ),
    "a keyUsage with 8 unused bits": Verdict(lambda: key_usage_of(b"\x08\x80"), False),
    "a keyUsage with unused bits that are set": Verdict(lambda: key_usage_of(b"\x01\x81"), False),
    "a keyUsage with unused bits": Verdict(lambda: key_usage_of(b"\x07\x80"), True),
    "a keyUsage without content": Verdict(lambda: key_usage_of(b""), False),
    "an empty keyUsage with unused bits": Verdict(lambda: key_usage_of(b"\x01"), False),
    "a signature with unused bits": Verdict(lambda: leaf_with(unused_bits=1), False),
    "an extension with the largest number": Verdict(
        lambda: leaf_with(extension(f"1.3.{(1 << 31) - 1}", tlv(5))), True
    ),
    "an extension with a larger number": Verdict(
        lambda: leaf_with(extension(f"1.3.{1 << 31}", tlv(5))), False
    ),
    "a usage with a larger number": Verdict(
        lambda: restricted((), (), (CLIENT, SERVER, f"1.3.{1 << 31}")), False
    ),
    "basicConstraints with another boolean": Verdict(
        lambda: anchored_by(extension("2.5.29.19", sequence(tlv(1, b"\1")), True)), False
    ),
    "basicConstraints with a boolean of two octets": Verdict(
        lambda: leaf_with_basic(sequence(tlv(1, b"\0\0"))), False
    ),
    "basicConstraints with an explicit false": Verdict(
        lambda: leaf_with_basic(sequence(tlv(1, b"\0"))), True
    ),
    "the largest path length": Verdict(lambda: deep([(1 << 63) - 1]), True),
    "a larger path length": Verdict(lambda: deep([1 << 63]), False),
    "a negative path length": Verdict(lambda: deep([-1]), False),
    "a URI with an IPv6 address": Verdict(
        lambda: below(root(), names=["URI:https://[1::2]:80/x"]), True
    ),
    "a URI with an invalid IPv6 address": Verdict(
        lambda: below(root(), names=["URI:https://[1:::2]/x"]), False
    ),
    "a URI with an IPv4 address in brackets": Verdict(
        lambda: below(root(), names=["URI:https://[10.0.0.1]/x"]), False
    ),
    "an inhibitAnyPolicy that is not a number": Verdict(
        lambda: leaf_with(extension("2.5.29.54", tlv(5))), False
    ),
    "an inhibitAnyPolicy with a large number": Verdict(
        lambda: leaf_with(extension("2.5.29.54", integer(1 << 63))), False
    ),
    "policy constraints with a large number": Verdict(
        lambda: leaf_with(
            extension("2.5.29.36", sequence(tlv(0x81, (1 << 63).to_bytes(9, "big"))))
        ),
        False,
    ),
    "policy mappings that are not pairs": Verdict(
        lambda: leaf_with(extension("2.5.29.33", sequence(sequence(integer(1))))), False
    ),
    "policy mappings with one policy": Verdict(
        lambda: leaf_with(extension("2.5.29.33", sequence(POLICY_ENTRY))), False
    ),
    "authorityInfoAccess without a method": Verdict(
        lambda: leaf_with(extension("1.3.6.1.5.5.7.1.1", sequence(sequence()))), False
    ),
    "a CRL distribution point": Verdict(
        lambda: leaf_with(
            extension(
                "2.5.29.31",
                sequence(sequence(tlv(0xA0, tlv(0xA0, general_name("URI:http://crl.example"))))),
            )
        ),
        True,
    ),
    "a CRL distribution point of another syntax": Verdict(
        lambda: leaf_with(extension("2.5.29.31", sequence(integer(1)))), False
    ),
    "a CRL distribution point with another name": Verdict(
        lambda: leaf_with(extension("2.5.29.31", sequence(sequence(tlv(0xA0, tlv(5)))))), False
    ),
    # --- extended key usages
    "no extended key usages": Verdict(lambda: restricted((), (), ()), True),
    "both usages": Verdict(lambda: restricted((), (), (CLIENT, SERVER)), True),
    "only the usage client": Verdict(lambda: restricted((), (), (CLIENT,)), False),
    "only the usage server": Verdict(lambda: restricted((), (), (SERVER,)), False),
    "an unknown usage": Verdict(lambda: restricted((), (), ("1.3.6.1.4.1.99999.2",)), False),
    "any usage": Verdict(lambda: restricted((), (), (ANY,)), True),
    "an intermediate CA only for servers": Verdict(
        lambda: restricted((), (SERVER,), (CLIENT, SERVER)), False
    ),
    "an intermediate CA for both": Verdict(
        lambda: restricted((), (CLIENT, SERVER, CODE_SIGNING), (CLIENT, SERVER)), True
    ),
    "an anchor for another usage": Verdict(lambda: restricted((CODE_SIGNING,), (), ()), False),
    "an intermediate CA for any usage": Verdict(
        lambda: restricted((), (ANY, CODE_SIGNING), (CLIENT, SERVER)), True
    ),
}
