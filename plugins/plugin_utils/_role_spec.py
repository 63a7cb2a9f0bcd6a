# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read the types and choices of the role variables from meta/argument_specs.yml of the role."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.module_utils.common.yaml import yaml_load

ROLE = Path(__file__).resolve().parents[2] / "roles/kube_scheduler"
PREFIX = f"{ROLE.name}_"


def _read_variables_spec() -> dict[str, dict[str, t.Any]]:
    """Return the argument spec of the role, by name without prefix.

    The spec has no defaults, because defaults/main.yml sets a value for every variable.
    """
    text = (ROLE / "meta/argument_specs.yml").read_text(encoding="utf-8")
    options = yaml_load(text)["argument_specs"]["main"]["options"]
    return {
        name.removeprefix(PREFIX): {
            key: option[key] for key in ("type", "choices", "elements") if key in option
        }
        for name, option in options.items()
    }


# Ansible imports an action plugin before it forks, so that all forks share this value.
VARIABLES_SPEC = _read_variables_spec()
