# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation as a site, for Sphinx: make docs."""

from __future__ import annotations

import zlib
from pathlib import Path

project = "kube_ha.scheduler"
author = "The kube_ha.scheduler authors"
extensions = [
    "myst_parser",
    "sphinx.ext.intersphinx",
    "sphinxcontrib.mermaid",
    "sphinx_antsibull_ext",
]
html_theme = "sphinx_ansible_theme"
html_title = "kube_ha.scheduler"
html_show_copyright = False
# The pages are read on the repository's own site too, so they are plain Markdown.
myst_fence_as_directive = ["mermaid"]
myst_heading_anchors = 4
nitpicky = True
highlight_language = "none"

# What the modules' pages name of Ansible's own documentation. Its inventory would have to be fetched; this one is made here.
ANSIBLE = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_collections.ansible.builtin.copy_module": "collections/ansible/builtin/copy_module.html",
    "ansible_configuration_settings": "reference_appendices/config.html#ansible-configuration-settings",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}
inventory = Path(__file__).with_name("ansible.inv")
inventory.write_bytes(
    b"# Sphinx inventory version 2\n# Project: Ansible\n# Version: latest\n# The remainder of this file is compressed using zlib.\n"
    + zlib.compress(
        "".join(f"{name} std:label -1 {place} -\n" for name, place in ANSIBLE.items()).encode()
    )
)
intersphinx_mapping = {"ansible": ("https://docs.ansible.com/ansible/latest/", str(inventory))}
