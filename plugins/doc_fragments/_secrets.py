# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This doc fragment is **PRIVATE** to the collection. It can have breaking changes at any time.

from __future__ import annotations


class ModuleDocFragment:
    """The option of the modules that receive the secrets of a configuration."""

    DOCUMENTATION = r"""
options:
  secrets:
    description:
      - Secrets that other options of the module contain only as a placeholder. The action plugin
        sets this option, and no output contains its values.
    type: dict
    suboptions:
      contents:
        description: Content of each file with a secret, by the name of the file. This
          content replaces the placeholder in C(content).
        type: dict
      values:
        description: The secrets. The module also withholds them in texts of other programs.
        type: list
        elements: str
"""
