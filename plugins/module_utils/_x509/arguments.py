# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Define the argument spec of x509_cert for the module and its action plugin."""

from __future__ import annotations

import typing as t

# The action plugin passes these options to the module. The options contain no private keys.
CA_CERTIFICATE_OPTION = "_ca_certificate"
CERTIFICATE_OPTION = "_certificate"
REQUEST_OPTION = "_request"
INTERNAL_OPTIONS = (CA_CERTIFICATE_OPTION, CERTIFICATE_OPTION, REQUEST_OPTION)

CERTIFICATE_ARGUMENTS: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "privatekey_path": {"type": "path", "required": True},
    "privatekey_type": {"type": "str", "choices": ["RSA", "ECC", "Ed25519"], "default": "RSA"},
    "privatekey_size": {"type": "int"},
    "privatekey_curve": {"type": "str", "choices": ["secp256r1", "secp384r1", "secp521r1"]},
    "privatekey_format": {
        "type": "str",
        "choices": ["auto", "pkcs8", "traditional"],
        "default": "auto",
    },
    "privatekey_passphrase_file": {"type": "path", "no_log": False},
    "regenerate": {
        "type": "str",
        "choices": ["never", "fail", "partial", "full", "always"],
        "default": "fail",
    },
    "subject": {"type": "dict", "default": {}},
    "names": {"type": "list", "elements": "dict", "default": []},
    "subject_alt_name": {"type": "list", "elements": "str", "default": []},
    "key_usage": {"type": "list", "elements": "str"},
    "extended_key_usage": {"type": "list", "elements": "str"},
    "digest": {"type": "str", "choices": ["sha256", "sha384", "sha512"]},
    "valid_for": {"type": "str"},
    "backdate": {"type": "str"},
    "is_ca": {"type": "bool", "default": False},
    "path_length": {"type": "int"},
    "name_constraints": {
        "type": "dict",
        "options": {
            "permitted": {"type": "list", "elements": "str", "default": []},
            "excluded": {"type": "list", "elements": "str", "default": []},
        },
    },
    "ca_path": {"type": "path"},
    "ca_privatekey_path": {"type": "path"},
    "ca_privatekey_passphrase_file": {"type": "path", "no_log": False},
    "ca_on": {"type": "str", "choices": ["target", "controller", "external"], "default": "target"},
    "csr_path": {"type": "path"},
    "certificate_source": {"type": "path"},
    "ca_config": {"type": "path"},
    "profile": {"type": "str"},
    "renew_before": {"type": "str", "default": "720h"},
    "not_after_policy": {"type": "str", "choices": ["fail", "clamp"], "default": "fail"},
    "replace": {"type": "list", "elements": "str", "default": []},
    "force": {"type": "bool", "default": False},
    "backup": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    CA_CERTIFICATE_OPTION: {"type": "str"},
    CERTIFICATE_OPTION: {"type": "str"},
    REQUEST_OPTION: {"type": "str"},
}
CERTIFICATE_ARGUMENT_RULES: dict[str, t.Any] = {
    "required_by": {
        "ca_path": ["ca_privatekey_path"],
        "ca_privatekey_path": ["ca_path"],
        "ca_privatekey_passphrase_file": ["ca_privatekey_path"],
        "profile": ["ca_config"],
    },
}

# Paths on the host of the CA. The controller never sends paths of its files to the target.
CA_OPTIONS = ("ca_path", "ca_privatekey_path", "ca_privatekey_passphrase_file", "ca_config")
# Paths on the controller: the request to an external CA, and the issued certificate.
EXTERNAL_OPTIONS = ("csr_path", "certificate_source")

# RETURN documents these keys. The signing request is only for the action plugin.
CERTIFICATE_RESULT_KEYS = frozenset(
    [
        "reasons",
        "awaited",
        "refused",
        "subject",
        "issuer",
        "subject_alt_name",
        "key_usage",
        "extended_key_usage",
        "is_ca",
        "path_length",
        "name_constraints",
        "digest",
        "serial_number",
        "not_before",
        "not_after",
        "days_left",
        "fingerprint_sha256",
        "chain",
        "privatekey_type",
        "privatekey_size",
        "privatekey_curve",
        "clamped",
        "not_after_wanted",
        "backup_file",
        "privatekey_backup_file",
    ]
)
CSR_KEY = "csr"
