# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Check that the cryptography library is installed in a supported version, and list its errors."""

from __future__ import annotations

import re
import traceback

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import LibraryError
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import (
    describe_missing,
    this_interpreter,
)

CRYPTOGRAPHY_TRACEBACK: str | None = None
LIBRARY_ERRORS: tuple[type[Exception], ...] = ()
"""The errors of the library for data that it cannot parse or does not support.

NameError is not one of them, because it shows that the library is missing.
"""
try:
    import cryptography
    from cryptography import exceptions, x509

    found = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", cryptography.__version__)
    if found and tuple(map(int, found.groups())) < (3, 3):
        raise ImportError(f"cryptography {cryptography.__version__} is older than 3.3")
    LIBRARY_ERRORS = (
        ArithmeticError,
        NotImplementedError,
        TypeError,
        ValueError,
        exceptions.InternalError,
        exceptions.InvalidSignature,
        exceptions.UnsupportedAlgorithm,
        x509.AttributeNotFound,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )
except ImportError:
    CRYPTOGRAPHY_TRACEBACK = traceback.format_exc()
DAMAGE_ERRORS: tuple[type[Exception], ...] = (*LIBRARY_ERRORS, LookupError)
"""The errors of the library and of the module `der` for damaged data."""


def describe_missing_cryptography(place: str = "") -> str | None:
    """Return in one line which Python lacks the library; None if the library is installed."""
    if CRYPTOGRAPHY_TRACEBACK is None:
        return None
    return describe_missing("cryptography", this_interpreter(), place)


def require_cryptography(place: str = "") -> None:
    """Raise LibraryError if the library is missing. `place` is that of `describe_missing`."""
    problem = describe_missing_cryptography(place)
    if problem is not None:
        raise LibraryError(problem)
