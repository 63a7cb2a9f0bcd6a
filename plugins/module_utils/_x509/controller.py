# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import os
import pwd
import typing as t
from datetime import datetime

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
    printable_line,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths, write
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CA_OPTIONS,
    CERTIFICATE_ARGUMENT_RULES,
    CERTIFICATE_ARGUMENTS,
    CERTIFICATE_OPTION,
    EXTERNAL_OPTIONS,
    INTERNAL_OPTIONS,
    REQUEST_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
    check_authority,
    load_authority,
    load_authority_certificate,
    parse_authorities,
    sign_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pem import split_certificates
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.profile import (
    PROFILE_OPTIONS,
    apply_profile,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import (
    verify_plain_request,
    verify_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
    parse_certificate_spec,
    parse_key_kind,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc

FindFile = t.Callable[[str, str], str]
# One for an RSA key of 8192 bits has less than 3 KiB.
_LONGEST_REQUEST = 16 << 10
_KEY_OPTIONS = ("ca_privatekey_path", "ca_privatekey_passphrase_file")


class PreparedTask(t.NamedTuple):
    """A task of x509_cert whose CA was judged fit on the controller.

    *arguments* is what the target gets: no path or secret of the controller, the values of the profile as plain
    options, and the CA's certificate as C(_ca_certificate). *now* (UTC, whole seconds) is when the CA was judged.
    """

    arguments: dict[str, t.Any]
    authority: CertificateAuthority
    wanted: CertificateSpec
    now: datetime


def reject_internal_options(args: t.Mapping[str, t.Any]) -> None:
    """Raise X509Error for an option that only an action plugin may set."""
    for hidden in INTERNAL_OPTIONS:
        if hidden in args:
            raise X509Error(f"{hidden} is not an option of x509_cert")


def file_not_found(option: str, path: str) -> X509Error:
    """Return the error for a relative path that C(find) has not found on the controller."""
    return X509Error(
        f"{path!r} is in no files directory of the controller: write it in full", option=option
    )


def prepare_task(
    args: t.Mapping[str, t.Any], find: FindFile, *, need_key: bool = True
) -> PreparedTask:
    """Validate the options of a task, read the CA and the profile as the calling user, and judge them.

    *find* gets an option's name and its relative path; it returns the full path or raises :func:`not_found`.
    With *need_key* false, neither the CA's key nor its passphrase is looked for, C(authority.private) is None and
    nothing can be signed.

    Raises X509Error for a bad option or an unfit CA, MissingError for a file that does not exist and FilesError for one that
    cannot be read.
    """
    reject_internal_options(args)
    options = _options(
        args if need_key else {k: v for k, v in args.items() if k not in _KEY_OPTIONS},
        find,
        need_key,
    )
    now = current_utc()
    wanted = parse_certificate_spec(options)
    parse_key_kind(options)
    if need_key:
        authority = load_authority(
            options["ca_path"],
            options["ca_privatekey_path"],
            options["ca_privatekey_passphrase_file"],
        )
    else:
        authority = load_authority_certificate(options["ca_path"])
    check_authority(authority, options["ca_path"], wanted, now)
    arguments = _plain(args, options)
    arguments[CA_CERTIFICATE_OPTION] = serialize_certificate(authority.certificate).decode("ascii")
    return PreparedTask(arguments, authority, wanted, now)


def _plain(args: t.Mapping[str, t.Any], options: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the options of a task without the controller's files."""
    files = (*CA_OPTIONS, *EXTERNAL_OPTIONS, "profile")
    plain = {name: value for name, value in args.items() if name not in files}
    # The configuration of the profile is on the controller, so the target could not read it.
    return plain | {
        name: options[name] for name in PROFILE_OPTIONS if options.get(name) is not None
    }


def sign_request(prepared: PreparedTask, csr: object) -> dict[str, t.Any]:
    """Return the arguments of the second module run: those of the first, and the signed certificate.

    Raises X509Error where the target's signing request is not one of :func:`certificate.request`.
    """
    public = verify_plain_request(_bounded(csr))
    certificate, _times = sign_certificate(
        prepared.authority, prepared.wanted, public, prepared.now
    )
    return {
        **prepared.arguments,
        CERTIFICATE_OPTION: serialize_certificate(certificate).decode("ascii"),
    }


def _bounded(csr: object) -> str:
    if not isinstance(csr, str) or len(csr) > _LONGEST_REQUEST:
        raise X509Error(
            f"the host's signing request is not a text of at most {_LONGEST_REQUEST >> 10} KiB: look at who answers there"
        )
    return csr


class ExternalTask(t.NamedTuple):
    """A task of x509_cert whose CA is somebody else's.

    *arguments* is what the target gets: the certificates of the CA's file, what was handed in and what was laid before, as PEM
    text. The paths are the controller's.
    """

    arguments: dict[str, t.Any]
    wanted: CertificateSpec
    ca_path: str
    csr_path: str
    certificate_source: str

    def advice(self) -> str:
        """Say what a person has to do."""
        return f"have {self.csr_path} signed by the CA in {self.ca_path}, and put the certificate to {self.certificate_source}"

    def verdict(self, answer: t.Mapping[str, t.Any]) -> str:
        """Say why a target whose answer this is cannot go on; "" where it can."""
        found = (answer.get(name) for name in ("refused", "awaited"))
        refused, awaited = (
            "; ".join(printable_line(str(r), 300) for r in some) if isinstance(some, list) else ""
            for some in found
        )
        if refused:
            return f"{self.certificate_source} was handed in and {refused}: {self.advice()}, or remove it"
        if awaited and answer.get("chain") != "valid":
            return f"a certificate is awaited, for {awaited}: {self.advice()}, and run again; nothing in use was changed"
        return ""


def prepare_external_task(args: t.Mapping[str, t.Any], find: FindFile) -> ExternalTask:
    """Validate the options of a task with C(ca_on) external, and read what there is on the controller.

    Raises X509Error for a bad option, for a file of which no CA could sign what is wanted, and for one that is handed in and is
    no certificate; MissingError and FilesError as :func:`prepare`.
    """
    reject_internal_options(args)
    given = {name: value for name, value in args.items() if name not in _KEY_OPTIONS}
    options = _options(given, find, need_key=False)
    if options["is_ca"] or options["force"] or options["regenerate"] == "always":
        raise X509Error(
            "external is for certificates that are issued when they are due: without is_ca, force and regenerate: always",
            option="ca_on",
        )
    for option in EXTERNAL_OPTIONS:
        path = options[option]
        if path is None or not os.path.isabs(path):
            raise X509Error(
                "with ca_on: external, give an absolute path on the controller", option=option
            )
        if not os.path.isdir(os.path.dirname(path)):
            raise X509Error(
                f"{os.path.dirname(path)!r} is not a directory on the controller: make it first",
                option=option,
            )
        require_readable(option, path, find)
    parse_key_kind(options)
    wanted, ca_path, source = (
        parse_certificate_spec(options),
        options["ca_path"],
        options["certificate_source"],
    )
    content = paths.read(ca_path, follow=True)
    if content is None:
        raise MissingError(
            f"{ca_path!r} does not exist: put the certificate of the CA that signs there",
            option="ca_path",
        )
    _check_one_of(parse_authorities(content, ca_path), ca_path, wanted)
    handed = paths.read(source, follow=True) or b""
    if b"PRIVATE KEY-----" in handed:
        raise X509Error(
            f"{source!r} holds a private key, which would be sent: leave it out",
            option="certificate_source",
        )
    blocks = split_certificates(handed)
    if handed.strip() and not blocks:
        raise X509Error(
            f"{source!r} holds no certificate in PEM form: give the right file",
            option="certificate_source",
        )
    request = paths.read(options["csr_path"], limit=_LONGEST_REQUEST) or b""
    arguments = _plain(args, options)
    arguments[CA_CERTIFICATE_OPTION] = b"\n".join(split_certificates(content)).decode("ascii")
    arguments[CERTIFICATE_OPTION] = b"\n".join(blocks).decode("ascii")
    arguments[REQUEST_OPTION] = request.decode("ascii", "replace")
    return ExternalTask(arguments, wanted, ca_path, options["csr_path"], source)


def _check_one_of(found: t.Sequence[t.Any], path: str, wanted: CertificateSpec) -> None:
    """Raise X509Error where none of these CAs can sign what is wanted: for the first of them."""
    now = current_utc()

    def error_of(certificate: t.Any) -> X509Error | None:
        try:
            check_authority(CertificateAuthority(certificate), path, wanted, now)
        except X509Error as error:
            return error
        return None

    errors = [error_of(certificate) for certificate in found]
    if None not in errors:
        raise t.cast("X509Error", errors[0])


def write_request(task: ExternalTask, csr: object) -> None:
    """Check a target's signing request and write it to the controller. Raises X509Error and FilesError."""
    _public, content = verify_request(_bounded(csr), task.wanted)
    write.write(task.csr_path, content, rights=write.rights_setter(-1, -1, 0o644))


def _options(args: t.Mapping[str, t.Any], find: FindFile, need_key: bool) -> dict[str, t.Any]:
    rules = dict(CERTIFICATE_ARGUMENT_RULES)
    if not need_key:
        rules["required_by"] = {
            name: needs for name, needs in rules["required_by"].items() if name != "ca_path"
        }
    checked = ArgumentSpecValidator(
        {**FILE_COMMON_ARGUMENTS, **CERTIFICATE_ARGUMENTS}, **rules
    ).validate(dict(args))
    if checked.error_messages:
        raise X509Error("; ".join(checked.error_messages))
    options: dict[str, t.Any] = checked.validated_parameters
    if options["ca_path"] is None:
        needed = "certificate and key" if need_key else "certificate"
        raise X509Error(
            f"is not set: with ca_on: {options['ca_on']}, name the CA's {needed} on the controller",
            option="ca_path",
        )
    for option in CA_OPTIONS:
        if options[option] is not None:
            options[option] = require_readable(option, options[option], find)
    return apply_profile(options)


def require_readable(option: str, path: str, find: FindFile) -> str:
    """Return the full path of a controller's file; raise X509Error where the calling user may not read it.

    A path where nothing is passes: whoever reads it can say what should be there.
    """
    full = path if os.path.isabs(path) else find(option, path)
    barred = next(filter(_barred, _ancestry(full)), None)
    if barred is not None:
        owner, me = (_user(uid) for uid in (os.stat(barred).st_uid, os.geteuid()))
        raise X509Error(
            f"{barred!r} on the controller belongs to {owner}, and {me}, who runs Ansible, may not read it:"
            f" run Ansible as {owner}, give {me} the right by a group, or use a copy of your own",
            option=option,
        )
    return full


def _ancestry(path: str) -> list[str]:
    """Return a path after the directories that lead to it."""
    above = os.path.dirname(path)
    return [path] if above == path else [*_ancestry(above), path]


def _barred(path: str) -> bool:
    return os.path.exists(path) and not os.access(path, os.X_OK if os.path.isdir(path) else os.R_OK)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
