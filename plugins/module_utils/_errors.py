# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one tree of errors. Each is one line: what is wrong, where, and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping

LONGEST = 1500
"""Characters of an error: more is nothing that anybody reads."""
# Also where it was cut off, or stands in quotes with its line breaks escaped. A key may have been given in place of its path.
_PEM = re.compile(r"-----BEGIN(?:[A-Za-z0-9+/=\s:,-]|\\[nr])*")


def line(text: str, longest: int = LONGEST) -> str:
    """Return *text* as one printable line of bounded length without PEM; what was given may be repeated in it."""
    text = _PEM.sub("(PEM text)", text)
    if len(text) > longest:
        text = f"{text[: longest * 2 // 3]} … {text[-longest // 4 :]}"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


# What nonsense in the place of a mapping, a list, a text or a number raises.
MALFORMED = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def what(error: Exception) -> str:
    """Return one of MALFORMED for a person to read."""
    return line(f"{type(error).__name__}: {str(error)[:80]!r}")


class CollectionError(Exception):
    """What this collection's code raises for its caller to report, as one line, whatever was given.

    *option* names the option that the error is about, or an entry in it (C(subject.CN), C(subject_alt_name[1])); "" where it
    is about none. C(str()) begins with it. Afterwards, C(place) is what was given and C(option) the option's name alone; a
    caller that has another name for the option, such as a role its variable, uses :meth:`named`.
    """

    def __init__(self, message: str, *, option: str = "") -> None:
        self.message = line(message)
        super().__init__(self.message)
        self.place = line(option, 200)
        self.option = re.split(r"[.\[]", self.place, maxsplit=1)[0]

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message

    def named(self, names: Mapping[str, str]) -> str:
        """Return the line with the caller's name for the option; *names* maps options to those."""
        name = names.get(self.option, self.option) + self.place[len(self.option) :]
        return f"{name}: {self.message}" if name else self.message


class FilesError(CollectionError):
    """A file cannot be read or written as it has to be."""


class X509Error(CollectionError):
    """A key, a certificate or a CA, or what is asked of them, is wrong."""


class MissingError(X509Error):
    """Something is not there that an earlier task may have to bring: no error in check mode."""


class KubeError(CollectionError):
    """An apiserver or another server did not do what it was asked. C(kind) is for programs."""

    def __init__(self, kind: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


class KubeconfigError(KubeError):
    """A kubeconfig, or what is declared for one, cannot be used."""

    def __init__(self, message: str) -> None:
        super().__init__("kubeconfig", message)


class LeaseError(CollectionError):
    """An election record is not what it should be."""


class SystemdError(CollectionError):
    """systemd did not do what it was asked."""


class ReleaseError(CollectionError):
    """The set of files of a host cannot be staged or put in place."""


class PlanError(CollectionError):
    """A version cannot be planned for."""


class ProbeError(CollectionError):
    """Something could not be looked at."""
