# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Define the errors of the collection: one line with where, what is wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_ERROR_CHARS = 1500
# Also matches a truncated or quoted block, because a user can set a key instead of its path.
_PEM = re.compile(r"-----BEGIN(?:[A-Za-z0-9+/=\s:,-]|\\[nr])*")


def printable_line(text: str, max_chars: int = MAX_ERROR_CHARS) -> str:
    """Return the text as one printable line of bounded length, without PEM blocks.

    Error messages repeat input, which can contain secrets and control characters.
    """
    text = _PEM.sub("(PEM text)", text)
    if len(text) > max_chars:
        text = f"{text[: max_chars * 2 // 3]} … {text[-max_chars // 4 :]}"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


# Python raises these exceptions for data of an unexpected type or value.
MALFORMED_DATA_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)


def describe_error(error: Exception) -> str:
    """Return the type and text of one of MALFORMED_DATA_ERRORS as one line."""
    return printable_line(f"{type(error).__name__}: {str(error)[:80]!r}")


class CollectionError(Exception):
    """Base of all errors that the collection reports to the user.

    The argument `option` names the option that causes the error, or an entry of the option:
    `subject.CN`, `subject_alt_name[1]`. If no option causes the error, `option` is "". The message
    begins with this name. The attribute `location` contains the full name, the attribute `option`
    only the name of the option. If a caller has another name for the option, such as a role
    variable, the caller uses `format_for`.
    """

    def __init__(self, message: str, *, option: str = "") -> None:
        self.message = printable_line(message)
        super().__init__(self.message)
        self.location = printable_line(option, 200)
        self.option = re.split(r"[.\[]", self.location, maxsplit=1)[0]

    def __str__(self) -> str:
        return f"{self.location}: {self.message}" if self.location else self.message

    def format_for(self, names: Mapping[str, str]) -> str:
        """Return the message with the caller's name for the option.

        `names` maps options to the caller's names.
        """
        name = names.get(self.option, self.option) + self.location[len(self.option) :]
        return f"{name}: {self.message}" if name else self.message


class FilesError(CollectionError):
    """A file cannot be read or written safely."""


class LibraryError(CollectionError):
    """A Python library is missing.

    LibraryError is not an X509Error, because no key or certificate is damaged.
    """


class X509Error(CollectionError):
    """A key, a certificate, a CA or an option for them is invalid."""


class MissingError(X509Error):
    """A file is missing that an earlier task can create; check mode only warns."""


class KubeError(CollectionError):
    """A request to a server failed; `kind` is the machine-readable reason."""

    def __init__(self, kind: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class KubeconfigError(KubeError):
    """A kubeconfig, or an option for one, is invalid."""

    def __init__(self, message: str) -> None:
        super().__init__("kubeconfig", message)


class LeaseError(CollectionError):
    """An election record is invalid."""


class SystemdError(CollectionError):
    """A systemd operation failed."""


class FilesetError(CollectionError):
    """The file set of a host cannot be staged or promoted."""


class PlanError(CollectionError):
    """No plan can be computed from the input."""


class ProbeError(CollectionError):
    """A probe could not run."""
