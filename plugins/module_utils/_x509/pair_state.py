# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Compare the key pair on one host with its specification."""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import attributes
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    compute_fingerprint,
    parse_certificates,
    read_fields,
    read_identity,
    read_public_key,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import ValidityPeriod
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    PrivateKey,
    compare_key,
    find_weakness,
    generate_key,
    is_same_key,
    parse_private_key,
    serialize_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair_files import PairFiles
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import (
    check_issuer,
    check_renewal,
    compare_fields,
    expect_fields,
    find_defects,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import PairSpec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509

PairResult = dict[str, t.Any]
"""Result of the module x509_cert."""


class KeyState(t.NamedTuple):
    """The existing key, whether the run replaces or rewrites it, and the reasons to replace it."""

    key: PrivateKey | None
    is_replaced: bool
    is_rewritten: bool
    reasons: list[str]


class PairState(t.NamedTuple):
    """The existing key pair, and the reasons to issue a certificate; empty if up to date."""

    key: PrivateKey | None
    is_key_replaced: bool
    is_key_rewritten: bool
    certificate: x509.Certificate | None
    reasons: list[str]


@dataclass(frozen=True)
class PairRun:
    """One run of x509_cert on the host that stores the key.

    `issuer` is None for a self-signed certificate.
    """

    module: attributes.FilesModule
    files: PairFiles
    spec: PairSpec
    passphrase: bytes | None
    issuer: x509.Certificate | None
    now: datetime

    def read_state(self) -> PairState:
        """Compare the key pair on the host with the specification.

        Raises X509Error if the key differs and the option regenerate forbids its replacement.
        """
        key, is_replaced, is_rewritten, reasons = self.read_key_state()
        content = self.files.read_certificate()
        certificate = next(iter(parse_certificates(content or b"")), None)
        if content is None:
            reasons.append("the certificate is missing")
        elif certificate is None:
            reasons.append("the certificate cannot be read")
        else:
            reasons += self.check_certificate(certificate, None if is_replaced else key)
            if compute_fingerprint(certificate) in self.spec.replaced_fingerprints:
                keeps_key = self.spec.key.regenerate == "never"
                what = "the certificate" if keeps_key else "the certificate with its key"
                reasons.append(f"{what} is listed in replace")
                is_replaced = is_replaced or not keeps_key
                is_rewritten = is_rewritten and keeps_key
        if self.spec.force:
            reasons.append("force is set")
        return PairState(key, is_replaced, is_rewritten, certificate, reasons)

    def read_key_state(self) -> KeyState:
        """Compare the key on the host with the specification, and decide by the option regenerate.

        Raises X509Error if the key differs and the option forbids its replacement.
        """
        policy, path = self.spec.key.regenerate, self.files.key_path
        content = self.files.read_key()
        if content is None:
            return KeyState(None, True, False, ["the private key is missing"])
        try:
            key = parse_private_key(content, self.passphrase, path)
        except X509Error as exc:
            if policy in ("full", "always"):
                return KeyState(None, True, False, [str(exc)])
            raise X509Error(
                f"{exc}; to generate a new key, set regenerate to full",
                option="privatekey_path",
            ) from None
        if policy == "always":
            return KeyState(key, True, False, ["regenerate is always"])
        if policy == "never":
            weakness = find_weakness(key.private.public_key())
            if weakness:
                raise X509Error(
                    f"{path!r} is {weakness}, but regenerate is never; set regenerate to full, or"
                    " replace the key",
                    option="privatekey_path",
                )
            return KeyState(key, False, False, [])
        differences, file_differences = compare_key(
            key, self.spec.key.kind, self.spec.key.format, self.passphrase
        )
        if policy == "fail" and (differences or file_differences):
            effect = "replaces the key" if differences else "writes the same key again"
            raise X509Error(
                f"{path!r}: {'; '.join(differences + file_differences)}; change the task, or set"
                f" regenerate to partial, which {effect}",
                option="privatekey_path",
            )
        is_rewritten = bool(file_differences) and not differences
        return KeyState(key, bool(differences), is_rewritten, differences)

    def check_certificate(
        self, certificate: x509.Certificate, key: PrivateKey | None, *, windowed: bool = True
    ) -> list[str]:
        """Return the differences of a certificate from the specification.

        Without `windowed`, the renewal window is not considered.
        """
        fields = read_fields(certificate)
        if fields is None:
            return ["the certificate cannot be read"]
        reasons = find_defects(certificate)
        public = read_public_key(certificate)
        key_public = key.private.public_key() if key else None
        if key_public is not None and (public is None or not is_same_key(public, key_public)):
            reasons.append("the certificate does not belong to the private key")
        reasons += compare_fields(fields, self.expect_fields(key))
        signer = key_public if self.issuer is None else self.issuer.public_key()
        if signer is not None:
            reasons += check_issuer(certificate, self.issuer, signer)
        ca_end = read_validity(self.issuer)[1] if self.issuer is not None else None
        return reasons + check_renewal(
            certificate, self.spec.certificate, ca_end, self.now, windowed=windowed
        )

    def expect_fields(self, key: PrivateKey | None) -> CertificateFields:
        """Return the fields of the specified certificate for this key, or for a new key."""
        return expect_fields(
            self.spec.certificate,
            key.kind.type if key else self.spec.key.kind.type,
            self.issuer,
        )

    def read_waiting_key(self) -> t.Any:
        """Return the waiting key; None if it is missing or not of the specified kind."""
        with contextlib.suppress(X509Error):
            key = parse_private_key(
                self.files.read_waiting_key() or b"", self.passphrase, self.files.key_path
            )
            if not compare_key(key, self.spec.key.kind, "auto", self.passphrase)[0]:
                return key.private
        return None

    def prepare_key(self, state: PairState) -> tuple[t.Any, bytes | None]:
        """Return the key for the new certificate, and its PEM text if the key must be written."""
        key_format = self.spec.key.format
        if not state.is_key_replaced and state.key is not None:
            private = state.key.private
            if not state.is_key_rewritten:
                return private, None
            existing_format = state.key.format if key_format == "auto" else key_format
            return private, serialize_key(private, existing_format, self.passphrase)
        private = self.read_waiting_key() or generate_key(self.spec.key.kind)
        return private, serialize_key(private, key_format, self.passphrase)

    def build_result(
        self,
        state: PairState,
        changed: bool,
        certificate: x509.Certificate | None,
        period: ValidityPeriod | None = None,
    ) -> PairResult:
        """Return the result of the module.

        `certificate` is the certificate after the run; None if it is not yet issued. `period` is
        the validity of a certificate that this run issued.
        """
        is_new_key = state.is_key_replaced or state.key is None
        kind = self.spec.key.kind.completed() if is_new_key or not state.key else state.key.kind
        before = (read_fields(state.certificate) if state.certificate is not None else None) or {}
        if before and state.certificate is not None:
            before |= read_identity(state.certificate, self.now)
        after = (read_fields(certificate) if certificate is not None else None) or (
            self.expect_fields(None if state.is_key_replaced else state.key)
        )
        identity = read_identity(certificate, self.now)
        result = {
            "changed": changed,
            "reasons": state.reasons,
            **after,
            **identity,
            "chain": "valid" if certificate is not None else None,
            "privatekey_type": kind.type,
            "privatekey_size": kind.size,
            "privatekey_curve": kind.curve,
            "diff": {
                "before": before | {"private_key": str(state.key.kind) if state.key else None},
                "after": after | identity | {"private_key": str(kind)},
            },
        }
        return result | self._report_clamping(period) | self.files.backup_results()

    def _report_clamping(self, period: ValidityPeriod | None) -> dict[str, t.Any]:
        if period is None or not period.clamped:
            return {}
        # Warn only when a certificate is issued, because the role checks the key pair in every run.
        if not self.module.check_mode:
            self.module.warn(
                f"{self.files.certificate_path}: the certificate ends with its CA on"
                f" {format_utc(period.not_after)}, not on {format_utc(period.unclamped)} as set by"
                " valid_for; renew the CA before then"
            )
        return {"clamped": True, "not_after_wanted": format_utc(period.unclamped)}
