# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Load YAML of a user, a process or a host without aliases, and with a limited number of nodes.

An alias can repeat a part many times, so that a text of a few hundred bytes uses all memory. The
library is an argument, because a host can lack it.
"""

from __future__ import annotations

import typing as t


class YamlLimitError(ValueError):
    """A text contains an alias or too many nodes."""


def bounded_loader(library: t.Any, max_nodes: int) -> t.Any:
    """Return a loader that raises YamlLimitError for an alias and for more than `max_nodes` nodes.

    A deeply nested text crashes the process with the C loader, so this is the Python loader.
    """

    class BoundedLoader(library.SafeLoader):
        nodes = 0

        def compose_node(self, parent: t.Any, index: t.Any) -> t.Any:
            self.nodes += 1
            if self.nodes > max_nodes:
                raise YamlLimitError(f"contains more than {max_nodes} YAML nodes; shorten the text")
            if self.check_event(library.AliasEvent):
                raise YamlLimitError(
                    "contains a YAML alias, which is not supported; write the value instead"
                )
            return super().compose_node(parent, index)

    return BoundedLoader
