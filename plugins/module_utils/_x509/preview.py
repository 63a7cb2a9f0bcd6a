# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.arguments import (
    CERTIFICATE_ARGUMENTS,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.controller import prepare_task
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.pair import Pair
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import current_utc


class _Reader:
    """The part of AnsibleModule that a pair needs, of a module that only looks."""

    check_mode = True

    def __init__(self, params: dict[str, t.Any]) -> None:
        self.params = params

    def warn(self, warning: str) -> None:
        """What would be warned of is told when it is done."""

    def load_file_common_arguments(
        self,
        params: dict[str, t.Any],  # noqa: ARG002
        path: str | None = None,  # noqa: ARG002
    ) -> dict[str, t.Any]:
        """No option of a file is asked for."""
        return {}

    def set_fs_attributes_if_different(
        self,
        file_args: dict[str, t.Any],  # noqa: ARG002
        changed: bool,
    ) -> bool:
        """Nothing is set."""
        return changed


def preview_pair(args: t.Mapping[str, t.Any]) -> list[str]:
    """Why x509_cert would make or renew the pair that the options *args*, with absolute paths, are about; none if it would not.

    Raises X509Error and FilesError as x509_cert does.
    """
    arguments = prepare_task(args, lambda _option, path: path).arguments
    options = ArgumentSpecValidator({**FILE_COMMON_ARGUMENTS, **CERTIFICATE_ARGUMENTS}).validate(
        arguments
    )
    result = Pair(_Reader(options.validated_parameters), current_utc()).run()
    return [str(reason) for reason in result["reasons"]]
