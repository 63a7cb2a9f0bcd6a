# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Exchange requests and certificates on the controller if an external CA issues them."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CERTIFICATE_OPTION,
    EXTERNAL_OPTIONS,
    REQUEST_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    check_anchor,
    parse_authorities,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    KEY_OPTIONS,
    MAX_REQUEST_BYTES,
    FindFile,
    check_request_size,
    reject_internal_options,
    require_readable,
    select_target_options,
    validate_task_options,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    ReadFile,
    read_plain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.library import (
    require_cryptography,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import (
    normalize_certificates,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import verify_request
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
    parse_pair_spec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

_MAX_REASON_CHARS = 300


class ExternalTask(t.NamedTuple):
    """A task of x509_cert with an external CA.

    `arguments` are for the target. The arguments contain the CA certificates, the received
    certificate and the existing request as PEM. The paths are on the controller.
    """

    arguments: dict[str, t.Any]
    spec: CertificateSpec
    ca_path: str
    csr_path: str
    certificate_source: str

    def advice(self) -> str:
        """Return how the user gets the certificate from the external CA."""
        return (
            f"have {self.csr_path} signed by the CA in {self.ca_path}, and save the certificate as"
            f" {self.certificate_source}"
        )

    def find_error(self, result: t.Mapping[str, t.Any]) -> str:
        """Return why the task fails after the result of the target; "" if it does not fail."""
        rejections, awaited = (_join_reasons(result.get(name)) for name in ("refused", "awaited"))
        if rejections:
            return (
                f"{self.certificate_source} cannot be used: it {rejections}; {self.advice()}, or"
                " remove it"
            )
        if awaited and result.get("chain") != "valid":
            return (
                f"a certificate is awaited: {awaited}; {self.advice()}, then run again; the key"
                " pair in use is unchanged"
            )
        return ""


def _join_reasons(reasons: t.Any) -> str:
    if not isinstance(reasons, list):
        return ""
    return "; ".join(printable_line(str(reason), _MAX_REASON_CHARS) for reason in reasons)


def prepare_external_task(
    args: t.Mapping[str, t.Any], find: FindFile, *, read: ReadFile = read_plain
) -> ExternalTask:
    """Validate the options of a task with an external CA, and read its files on the controller.

    Raises X509Error for an invalid option, if no CA in the file can sign the certificate, or if
    the received file is no certificate; MissingError, FilesError and LibraryError as
    `prepare_task` does.
    """
    require_cryptography(" on the controller")
    reject_internal_options(args)
    given = {name: value for name, value in args.items() if name not in KEY_OPTIONS}
    options = validate_task_options(given, find, need_key=False, read=read)
    if options["is_ca"] or options["force"] or options["regenerate"] == "always":
        raise X509Error(
            "an external CA issues a certificate only when it is due; unset is_ca, force and"
            " regenerate: always",
            option="ca_on",
        )
    for option in EXTERNAL_OPTIONS:
        _check_external_path(option, options[option], find)
    spec = parse_pair_spec(options).certificate
    ca_path, source = options["ca_path"], options["certificate_source"]
    content = read(ca_path)
    if content is None:
        raise MissingError(
            f"{ca_path!r} does not exist; save the certificate of the CA that signs",
            option="ca_path",
        )
    _require_one_authority(parse_authorities(content, ca_path), ca_path, spec)
    request = paths.read(options["csr_path"], limit=MAX_REQUEST_BYTES) or b""
    arguments = select_target_options(args, options)
    arguments[CA_CERTIFICATE_OPTION] = normalize_certificates(content)
    arguments[CERTIFICATE_OPTION] = _read_received(source, read)
    arguments[REQUEST_OPTION] = request.decode("ascii", "replace")
    return ExternalTask(arguments, spec, ca_path, options["csr_path"], source)


def _check_external_path(option: str, path: str | None, find: FindFile) -> None:
    if path is None or not os.path.isabs(path):
        raise X509Error(
            "is not an absolute path; with ca_on: external, set a path on the controller",
            option=option,
        )
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise X509Error(
            f"{directory!r} is not a directory on the controller; create it first", option=option
        )
    require_readable(option, path, find)


def _read_received(source: str, read: ReadFile) -> str:
    """Return the certificates from the external CA as PEM; "" if the file is missing or empty."""
    content = read(source) or b""
    if b"PRIVATE KEY-----" in content:
        raise X509Error(
            f"{source!r} contains a private key, which the host must not receive; remove the key",
            option="certificate_source",
        )
    certificates = normalize_certificates(content)
    if content.strip() and not certificates:
        raise X509Error(
            f"{source!r} contains no certificate in PEM format; save the issued certificate there",
            option="certificate_source",
        )
    return certificates


def _require_one_authority(
    certificates: t.Sequence[t.Any], path: str, spec: CertificateSpec
) -> None:
    """Raise the X509Error of the first CA if none of them can sign the certificate."""
    now = current_utc()

    def find_error(certificate: t.Any) -> X509Error | None:
        try:
            check_anchor(certificate, path, spec, now)
        except X509Error as error:
            return error
        return None

    errors = [find_error(certificate) for certificate in certificates]
    if None not in errors:
        raise t.cast("X509Error", errors[0])


def write_request(task: ExternalTask, csr: object) -> None:
    """Verify the signing request of a target and write it to the controller.

    Raises X509Error and FilesError.
    """
    _public, content = verify_request(check_request_size(csr), task.spec)
    write.write(task.csr_path, content, rights=write.rights_setter(-1, -1, 0o644))
