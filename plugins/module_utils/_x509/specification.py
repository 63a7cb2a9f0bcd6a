# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import re
import typing as t
from datetime import timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import RSA_SIZES, KeyKind
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.names import (
    Subject,
    parse_alt_names,
    parse_name_constraints,
    parse_subject,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import Params
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    _CA_USAGES,
    _IMPOSSIBLE,
    parse_usages,
)

_DURATIONS = {"valid_for": "8760h", "backdate": "5m", "renew_before": "720h"}
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")


class CertificateSpec(t.NamedTuple):
    """What a certificate is to be, whatever its key and CA."""

    subject: Subject
    subject_alt_name: tuple[str, ...]
    key_usage: tuple[str, ...]
    extended_key_usage: tuple[str, ...]
    is_ca: bool
    path_length: int | None
    permitted: tuple[str, ...]
    excluded: tuple[str, ...]
    digest: str | None
    valid_for: timedelta
    backdate: timedelta
    renew_before: timedelta
    clamp: bool

    def usable_by(self, key_type: str) -> tuple[str, ...]:
        """Return the key usages that a key of this type can have."""
        left = tuple(usage for usage in self.key_usage if usage not in _IMPOSSIBLE[key_type])
        if not left:
            raise X509Error(
                f"{', '.join(self.key_usage)} leave nothing for a key of type {key_type}",
                option="key_usage",
            )
        return left


def parse_certificate_spec(options: Params) -> CertificateSpec:
    """Validate the (effective) options, and return what they ask for; raise X509Error."""
    is_ca = bool(options.get("is_ca"))
    defaults = (
        {"key_usage": ["keyCertSign", "cRLSign"], "extended_key_usage": []}
        if is_ca
        else {
            "key_usage": ["digitalSignature", "keyEncipherment"],
            "extended_key_usage": ["clientAuth", "serverAuth"],
        }
    )
    asked: dict[str, tuple[str, ...]] = {}
    for field, default in defaults.items():
        given = options.get(field)
        asked.update(parse_usages(default if given is None else given, field, (field,)))
    if not asked["key_usage"]:
        raise X509Error("is empty: leave it out or name at least one", option="key_usage")
    if is_ca and "keyCertSign" not in asked["key_usage"]:
        raise X509Error("a CA needs keyCertSign: add it", option="key_usage")
    if not is_ca and _CA_USAGES & set(asked["key_usage"]):
        raise X509Error(
            "keyCertSign and cRLSign are for CAs: leave them out, or set is_ca", option="key_usage"
        )
    limits = options.get("name_constraints") or {}
    length = options.get("path_length")
    if not is_ca and (length is not None or limits):
        raise X509Error(
            "path_length and name_constraints are for CAs: leave them out, or set is_ca"
        )
    if length is not None and not 0 <= length <= 255:
        raise X509Error(f"{length} is not between 0 and 255", option="path_length")
    subject = parse_subject(options.get("subject") or {}, options.get("names") or [])
    names = parse_alt_names(options.get("subject_alt_name") or [])
    if is_ca and not subject:
        raise X509Error("a CA needs one: give at least CN", option="subject")
    if not subject and not names:
        raise X509Error(
            "is empty, and so is subject_alt_name: name whom the certificate is for",
            option="subject",
        )
    texts = {
        option: default if options.get(option) is None else options[option]
        for option, default in _DURATIONS.items()
    }
    lifetime = _durations.parse_duration(texts["valid_for"], "valid_for")
    return CertificateSpec(
        subject=subject,
        subject_alt_name=names,
        key_usage=asked["key_usage"],
        extended_key_usage=asked["extended_key_usage"],
        is_ca=is_ca,
        path_length=length,
        permitted=parse_name_constraints(
            limits.get("permitted") or [], "name_constraints.permitted"
        ),
        excluded=parse_name_constraints(limits.get("excluded") or [], "name_constraints.excluded"),
        digest=options.get("digest"),
        valid_for=lifetime,
        backdate=_durations.parse_duration(texts["backdate"], "backdate"),
        renew_before=_durations.window(texts["renew_before"], lifetime, "renew_before"),
        clamp=options.get("not_after_policy") == "clamp",
    )


def parse_key_kind(options: Params) -> KeyKind:
    """Validate the options of the key, and return the kind that they ask for; raise X509Error."""
    kind = KeyKind(
        options["privatekey_type"], options.get("privatekey_size"), options.get("privatekey_curve")
    )
    least, most = RSA_SIZES
    if kind.size is not None and (kind.type != "RSA" or not least <= kind.size <= most):
        raise X509Error(
            f"{kind.size} is not for {kind.type}: it is for RSA, from {least} to {most} bits",
            option="privatekey_size",
        )
    if kind.type == "Ed25519" and options["privatekey_format"] == "traditional":
        raise X509Error(
            "traditional is not for Ed25519: take pkcs8 or auto", option="privatekey_format"
        )
    if kind.curve is not None and kind.type != "ECC":
        raise X509Error(
            f"{kind.curve} is not for {kind.type}: it is for ECC", option="privatekey_curve"
        )
    return kind


def parse_fingerprints(texts: t.Iterable[str], option: str) -> frozenset[str]:
    """Return SHA-256 fingerprints as openssl writes them; colons and case are free. Raises X509Error."""
    found = set()
    for text in texts:
        digits = str(text).replace(":", "").upper()
        if not _FINGERPRINT.fullmatch(digits):
            raise X509Error(
                f"{str(text)[:80]!r} is not a SHA-256 fingerprint: write its 64 hexadecimal digits",
                option=option,
            )
        found.add(":".join(digits[at : at + 2] for at in range(0, 64, 2)))
    return frozenset(found)
