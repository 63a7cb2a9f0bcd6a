# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Define the kinds of secrets, and withhold secrets of these kinds from all output.

Options, files, diffs, drift, status, adoption and error messages use this single list. A secret is
found by the name of its field, by its form, such as the PEM text of a private key, or by its type.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import typing as t

WITHHELD = "(withheld)"
"""The replacement of a secret in any output."""
SECRET_KINDS = {
    "private key": (
        *("keydata", "privatekey", "secretkey", "signingkey", "encryptionkey"),
        *("apikey", "accesskey"),
    ),
    "token": ("token",),
    "password": ("password", "passwd", "passphrase", "secret"),
}
"""The kinds of secrets, each with the ends of the names of its fields.

The names are in lowercase without separators. A field that names a file, such as tokenFile, is no
secret.
"""
EXEC, EXEC_SECRETS = "exec", ("args", "env")
"""The field of a credential plugin in a kubeconfig, and the parts that can contain secrets."""
MIN_KNOWN_CHARS = 6
"""A known secret is replaced in free text only if it has this length.

A shorter secret, such as `true`, would also replace parts of paths and messages.
"""
_ENDS = {end: kind for kind, ends in SECRET_KINDS.items() for end in ends}
_PRIVATE_KEY_MARK = b"PRIVATE KEY-----"
# These patterns are text, so that a module run compiles only the patterns that it uses. The pattern
# of a private key also matches a truncated block, and line breaks as a log or JSON shows them.
_PRIVATE_KEY = r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[A-Za-z0-9+/=\s:,-]|\\+[nr])*"
_ENCODED_PEM = r"LS0tLS1CRUdJTi[A-Za-z0-9+/]*={0,2}"  # can also be a certificate
_JSON_WEB_TOKEN = r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"
_URL_USER = r"(?<=//)[^/\s@\"']+(?=@)"
_FIELD_NAME = r"""(?<![A-Za-z0-9_.-])([A-Za-z0-9_.-]+)\\*["']?\s*[:=]\s*"""
_FIELD_VALUE = r"""\\*"(?:[^"\\]|\\[^"])*\\*"|'[^']*'|[^\s,;&}\]"'\\]+"""
_AUTHORIZATION = r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/-]{8,}=*"


class SecretText(str):
    """A text that is a secret regardless of its field, such as a value from Ansible Vault."""


def secret_kind(name: t.Any) -> str:
    """Return the kind of the secret in a field of this name, "" if the field has no secret."""
    plain = re.sub(r"[-_. ]", "", str(name)).lower()
    return next((kind for end, kind in _ENDS.items() if plain.endswith(end)), "")


def is_secret(name: t.Any, value: t.Any) -> bool:
    """Return whether the value of a field is a secret, by its type, its name or its form.

    An empty value or a boolean is no secret, because it shows at most whether a secret is set.
    """
    if value is None or isinstance(value, bool) or value in ("", {}, [], WITHHELD):
        return False
    return isinstance(value, SecretText) or bool(secret_kind(name)) or is_secret_text(value)


def is_secret_text(value: t.Any) -> bool:
    """Return whether a text has the form of a secret: a private key, a token or a user in a URL."""
    return isinstance(value, str) and (
        any(re.search(form, value) for form in (_PRIVATE_KEY, _JSON_WEB_TOKEN, _URL_USER))
        or any(_is_encoded_key(match[0]) for match in re.finditer(_ENCODED_PEM, value))
    )


def _is_encoded_key(text: str) -> bool:
    with_padding = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    try:
        return _PRIVATE_KEY_MARK in base64.b64decode(with_padding)
    except (ValueError, binascii.Error):
        return False


def find_secrets(value: t.Any, path: str = "") -> dict[str, t.Any]:
    """Return each secret in a value by its path, such as `extenders[0].tlsConfig.keyData`."""
    return {place: part for place, part, is_withheld in _walk(value, "", path) if is_withheld}


