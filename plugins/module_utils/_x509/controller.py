# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Prepare and sign the tasks of x509_cert whose CA is on the controller.

An action plugin calls `prepare_task` and runs its module with the arguments from it. If the task
issues certificates, the plugin signs the request of the target with `sign_request`.
"""

from __future__ import annotations

import contextlib
import typing as t
from datetime import datetime

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    CollectionError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CA_CERTIFICATE_OPTION,
    CERTIFICATE_OPTION,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.authority import (
    CertificateAuthority,
    check_authority,
    load_authority,
    load_authority_certificate,
    sign_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    serialize_certificate,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller_options import (
    KEY_OPTIONS,
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
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.request import (
    verify_plain_request,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.specification import (
    CertificateSpec,
    parse_pair_spec,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc


class PreparedTask(t.NamedTuple):
    """A task of x509_cert with a CA that can sign.

    `arguments` are for the target. The arguments contain the values of the profile and the CA
    certificate (`_ca_certificate`), but no path and no secret of the controller. `now` is the UTC
    time of the CA check.
    """

    arguments: dict[str, t.Any]
    authority: CertificateAuthority
    spec: CertificateSpec
    now: datetime


def prepare_task(
    args: t.Mapping[str, t.Any],
    find: FindFile,
    *,
    need_key: bool = True,
    read: ReadFile = read_plain,
) -> PreparedTask:
    """Validate the options of a task, then read and check the CA and profile as the calling user.

    `read` is that of `load_authority`. `find` takes an option's name and its relative path. The
    function returns the full path, or raises `file_not_found`. Without `need_key`, the result
    cannot sign, and the CA key and its passphrase are read only to select one of several CAs.

    Raises X509Error for an invalid option or CA, MissingError if a file does not exist, and
    FilesError if it cannot be read. Raises LibraryError if the controller lacks cryptography.
    """
    require_cryptography(" on the controller")
    reject_internal_options(args)
    given = args if need_key else {k: v for k, v in args.items() if k not in KEY_OPTIONS}
    options = validate_task_options(given, find, need_key=need_key, read=read)
    now = current_utc()
    spec = parse_pair_spec(options)
    ca_path = options["ca_path"]
    authority = (
        load_authority(ca_path, options["ca_privatekey_path"], spec.ca.passphrase_path, read)
        if need_key
        else _load_certificate(args, ca_path, find, read)
    )
    check_authority(authority.certificate, ca_path, spec.certificate, now)
    arguments = select_target_options(args, options)
    arguments[CA_CERTIFICATE_OPTION] = serialize_certificate(authority.certificate).decode("ascii")
    return PreparedTask(arguments, authority, spec.certificate, now)


def _load_certificate(
    args: t.Mapping[str, t.Any], ca_path: str, find: FindFile, read: ReadFile
) -> CertificateAuthority:
    """Load the CA without its key; of several CAs in the file, the one that signs.

    Only the key shows which CA signs. Raises the errors of `load_authority_certificate`.
    """
    try:
        return load_authority_certificate(ca_path, read)
    except X509Error:
        with contextlib.suppress(CollectionError):
            key_path, passphrase_path = (
                require_readable(option, args[option], find) if args.get(option) else None
                for option in KEY_OPTIONS
            )
            if key_path is not None:
                loaded = load_authority(ca_path, key_path, passphrase_path, read)
                return loaded._replace(private=None)
        raise


def sign_request(task: PreparedTask, csr: object) -> dict[str, t.Any]:
    """Return the arguments of the second module run: those of the first, and the certificate.

    Raises X509Error if `verify_plain_request` rejects the signing request of the target.
    """
    public = verify_plain_request(check_request_size(csr))
    certificate, _period = sign_certificate(task.authority, task.spec, public, task.now)
    return {
        **task.arguments,
        CERTIFICATE_OPTION: serialize_certificate(certificate).decode("ascii"),
    }
