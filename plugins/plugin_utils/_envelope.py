# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Carry secrets from one step of a run to a later step, without showing them.

Ansible prints, logs and registers the result of a step. The result therefore contains the secrets
only in an envelope: text encrypted with a key that exists only in this run of Ansible. As for a
seal, all worker processes of the run have the same key.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import PlanError

OPTION = "secrets"
"""The key of an envelope in a result, and the option of a module that receives the content."""
_KEY = secrets.token_bytes(32)
_NONCE_BYTES = 12


def close_envelope(content: t.Mapping[str, t.Any], host: str) -> str:
    """Return an envelope with secrets of a host. The content must be JSON. Raises PlanError."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    encrypted = _cipher().encrypt(nonce, json.dumps(content).encode(), host.encode())
    return base64.b64encode(nonce + encrypted).decode()


def open_envelope(text: t.Any, host: str) -> dict[str, t.Any]:
    """Return the content of an envelope of this run for this host. Raises PlanError."""
    cipher = _cipher()
    try:
        raw = base64.b64decode(str(text).encode("ascii"), validate=True)
        content = cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], host.encode())
    except (ValueError, binascii.Error, _invalid_tag()):
        raise PlanError(
            f"not a result of this run for {host}; set the result that scheduler_plan registered",
            option=OPTION,
        ) from None
    return t.cast(dict[str, t.Any], json.loads(content))


def _cipher() -> t.Any:
    # Import here, because most runs have no secret.
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415
    except ImportError:
        raise PlanError(
            "the Python library cryptography is missing on the controller; install it"
        ) from None
    return AESGCM(_KEY)


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415

    return InvalidTag
