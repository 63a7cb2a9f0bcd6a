# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks for modules that are called without Ansible."""

from __future__ import annotations

from typing import Any


def filled(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Options as AnsibleModule would hand them over, sub-options and defaults included."""
    unknown = set(given) - set(spec)
    assert not unknown
    options = {}
    for name, kind in spec.items():
        value = given.get(name, kind.get("default"))
        if value is not None and kind.get("options"):
            inner = kind["options"]
            value = [filled(inner, entry) for entry in value] if kind["type"] == "list" else filled(inner, value)
        options[name] = value
    return options
