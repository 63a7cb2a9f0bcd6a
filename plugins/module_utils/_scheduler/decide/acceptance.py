# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse the variable adopt: the losses and changes that the user accepts at an adoption."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ansible.module_utils.parsing.convert_bool import boolean

OWNERSHIP = "ownership"
"""The name that accepts a change of the owner of directories."""
STATIC_POD_MANIFEST = "static_pod"
"""The name that accepts the removal of the manifest of a static pod."""
DROP_INS = "drop_ins"
"""The name that accepts the loss of drop-ins whose settings are unknown."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,200}")


@dataclass(frozen=True)
class Acceptance:
    """The names of the losses and changes that the user accepts, in lowercase."""

    everything: bool
    names: frozenset[str]

    def covers(self, name: str) -> bool:
        """Return whether the user accepts a loss or change. The end of a dotted name suffices."""
        return self.everything or not self.names.isdisjoint(
            {name.lower(), name.lower().rpartition(".")[2]}
        )

    def format_line(self, names: t.Iterable[str], prefix: str) -> str:
        """Return the line for the inventory that also accepts these names."""
        return f"{prefix}adopt: [{', '.join(sorted({*self.names, *names}))}]"


def parse_acceptance(value: t.Any) -> Acceptance | None:
    """Return the parsed variable; None if it is neither a boolean nor a list of names.

    A text can be a boolean or names with commas between them, for the option -e.
    """
    if isinstance(value, (bool, int, str)):
        try:
            return Acceptance(boolean(value, strict=True), frozenset())
        except TypeError:
            value = [part.strip() for part in str(value).split(",")]
    if not isinstance(value, list):
        return None
    if not all(isinstance(name, str) and NAME.fullmatch(name) for name in value):
        return None
    return Acceptance(everything=False, names=frozenset(name.lower() for name in value))
