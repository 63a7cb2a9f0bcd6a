# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Withhold the secrets in the text of a configuration or a unit, for a diff."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.names import (
    DIGEST_VARIABLE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.settings import (
    MAX_YAML_BYTES,
    MAX_YAML_NODES,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._yaml_limits import bounded_loader

DIFFERS = "(withheld, differs)"
"""The replacement of a secret that differs from the secret in the same field before the change."""
UNREADABLE = "(withheld, because the file is not valid YAML)"
YAML_COMMENT = re.compile(r"(?m)(?:^|(?<=\s))#.*$")
UNIT_ENVIRONMENT = re.compile(rf"(?m)^(Environment=)(?!{DIGEST_VARIABLE}=).+$")


class _Span(t.NamedTuple):
    """The place of a value in a text."""

    start: int
    end: int


def withhold_difference(before: str, after: str, *, is_unit: bool = False) -> tuple[str, str]:
    """Return two versions of a file without their secrets. A changed secret is marked in `after`.

    `is_unit` is true for a unit or drop-in of systemd, otherwise the text is a configuration.
    """
    if is_unit:
        return _withhold_unit(before), _withhold_unit(after)
    old, new = _find_spans(before), _find_spans(after)
    values = {path: before[slice(*span)] for path, span in (old or {}).items()}
    changed = {
        path
        for path, span in (new or {}).items()
        if path in values and values[path] != after[slice(*span)]
    }
    return _replace(before, old, set()), _replace(after, new, changed)


def _withhold_unit(text: str) -> str:
    return _secrets.withhold_text(UNIT_ENVIRONMENT.sub(rf"\1{_secrets.WITHHELD}", text))


def _replace(text: str, spans: dict[str, _Span] | None, changed: set[str]) -> str:
    """Replace the text of each span. Without spans, withhold a text that has a secret."""
    if spans is None:
        return text if _secrets.withhold_text(text) == text else f"{UNREADABLE}\n"
    for path, (start, end) in sorted(spans.items(), key=lambda item: item[1], reverse=True):
        mark = DIFFERS if path in changed else _secrets.WITHHELD
        final = "\n" if text[start:end].endswith("\n") else ""
        text = f"{text[:start]}{mark}{final}{text[end:]}"
    return YAML_COMMENT.sub(lambda comment: _secrets.withhold_text(comment[0]), text)


def _find_spans(text: str) -> dict[str, _Span] | None:
    """Return the places of the secrets by field; None if the text cannot be parsed."""
    # Import here, because the module also runs on hosts without this library.
    try:
        import yaml  # noqa: PLC0415
    except ImportError:
        return None
    if len(text) > MAX_YAML_BYTES:
        return None
    try:
        loader = bounded_loader(yaml, MAX_YAML_NODES)(text)
        root = loader.get_single_node()
        places = dict(_places(root, "")) if root else {}
        loaded = loader.construct_document(root) if root else None
        return {path: places[path] for path in _secrets.find_secrets(loaded)}
    except (yaml.YAMLError, LookupError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _places(node: t.Any, path: str) -> t.Iterator[tuple[str, _Span]]:
    """Yield path and place of a node of YAML and of its parts. The paths are as in find_secrets."""
    yield path, _Span(node.start_mark.index, node.end_mark.index)
    if node.id == "mapping":
        for key, value in node.value:
            yield from _places(value, f"{path}.{key.value}" if path else str(key.value))
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            yield from _places(value, f"{path}[{number}]")
