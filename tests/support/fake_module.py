# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replace AnsibleModule and its options, and end a process at each change of a file."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

CHANGING = (
    "rename",
    "fsync",
    "link",
    "symlink",
    "unlink",
    "mkdir",
    "chmod",
    "fchmod",
    "fchown",
    "rmdir",
)


class FakeModule:
    """Provide the part of AnsibleModule that module_utils uses."""

    def __init__(self, check_mode: bool = False, **params: Any) -> None:
        self.params = {"mode": None, "owner": None, "group": None, **params}
        self.check_mode = check_mode
        self.warnings: list[str] = []

    def warn(self, warning: str) -> None:
        self.warnings.append(warning)

    def load_file_common_arguments(
        self, params: dict[str, Any], path: str | None = None
    ) -> dict[str, Any]:
        return {"path": path, **{name: params.get(name) for name in ("mode", "owner", "group")}}

    def set_fs_attributes_if_different(self, file_args: dict[str, Any], changed: bool) -> bool:
        path = file_args["path"]
        if file_args["mode"] is None:
            return changed
        mode = int(file_args["mode"], 8)
        if not os.path.lexists(path):
            return True
        if os.stat(path).st_mode & 0o7777 == mode:
            return changed
        if not self.check_mode:
            os.chmod(path, mode)
        return True


def filled(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Fill in options as AnsibleModule does, including suboptions and defaults."""
    unknown = set(given) - set(spec)
    assert not unknown
    options = {}
    for name, kind in spec.items():
        value = given.get(name, {} if kind.get("apply_defaults") else kind.get("default"))
        if value is not None and kind.get("options"):
            inner = kind["options"]
            value = (
                [filled(inner, entry) for entry in value]
                if kind["type"] == "list"
                else filled(inner, value)
            )
        options[name] = value
    return options


@contextlib.contextmanager
def at_change(point: int, what: Callable[[], object]) -> Iterator[list[int]]:
    """Call `what` before the n-th change of a file.

    The function yields a list with one number: the changes that remain until the call.
    """
    left = [point]

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                what()
            return function(*args, **kwargs)

        return call

    previous = {name: getattr(os, name) for name in CHANGING}
    try:
        for name, function in previous.items():
            setattr(os, name, counted(function))
        yield left
    finally:
        for name, function in previous.items():
            setattr(os, name, function)


def killed_at(action: Callable[[], object], point: int) -> bool:
    """Run `action` in a child process that kills itself at its n-th change of a file.

    Return whether the child reached that change.
    """
    child = os.fork()
    if child == 0:
        try:
            with at_change(point, lambda: os.kill(os.getpid(), signal.SIGKILL)):
                action()
        finally:
            os._exit(0)
    _pid, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def one_line(error: BaseException) -> str:
    """Check that an error is one readable line, and return the line."""
    text = str(error)
    assert text, "empty"
    assert "\n" not in text, "more than one line"
    assert not re.search(r"-----BEGIN|Traceback| object at 0x", text), text
    return text


class HostVars(dict[str, dict[str, Any]]):
    """Provide the part of Ansible's hostvars that the action plugins use."""

    def raw_get(self, name: str) -> dict[str, Any]:
        return self[name]
