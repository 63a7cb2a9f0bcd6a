# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The controller's half of x509_cert, without the module runs: the CA stays here, and the target gets plain options.

An action plugin calls :func:`prepare`, runs its module with the arguments that this returns and, if it issues
certificates, answers the signing request with :func:`sign`.
"""

from __future__ import annotations

import os
import pwd
import typing as t
from datetime import datetime

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import authority as _authority
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import base, spec
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import certificate as _certificate
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import wanted as _wanted

Find = t.Callable[[str, str], str]

# One for an RSA key of 8192 bits has less than 3 KiB.
_LONGEST_REQUEST = 16 << 10
_KEY_OPTIONS = ("ca_privatekey_path", "ca_privatekey_passphrase_file")


class Prepared(t.NamedTuple):
    """A task of x509_cert whose CA was judged fit on the controller.

    *arguments* is what the target gets: no path or secret of the controller, the values of the profile as plain
    options, and the CA's certificate as C(_ca_certificate). *now* (UTC, whole seconds) is when the CA was judged.
    """

    arguments: dict[str, t.Any]
    authority: _authority.Authority
    wanted: _wanted.Wanted
    now: datetime


def refuse_hidden(args: t.Mapping[str, t.Any]) -> None:
    """Raise X509Error for an option that only an action plugin may set."""
    for hidden in (spec.CA_CERTIFICATE, spec.CERTIFICATE):
        if hidden in args:
            raise X509Error(f"{hidden} is not an option of x509_cert")


def not_found(option: str, path: str) -> X509Error:
    """Return the error for a relative path that C(find) has not found on the controller."""
    return X509Error(f"{path!r} is in no files directory of the controller: write it in full", option=option)


def prepare(args: t.Mapping[str, t.Any], find: Find, *, need_key: bool = True) -> Prepared:
    """Validate the options of a task, read the CA and the profile as the calling user, and judge them.

    *find* gets an option's name and its relative path; it returns the full path or raises :func:`not_found`.
    With *need_key* false, neither the CA's key nor its passphrase is looked for, C(authority.private) is None and
    nothing can be signed.

    Raises X509Error for a bad option or an unfit CA, MissingError for a file that does not exist and FilesError for one that
    cannot be read.
    """
    refuse_hidden(args)
    options = _options(args if need_key else {k: v for k, v in args.items() if k not in _KEY_OPTIONS}, find, need_key)
    now = base.now()
    wanted = _wanted.wanted(options)
    _wanted.key_kind(options)
    if need_key:
        authority = _authority.load(
            options["ca_path"], options["ca_privatekey_path"], options["ca_privatekey_passphrase_file"]
        )
    else:
        authority = _authority.load_certificate(options["ca_path"])
    _authority.check(authority, options["ca_path"], wanted, now)
    arguments = {name: value for name, value in args.items() if name not in (*spec.CA_OPTIONS, "profile")}
    # The configuration of the profile is on the controller, so the target could not read it.
    arguments |= {name: options[name] for name in _wanted.PROFILE_OPTIONS if options.get(name) is not None}
    arguments[spec.CA_CERTIFICATE] = _certificate.pem(authority.certificate).decode("ascii")
    return Prepared(arguments, authority, wanted, now)


def sign(prepared: Prepared, csr: object) -> dict[str, t.Any]:
    """Return the arguments of the second module run: those of the first, and the signed certificate.

    Raises X509Error where the target's signing request is not one of :func:`certificate.request`.
    """
    if not isinstance(csr, str) or len(csr) > _LONGEST_REQUEST:
        raise X509Error(
            f"the host's signing request is not a text of at most {_LONGEST_REQUEST >> 10} KiB: look at who answers there"
        )
    public = _certificate.requested_key(csr)
    certificate, _times = _authority.sign(prepared.authority, prepared.wanted, public, prepared.now)
    return {**prepared.arguments, spec.CERTIFICATE: _certificate.pem(certificate).decode("ascii")}


def _options(args: t.Mapping[str, t.Any], find: Find, need_key: bool) -> dict[str, t.Any]:
    rules = dict(spec.RULES)
    if not need_key:
        rules["required_by"] = {name: needs for name, needs in rules["required_by"].items() if name != "ca_path"}
    checked = ArgumentSpecValidator({**FILE_COMMON_ARGUMENTS, **spec.ARGUMENT_SPEC}, **rules).validate(dict(args))
    if checked.error_messages:
        raise X509Error("; ".join(checked.error_messages))
    options: dict[str, t.Any] = checked.validated_parameters
    if options["ca_path"] is None:
        needed = "certificate and key" if need_key else "certificate"
        raise X509Error(f"is not set: with ca_on: controller, name the CA's {needed} there", option="ca_path")
    for option in spec.CA_OPTIONS:
        if options[option] is not None:
            options[option] = readable(option, options[option], find)
    return _wanted.effective(options)


def readable(option: str, path: str, find: Find) -> str:
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