def _walk(value: t.Any, name: t.Any, path: str) -> t.Iterator[tuple[str, t.Any, bool]]:
    """Yield path and value of each leaf, and whether the leaf is a secret."""
    if is_secret(name, value):
        yield path, value, True
    elif isinstance(value, dict):
        for key, part in value.items():
            place = f"{path}.{key}" if path else str(key)
            if _is_exec_secret(name, key, part):
                yield place, part, True
            else:
                yield from _walk(part, key, place)
    elif isinstance(value, (list, tuple)):
        for number, part in enumerate(value):
            yield from _walk(part, "", f"{path}[{number}]")
    else:
        yield path, value, False


def _is_exec_secret(parent: t.Any, name: t.Any, value: t.Any) -> bool:
    return parent == EXEC and name in EXEC_SECRETS and bool(value) and value != WITHHELD


def withhold(value: t.Any, name: t.Any = "") -> t.Any:
    """Return a copy of a value without its secrets. `name` is the name of its field."""
    if is_secret(name, value):
        return WITHHELD
    if isinstance(value, dict):
        return {
            key: WITHHELD if _is_exec_secret(name, key, part) else withhold(part, key)
            for key, part in value.items()
        }
    return [withhold(part) for part in value] if isinstance(value, (list, tuple)) else value


def mark_secrets(value: t.Any, is_marked: t.Callable[[t.Any], bool]) -> t.Any:
    """Return a copy of a value in which each marked part is a SecretText."""
    if is_marked(value):
        return SecretText(value)
    if isinstance(value, dict):
        return {key: mark_secrets(part, is_marked) for key, part in value.items()}
    return [mark_secrets(part, is_marked) for part in value] if isinstance(value, list) else value


def withhold_arguments(words: t.Iterable[str]) -> list[str]:
    """Return the words of a command line without the secrets in the values of its flags."""
    shown, name = [], ""
    for word in words:
        flag, equals, value = word.partition("=") if word.startswith("-") else (name, "", word)
        is_hidden = bool(value) and is_secret(flag, value)
        shown.append((f"{flag}=" if equals else "") + WITHHELD if is_hidden else word)
        name = "" if equals or not word.startswith("-") else word
    return shown


def long_secrets(values: t.Iterable[str]) -> set[str]:
    """Return the secrets that are long enough to be replaced wherever they occur."""
    return {value for value in values if len(value) >= MIN_KNOWN_CHARS}


def withhold_url_user(url: t.Any) -> t.Any:
    """Return a URL without its user name and password; return any other value unchanged."""
    return re.sub(_URL_USER, WITHHELD, url) if isinstance(url, str) else url


def withhold_text(text: str, known: t.Iterable[str] = ()) -> str:
    """Return free text, such as a line of a log, without its secrets.

    `known` contains secrets to replace wherever they occur.
    """
    for secret in sorted(long_secrets(known), key=len, reverse=True):
        for form in (secret, json.dumps(secret)[1:-1]):
            text = text.replace(form, WITHHELD)
    for pattern in (_PRIVATE_KEY, _JSON_WEB_TOKEN, _URL_USER):
        text = re.sub(pattern, WITHHELD, text)
    text = re.sub(_ENCODED_PEM, lambda m: WITHHELD if _is_encoded_key(m[0]) else m[0], text)
    text = re.sub(_AUTHORIZATION, rf"\1\2{WITHHELD}", text)
    return _withhold_fields(text)


def _withhold_fields(text: str) -> str:
    """Replace the value after each name of a field that contains a secret, such as `token: x`."""
    value_pattern = re.compile(_FIELD_VALUE)
    parts, end = [], 0
    for match in re.finditer(_FIELD_NAME, text):
        value = value_pattern.match(text, match.end()) if secret_kind(match[1]) else None
        if value and match.start() >= end:
            parts += [text[end : match.end()], WITHHELD]
            end = value.end()
    return "".join([*parts, text[end:]])
