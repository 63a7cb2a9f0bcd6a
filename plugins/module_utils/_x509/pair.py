# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import contextlib
import os
import typing as t
from datetime import datetime, timedelta

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    pair_swap,
    paths,
    write,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CERTIFICATE_OPTION,
    CSR_KEY,
    REQUEST_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
    check_authority,
    load_authority,
    parse_authorities,
    sign_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    CertificateFields,
    compute_fingerprint,
    parse_certificates,
    read_fields,
    read_identity,
    read_public_key,
    read_validity,
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.external import (
    OTHER_KEY,
    Chain,
    ExternalRules,
    matches_request,
    serialize_chain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.issuance import (
    ValidityPeriod,
    choose_validity,
    issue_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    PrivateKey,
    check_digest,
    compare_key,
    encode_public_key,
    find_weakness,
    generate_key,
    parse_private_key,
    read_passphrase,
    serialize_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import apply_profile
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import create_request
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.rules import (
    check_issuer,
    check_renewal,
    compare_fields,
    expect_fields,
    find_defects,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    parse_certificate_spec,
    parse_fingerprints,
    parse_key_kind,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import format_utc

with contextlib.suppress(ImportError):
    from cryptography import x509

MAX_BACKUPS = 5
# The certificate is public; the options for rights are the key's.
_CERTIFICATE_RIGHTS = {"mode": "0644", "attributes": None}


class _State(t.NamedTuple):
    """What is on the host, and why a certificate has to be issued; no reasons where none has to be."""

    key: PrivateKey | None
    new_key: bool
    rewrite_key: bool
    certificate: x509.Certificate | None
    reasons: list[str]


class Pair:
    """One run of the module on its host."""

    def __init__(self, module: attributes.FilesModule, now: datetime) -> None:
        self.module = module
        self.params = module.params
        self.now = now
        self.path: str = self.params["path"]
        self.key_path: str = self.params["privatekey_path"]
        self.waiting = os.path.join(
            os.path.dirname(self.key_path), f".{os.path.basename(self.key_path)[:200]}.waiting~"
        )
        self.backup = MAX_BACKUPS if self.params["backup"] else 0
        self.backups: dict[str, str | None] = {}

    def run(self) -> dict[str, t.Any]:
        """Converge, and return the module's result; raise X509Error or FilesError."""
        if self.path == self.key_path:
            raise X509Error("path and privatekey_path are the same file: give the key its own")
        action = self._present if self.params["state"] == "present" else self._absent
        if self.module.check_mode:
            return action()
        folders = sorted({os.path.dirname(path) for path in (self.path, self.key_path)})
        missing = [folder for folder in folders if not os.path.isdir(folder)]
        if missing and self.params["state"] == "absent":
            return {"changed": False, "reasons": []}
        if missing:
            raise X509Error(f"the directory {missing[0]!r} does not exist: create it first")
        with contextlib.ExitStack() as locks:
            for folder in sorted({os.path.realpath(folder) for folder in folders}):
                locks.enter_context(paths.lock(folder))
            pair_swap.recover([self.key_path, self.path])
            for path in (self.key_path, self.path, self.waiting):
                write.sweep(path)
            return action()

    def _absent(self) -> dict[str, t.Any]:
        present = [path for path in (self.path, self.key_path) if paths.read(path) is not None]
        result: dict[str, t.Any] = {
            "changed": bool(present),
            "reasons": [],
            "diff": {"before": {"files": present}, "after": {"files": []}},
        }
        if not self.module.check_mode:
            for path in (self.path, self.key_path):
                self.backups[path] = write.remove(path, backup=self.backup)
            write.remove(self.waiting)
        return result | self._backups()

    def _backups(self) -> dict[str, t.Any]:
        names = {"backup_file": self.path, "privatekey_backup_file": self.key_path}
        return {name: self.backups[path] for name, path in names.items() if self.backups.get(path)}

    def _present(self) -> dict[str, t.Any]:
        try:
            self.options = apply_profile(self.params)
            self.wanted = parse_certificate_spec(self.options)
            self.kind = parse_key_kind(self.options)
            outside = self.params["ca_on"] == "external"
            self.authority = None if outside else self._issuer()
            self.secret = read_passphrase(
                self.params["privatekey_passphrase_file"], "privatekey_passphrase_file"
            )
            self.replace = parse_fingerprints(self.params["replace"], "replace")
        except MissingError as exc:
            if not self.module.check_mode:
                raise
            self.module.warn(f"{exc}; check mode takes it that an earlier task does")
            return {"changed": True, "reasons": [str(exc)]}
        if outside:
            return self._external()
        self.issuer = self.authority.certificate if self.authority else None
        state = self._state()
        signed = self.params[CERTIFICATE_OPTION]
        if signed is not None and not self.module.check_mode:
            return self._finish(state, signed)
        # Refused in check mode too, and before anything is changed.
        times = choose_validity(self.wanted, self.issuer, self.now) if state.reasons else None
        changed = self._attributes() or bool(state.reasons) or state.rewrite_key
        if self.module.check_mode or not (state.reasons or state.rewrite_key):
            if not self.module.check_mode:
                write.remove(self.waiting)
            return self._result(state, changed, None if state.reasons else state.certificate, times)
        private, key_pem = self._key(state)
        if not state.reasons:
            self._install(key_pem, None)
            return self._result(state, True, state.certificate, None)
        if self.params["ca_on"] == "controller" and self.issuer is not None:
            self._await(state, key_pem)
            csr = create_request(private).decode("ascii")
            return self._result(state, True, None, times) | {"csr": csr}
        if self.authority is None:
            times = choose_validity(self.wanted, None, self.now)
            certificate = issue_certificate(self.wanted, private.public_key(), None, private, times)
        else:
            certificate, times = sign_certificate(
                self.authority, self.wanted, private.public_key(), self.now
            )
        self._install(key_pem, serialize_certificate(certificate))
        write.remove(self.waiting)
        return self._result(state, True, certificate, times)

    def _external(self) -> dict[str, t.Any]:
        """Put in place what somebody else's CA has issued for the key of this host, or ask for it.

        What is in place stays until then, also one that is about to end, or whose key is of another kind than the task asks for.
        """
        if self.params[CA_CERTIFICATE_OPTION] is None:
            raise X509Error(
                "ca_on: external works through the collection's action plugin, which did not run"
            )
        anchors = parse_authorities(
            self.params[CA_CERTIFICATE_OPTION].encode("ascii", "replace"), "the CA's file"
        )
        self.issuer = anchors[0]
        terms = ExternalRules(anchors, self.wanted, self.now)
        key, new_key, rewrite_key, wrong = self._judge_key()
        placed = parse_certificates(paths.read(self.path) or b"")
        handed = parse_certificates(
            (self.params[CERTIFICATE_OPTION] or "").encode("ascii", "replace")
        )
        faults = terms.faults(placed, key and key.private.public_key())
        usable = key is not None and not faults.hard
        replaced = bool(placed and placed[0] and compute_fingerprint(placed[0]) in self.replace)
        wrong += ["the certificate is one to replace, and its key with it"] * replaced
        awaited = [*wrong, *(f"the certificate {fault}" for fault in faults.all)]
        if not awaited:
            awaited = [
                f"the certificate {fault}"
                for fault in terms.due(placed, self.params["renew_before"])
            ]
        state = _State(
            key,
            new_key or replaced,
            rewrite_key,
            placed[0] if usable else None,
            [] if usable else [*awaited],
        )
        waiting = self._waiting_key()
        refused: list[str] = []
        if handed and serialize_chain(handed) != serialize_chain(placed):
            owners = [
                *([PrivateKey(waiting, "pkcs8", False)] if waiting else []),
                *([key] if key and not replaced else []),
            ]
            judged = [terms.faults(handed, owner.private.public_key()).all for owner in owners]
            if [] in judged:
                return self._take(state, owners[judged.index([])], waiting, handed)
            # Nothing is known in check mode of a key that an earlier task brings.
            foreign = [] if self.module.check_mode else [OTHER_KEY]
            refused = min(judged, key=lambda found: OTHER_KEY in found, default=foreign)
            state.reasons.extend(f"the certificate that was handed in {fault}" for fault in refused)
        return self._ask(state, waiting, awaited, refused)

    def _take(
        self, state: _State, owner: PrivateKey, waiting: t.Any, chain: Chain
    ) -> dict[str, t.Any]:
        """Put a certificate that was handed in, and the intermediates below it, in place with its key."""
        new = owner.private is waiting
        state = state._replace(
            key=owner, new_key=False, reasons=["the certificate that was handed in is not in place"]
        )
        if not self.module.check_mode:
            self._install(
                paths.read(self.waiting) if new else self._key(state)[1], serialize_chain(chain)
            )
            write.remove(self.waiting)
        return self._result(state, True, chain[0], None) | {"awaited": [], "refused": []}

    def _ask(
        self, state: _State, waiting: t.Any, awaited: list[str], refused: list[str]
    ) -> dict[str, t.Any]:
        """Return the request for a certificate that is awaited, unless it has been laid; nothing that is in place changes."""
        result: dict[str, t.Any] = {"awaited": awaited, "refused": refused}
        changed, dry = self._attributes(), self.module.check_mode
        private = waiting or (state.key.private if state.key and not state.new_key else None)
        if awaited or refused:
            if private is None and not dry:
                private, key_pem = self._key(state)
                self._await(state, key_pem)
            if not matches_request(
                self.params[REQUEST_OPTION], private and private.public_key(), self.wanted
            ):
                changed = True
                state.reasons.append(
                    "the signing request is not there, or is for another key or other names"
                )
                if not dry:
                    result[CSR_KEY] = create_request(private, self.wanted).decode("ascii")
        else:
            changed = changed or state.rewrite_key
            if not dry:
                if state.rewrite_key:
                    self._install(self._key(state)[1], None)
                write.remove(self.waiting)
        return self._result(state, changed, state.certificate, None) | result

    def _issuer(self) -> CertificateAuthority | None:
        params = self.params
        if (
            params["ca_on"] == "controller"
            and params["ca_path"] is None
            and params[CA_CERTIFICATE_OPTION] is not None
        ):
            authority = CertificateAuthority(
                parse_authorities(
                    params[CA_CERTIFICATE_OPTION].encode("ascii", "replace"), "the controller's CA"
                )[0]
            )
            check_authority(authority, "the controller's CA", self.wanted, self.now)
            return authority
        if params["ca_path"] is None:
            fault = check_digest(self.kind, self.wanted.digest)
            if fault:
                raise X509Error(f"{fault}", option="privatekey_type")
            if self.wanted.is_ca:
                return None
            raise X509Error(
                "is not set: name the CA's certificate and key, or set is_ca to make a CA",
                option="ca_path",
            )
        if params["ca_on"] == "controller":
            raise X509Error(
                "ca_on: controller works through the collection's action plugin, which did not run"
            )
        authority = load_authority(
            params["ca_path"], params["ca_privatekey_path"], params["ca_privatekey_passphrase_file"]
        )
        check_authority(authority, params["ca_path"], self.wanted, self.now)
        return authority

    def _state(self) -> _State:
        key, new_key, rewrite, reasons = self._judge_key()
        content = paths.read(self.path)
        found = parse_certificates(content) if content is not None else []
        certificate = found[0] if found else None
        if content is None:
            reasons.append("the certificate is not there")
        elif certificate is None:
            reasons.append("the certificate cannot be read")
        else:
            reasons += self._judge_certificate(certificate, None if new_key else key)
            if compute_fingerprint(certificate) in self.replace:
                keeps = self.params["regenerate"] == "never"
                reasons.append(
                    f"the certificate is one to replace{'' if keeps else ', and its key with it'}"
                )
                new_key, rewrite = new_key or not keeps, rewrite and keeps
        if self.params["force"]:
            reasons.append("force is set")
        return _State(key, new_key, rewrite, certificate, reasons)

    def _judge_key(self) -> tuple[PrivateKey | None, bool, bool, list[str]]:
        policy = self.params["regenerate"]
        content = paths.read(self.key_path)
        if content is None:
            return None, True, False, ["the private key is not there"]
        try:
            key = parse_private_key(content, self.secret, self.key_path)
        except X509Error as exc:
            if policy in ("full", "always"):
                return None, True, False, [str(exc)]
            raise X509Error(
                f"{exc}; mend it, or set regenerate to full for a new key", option="privatekey_path"
            ) from None
        if policy == "always":
            return key, True, False, ["regenerate is always"]
        wrong, written = compare_key(key, self.kind, self.params["privatekey_format"], self.secret)
        if policy == "never":
            weak = find_weakness(key.private.public_key())
            if weak:
                raise X509Error(
                    f"{self.key_path!r} is {weak}, and regenerate is never",
                    option="privatekey_path",
                )
            return key, False, False, []
        if policy == "fail" and (wrong or written):
            raise X509Error(
                f"{self.key_path!r}: {'; '.join(wrong + written)}: change the task, or set regenerate"
                f" to partial, which {'replaces the key' if wrong else 'writes the same key anew'}",
                option="privatekey_path",
            )
        return key, bool(wrong), bool(written) and not wrong, wrong

    def _judge_certificate(
        self, certificate: x509.Certificate, key: PrivateKey | None, *, renew: bool = True
    ) -> list[str]:
        have = read_fields(certificate)
        if have is None:
            return ["the certificate cannot be read"]
        reasons = find_defects(certificate)
        public, own = (
            read_public_key(certificate),
            key.private.public_key() if key else None,
        )
        if own is not None and (
            public is None or encode_public_key(public) != encode_public_key(own)
        ):
            reasons.append("the certificate does not belong to the private key")
        reasons += compare_fields(have, self._expected(key))
        signer = own if self.issuer is None else self.issuer.public_key()
        if signer is not None:
            reasons += check_issuer(certificate, self.issuer, signer)
        limit = read_validity(self.issuer)[1] if self.issuer is not None else None
        wanted = self.wanted if renew else self.wanted._replace(renew_before=timedelta(0))
        return reasons + check_renewal(certificate, wanted, limit, self.now)

    def _expected(self, key: PrivateKey | None) -> CertificateFields:
        key_type = key.kind.type if key else self.kind.type
        return expect_fields(
            self.wanted, key_type, self.issuer.subject if self.issuer is not None else None
        )

    def _attributes(self) -> bool:
        key = attributes.converge_file(self.module, self.key_path, None)
        certificate = attributes.converge_file(
            self.module, self.path, None, overrides=_CERTIFICATE_RIGHTS
        )
        return key.changed or certificate.changed

    def _key(self, state: _State) -> tuple[t.Any, bytes | None]:
        """Return the private key to certify, and its PEM where it has to be written."""
        if not state.new_key and state.key is not None:
            form = (
                state.key.format
                if self.params["privatekey_format"] == "auto"
                else self.params["privatekey_format"]
            )
            return state.key.private, serialize_key(
                state.key.private, form, self.secret
            ) if state.rewrite_key else None
        private = self._waiting_key() or generate_key(self.kind)
        return private, serialize_key(private, self.params["privatekey_format"], self.secret)

    def _waiting_key(self) -> t.Any:
        """Return the key that waits for its certificate since a run that did not end, if it is of the kind wanted."""
        with contextlib.suppress(X509Error):
            key = parse_private_key(paths.read(self.waiting) or b"", self.secret, self.waiting)
            if not compare_key(key, self.kind, "auto", self.secret)[0]:
                return key.private
        return None

    def _await(self, state: _State, key_pem: bytes | None) -> None:
        """Write a key whose certificate is still to come: in place where no other is, else beside it."""
        if key_pem is None:
            return
        if state.rewrite_key or not os.path.lexists(self.key_path):
            self._install(key_pem, None)
        else:
            write.write(self.waiting, key_pem)

    def _finish(self, state: _State, signed: str) -> dict[str, t.Any]:
        """Install a certificate that the controller signed, with its key."""
        found = parse_certificates(signed.encode("ascii", "replace"))
        certificate = found[0] if len(found) == 1 else None
        if certificate is None:
            raise X509Error(
                "the controller's certificate cannot be read: look at who answers there"
            )
        public = encode_public_key(certificate.public_key())
        waiting, key_pem = self._waiting_key(), None
        if waiting is not None and encode_public_key(waiting.public_key()) == public:
            key, key_pem = PrivateKey(waiting, "pkcs8", False), paths.read(self.waiting)
        elif state.key is not None and encode_public_key(state.key.private.public_key()) == public:
            key = state.key
        else:
            raise X509Error(f"another run replaced {self.key_path!r} in the meantime: run again")
        faults = self._judge_certificate(certificate, key, renew=False)
        if faults:
            raise X509Error(
                f"the controller's certificate does not do: {'; '.join(faults)};"
                f" the clock of this host says {format_utc(self.now)}: is that the controller's time?"
            )
        self._install(key_pem, serialize_certificate(certificate))
        write.remove(self.waiting)
        return self._result(state, True, certificate, None)

    def _install(self, key_pem: bytes | None, certificate_pem: bytes | None) -> None:
        contents: tuple[tuple[str, bytes | None, dict[str, t.Any]], ...] = (
            (self.key_path, key_pem, {}),
            (self.path, certificate_pem, _CERTIFICATE_RIGHTS),
        )
        staged: list[write.Staged] = []
        try:
            for path, content, rights in contents:
                if content is not None:
                    wanted = attributes.FileAttributes(
                        self.module, paths.resolve(path), "0600", rights
                    )
                    staged.append(write.Staged(path, content, wanted.context, wanted.rights))
            kept = pair_swap.replace(staged, backup=self.backup)
            self.backups.update(zip((file.path for file in staged), kept))
        finally:
            for file in staged:
                file.discard()

    def _result(
        self,
        state: _State,
        changed: bool,
        certificate: x509.Certificate | None,
        times: ValidityPeriod | None,
    ) -> dict[str, t.Any]:
        kind = self.kind.made() if state.new_key or state.key is None else state.key.kind
        after = (read_fields(certificate) if certificate is not None else None) or self._expected(
            None if state.new_key else state.key
        )
        before = (read_fields(state.certificate) if state.certificate is not None else None) or {}
        if before and state.certificate is not None:
            before |= read_identity(state.certificate, self.now)
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
        if times is not None and times.clamped:
            result |= {"clamped": True, "not_after_wanted": format_utc(times.unclamped)}
            # Only for what was issued: the role asks in check mode on every run.
            if not self.module.check_mode:
                self.module.warn(
                    f"{self.path}: the certificate ends with its CA on {format_utc(times.not_after)},"
                    f" not on {format_utc(times.unclamped)} as valid_for asks: renew the CA before then"
                )
        return result | self._backups()
