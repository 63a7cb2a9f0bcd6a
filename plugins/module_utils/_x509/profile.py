# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Convert profiles of cfssl's ca-config.json to the options of x509_cert."""

from __future__ import annotations

import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._numbers import parse_json
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    ReadFile,
    read_plain,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import parse_usages

CertificateOptions = t.Mapping[str, t.Any]
PROFILE_OPTIONS = ("key_usage", "extended_key_usage", "valid_for", "backdate", "path_length")
_PROFILE_FIELDS = frozenset({"usages", "expiry", "backdate", "ca_constraint", "auth_key"})


def apply_profile(given: CertificateOptions, read: ReadFile = read_plain) -> dict[str, t.Any]:
    """Return the options; if an option is not set, it has the value of the profile.

    The result has no `ca_config` and no `profile`. Raises the errors of `read_profile`, and
    X509Error if the profile is for a CA but the option `is_ca` is not set.
    """
    options = dict(given)
    path, name = options.pop("ca_config", None), options.pop("profile", None)
    if path is None:
        if name is not None:
            raise X509Error(
                f"profile {name!r} needs a file; set ca_config to the path of cfssl's configuration",
                option="profile",
            )
        return options
    for option, value in read_profile(path, name, read).items():
        if option == "is_ca":
            if value and not options.get("is_ca"):
                raise X509Error(
                    f"{name!r} of {path!r} is for CAs, but is_ca is not set; use another profile",
                    option="profile",
                )
        elif options.get(option) is None:
            options[option] = list(value) if isinstance(value, tuple) else value
    return options


def read_profile(path: str, name: str | None, read: ReadFile = read_plain) -> dict[str, t.Any]:
    """Read a profile of ca-config.json and convert it to options.

    Raises MissingError, FilesError, or X509Error if the file is invalid or the profile is unknown.
    """
    content = read(path)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist; create cfssl's configuration, or correct the path",
            option="ca_config",
        )
    try:
        signing = parse_json(content)["signing"]
        profiles = dict(signing.get("profiles") or {})
        profile = dict(signing["default"] if name is None else profiles[name])
    except (ValueError, TypeError, AttributeError):
        raise X509Error(
            f"{path!r} is not a cfssl configuration; it must be JSON with signing.profiles",
            option="ca_config",
        ) from None
    except KeyError as exc:
        if exc.args != (name,):
            raise X509Error(
                f"{path!r} has no {exc.args[0]!r}; set the option profile", option="ca_config"
            ) from None
        known = ", ".join(sorted(profiles)) or "none"
        raise X509Error(
            f"{path!r} has no profile {name!r}; set one of: {known}", option="profile"
        ) from None
    return convert_profile(profile, f"profile {name or 'default'!r} of {path!r}")


def convert_profile(profile: dict[str, t.Any], location: str) -> dict[str, t.Any]:
    """Convert the fields of a profile to options.

    Raises X509Error, whose message begins with `location`.
    """
    unsupported = sorted(
        key for key, value in profile.items() if value and key not in _PROFILE_FIELDS
    )
    if unsupported:
        raise X509Error(
            f"{location}: x509_cert does not support {', '.join(unsupported)}; use another profile"
        )
    if not isinstance(profile.get("usages"), list) or not profile["usages"]:
        raise X509Error(f"{location}: usages is not a list with at least one usage; add one")
    try:
        options: dict[str, t.Any] = dict(
            parse_usages(profile["usages"], "", ("key_usage", "extended_key_usage"))
        )
        for field, option in (("expiry", "valid_for"), ("backdate", "backdate")):
            if profile.get(field):
                _durations.parse_duration(str(profile[field]), field)
                options[option] = str(profile[field])
    except X509Error as exc:
        # The error must name the field of the profile, not an option of the task.
        raise X509Error(f"{location}: {exc}") from None
    return options | _convert_constraint(profile.get("ca_constraint") or {}, location)


def _convert_constraint(constraint: t.Any, location: str) -> dict[str, t.Any]:
    length = constraint.get("max_path_len") or 0 if isinstance(constraint, dict) else None
    if isinstance(length, bool) or not isinstance(length, int):
        raise X509Error(
            f"{location}: ca_constraint is invalid; set is_ca, max_path_len and max_path_len_zero"
        )
    is_ca = bool(constraint.get("is_ca"))
    if is_ca and (length or constraint.get("max_path_len_zero")):
        return {"is_ca": is_ca, "path_length": length}
    return {"is_ca": is_ca}
