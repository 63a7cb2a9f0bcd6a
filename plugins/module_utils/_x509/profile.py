# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""TODO."""

from __future__ import annotations

import json
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils import _durations
from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    MissingError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.usages import (
    parse_usages,
)

Params = t.Mapping[str, t.Any]
PROFILE_OPTIONS = ("key_usage", "extended_key_usage", "valid_for", "backdate", "path_length")
_PROFILE_FIELDS = frozenset({"usages", "expiry", "backdate", "ca_constraint", "auth_key"})


def read_profile(path: str, name: str | None) -> dict[str, t.Any]:
    """Return the options that a profile of cfssl's ca-config.json stands for.

    Raises MissingError, FilesError, or X509Error for a bad file or an unknown profile.
    """
    content = paths.read(path, follow=True)
    if content is None:
        raise MissingError(
            f"{path!r} does not exist: put cfssl's configuration there, or name where it is",
            option="ca_config",
        )
    try:
        signing = json.loads(content)["signing"]
        profiles = dict(signing.get("profiles") or {})
        found = dict(signing["default"] if name is None else profiles[name])
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise X509Error(
            f"{path!r} is not a cfssl configuration: JSON with signing.profiles", option="ca_config"
        ) from None
    except KeyError as exc:
        if exc.args != (name,):
            raise X509Error(
                f"{path!r} has no {exc.args[0]!r}: name a profile that it has", option="ca_config"
            ) from None
        known = ", ".join(sorted(profiles)) or "none"
        raise X509Error(
            f"{path!r} has no profile {name!r}; it has: {known}", option="profile"
        ) from None
    where = f"profile {name or 'default'!r} of {path!r}"
    return convert_profile(found, where)


def convert_profile(found: dict[str, t.Any], where: str) -> dict[str, t.Any]:
    """Return the options that the fields of a profile stand for; raise X509Error that begins with *where*."""
    foreign = sorted(key for key, value in found.items() if value and key not in _PROFILE_FIELDS)
    if foreign:
        raise X509Error(
            f"{where}: uses {', '.join(foreign)}, which x509_cert does not support: take another profile"
        )
    if not isinstance(found.get("usages"), list) or not found["usages"]:
        raise X509Error(f"{where}: names no usages: a certificate has to be for something")
    try:
        options: dict[str, t.Any] = dict(
            parse_usages(found["usages"], "", ("key_usage", "extended_key_usage"))
        )
        for field, option in (("expiry", "valid_for"), ("backdate", "backdate")):
            if found.get(field):
                _durations.parse_duration(str(found[field]), field)
                options[option] = str(found[field])
    except X509Error as exc:
        # The field is the profile's, and no option of the task.
        raise X509Error(f"{where}: {exc}") from None
    constraint = found.get("ca_constraint") or {}
    length = constraint.get("max_path_len") or 0 if isinstance(constraint, dict) else None
    if isinstance(length, bool) or not isinstance(length, int):
        raise X509Error(
            f"{where}: ca_constraint is not a mapping of is_ca, max_path_len and max_path_len_zero"
        )
    options["is_ca"] = bool(constraint.get("is_ca"))
    if options["is_ca"] and (length or constraint.get("max_path_len_zero")):
        options["path_length"] = length
    return options


def apply_profile(params: Params) -> dict[str, t.Any]:
    """Return the options with the profile's values where the task gives none, without C(ca_config) and C(profile).

    Raises what :func:`profile` does, and X509Error for the profile of a CA where no CA is asked for.
    """
    options = dict(params)
    path, name = options.pop("ca_config", None), options.pop("profile", None)
    if path is None:
        if name is not None:
            raise X509Error(
                f"{name!r} is of no file: name cfssl's configuration in ca_config", option="profile"
            )
        return options
    for option, value in read_profile(path, name).items():
        if option == "is_ca":
            if value and not options.get("is_ca"):
                raise X509Error(
                    f"{name!r} of {path!r} is for CAs, and is_ca is not set: take another profile",
                    option="profile",
                )
        elif options.get(option) is None:
            options[option] = list(value) if isinstance(value, tuple) else value
    return options
