# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's half of x509_cert: it signs what the target asks for, with a CA key that stays here."""

from __future__ import annotations

import os
import pwd
import typing as t

from ansible.errors import AnsibleError
from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import FilesError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import (
    _authority,
    _base,
    _certificate,
    _spec,
    _wanted,
)

MODULE = "kube_ha.scheduler.x509_cert"


class ActionModule(ActionBase):
    """Verify the CA, ask the target for a signing request, sign it, hand the certificate back."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module on the target, and where the CA is here, sign in between."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        args: dict[str, t.Any] = dict(self._task.args)
        try:
            for hidden in (_spec.CA_CERTIFICATE, _spec.CERTIFICATE):
                if hidden in args:
                    raise _base.X509Error(f"{hidden} is not an option of x509_cert")
            if args.get("ca_on") != "controller" or args.get("state") == "absent":
                return result | self._module(args, task_vars)
            return result | self._signed(args, task_vars)
        except (_base.X509Error, FilesError) as exc:
            return result | {"failed": True, "msg": str(exc)}

    def _module(self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        found: dict[str, t.Any] = self._execute_module(MODULE, module_args=args, task_vars=task_vars)
        return found

    def _signed(self, args: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        options = self._options(args)
        now = _base.now()
        wanted = _wanted.wanted(options)
        _wanted.key_kind(options)
        authority = _authority.load(
            options["ca_path"], options["ca_privatekey_path"], options["ca_privatekey_passphrase_file"]
        )
        _authority.check(authority, options["ca_path"], wanted, now)
        theirs = {name: value for name, value in args.items() if name not in (*_spec.CA_OPTIONS, "profile")}
        # What a profile says, the target gets as plain options: the configuration is here.
        theirs |= {name: options[name] for name in _wanted.PROFILE_OPTIONS if options.get(name) is not None}
        theirs[_spec.CA_CERTIFICATE] = _certificate.pem(authority.certificate).decode("ascii")
        first = self._module(theirs, task_vars)
        csr = first.pop("csr", None)
        if first.get("failed") or csr is None or self._task.check_mode:
            return first
        certificate, _times = _authority.sign(authority, wanted, _certificate.requested_key(csr), now)
        theirs[_spec.CERTIFICATE] = _certificate.pem(certificate).decode("ascii")
        second = self._module(theirs, task_vars)
        if second.get("failed"):
            return second
        # The second run finds the key made and the rights set: why, and what was before, the first one knows.
        second["diff"] = {**second.get("diff", {}), "before": first.get("diff", {}).get("before")}
        for name in ("reasons", "clamped", "not_after_wanted", "warnings", "deprecations"):
            if name in first:
                second[name] = first[name]
        return second

    def _options(self, args: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the options, checked, with the CA's files found and the profile applied."""
        spec = {**FILE_COMMON_ARGUMENTS, **_spec.ARGUMENT_SPEC}
        checked = ArgumentSpecValidator(spec, **_spec.RULES).validate(args)
        if checked.error_messages:
            raise _base.X509Error("; ".join(checked.error_messages))
        options: dict[str, t.Any] = checked.validated_parameters
        if options["ca_path"] is None:
            raise _base.X509Error(
                "ca_path: is not set: with ca_on: controller, name the CA's certificate and key there"
            )
        for option in _spec.CA_OPTIONS:
            if options[option] is not None:
                options[option] = self._found(option, options[option])
        return _wanted.effective(options)

    def _found(self, option: str, path: str) -> str:
        """Return the full path of a file here, which the user who runs Ansible can read."""
        full = path
        if not os.path.isabs(path):
            try:
                full = self._find_needle("files", path)
            except AnsibleError:
                raise _base.X509Error(
                    f"{option}: {path!r} is in no files directory of the controller: write it in full"
                ) from None
        barred = next(filter(_barred, _ancestry(full)), None)
        if barred is not None:
            owner, me = (_user(uid) for uid in (os.stat(barred).st_uid, os.geteuid()))
            raise _base.X509Error(
                f"{option}: {barred!r} on the controller belongs to {owner}, and {me}, who runs Ansible, may not read it:"
                f" run Ansible as {owner}, give {me} the right by a group, or use a copy of your own"
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
