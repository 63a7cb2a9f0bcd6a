# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Predict the changes that x509_cert would make to a key pair on the controller."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENTS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import prepare_task
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    ReadFile,
    read_plain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import converge_pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc


class _CheckModule:
    """The methods of AnsibleModule that `converge_pair` calls in check mode."""

    check_mode = True

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = params

    def warn(self, warning: str) -> None:
        """Ignore the warning, because the actual run reports it."""

    def load_file_common_arguments(
        self,
        params: dict[str, t.Any],  # noqa: ARG002
        path: str | None = None,  # noqa: ARG002
    ) -> dict[str, t.Any]:
        """Return no file options, because the preview does not compare permissions."""
        return {}

    def set_fs_attributes_if_different(
        self,
        file_args: dict[str, t.Any],  # noqa: ARG002
        changed: bool,
    ) -> bool:
        """Return `changed` without setting a file attribute."""
        return changed


def preview_pair(args: t.Mapping[str, t.Any], *, read: ReadFile = read_plain) -> list[str]:
    """Return the reasons for which x509_cert would issue a certificate for these options.

    All paths in the options are absolute.

    Raises X509Error and FilesError as x509_cert does.
    """
    arguments = prepare_task(args, lambda _option, path: path, read=read).arguments
    options = ArgumentSpecValidator({**FILE_COMMON_ARGUMENTS, **CERTIFICATE_ARGUMENTS}).validate(
        arguments
    )
    result = converge_pair(_CheckModule(options.validated_parameters), current_utc())
    return [str(reason) for reason in result["reasons"]]
