# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check the texts of a result of any structure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any


def all_texts(value: Any) -> Iterator[str]:
    """Return all texts in a value, also the keys of a mapping and the fields of a dataclass."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from all_texts(entry)
    elif isinstance(value, str):
        yield value


def assert_clean(value: Any) -> None:
    """Check that no text in a value has a control character except tab and newline."""
    for text in all_texts(value):
        assert text.replace("\n", "").replace("\t", "").isprintable(), ascii(text[:300])
