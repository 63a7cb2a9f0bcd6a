# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read and check the certificates, keys and tokens that a kubeconfig refers to."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeconfigError,
    X509Error,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import attributes, paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube.kubeconfig_options import (
    Options,
    options_set,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509 import library
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.certificate import (
    parse_certificates,
    read_fields,
    read_validity,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.chain import (
    UNTRUSTED,
    find_anchor_problem,
    find_chain_problem,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.keys import (
    encode_public_key,
    parse_private_key,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._x509.times import (
    current_utc,
    format_utc,
)


@dataclass
class MaterialReader:
    """Read the files that a task refers to. `directory` is that of the kubeconfig.

    In check mode, a missing file or library is no error, but sets `predicted`: the task would
    change the file.
    """

    module: attributes.FilesModule
    directory: str
    predicted: bool = False
    _warned: set[str] = field(default_factory=set)

    def report_missing(self, problem: str) -> None:
        """Raise KubeconfigError; in check mode warn once and predict a change instead."""
        if not self.module.check_mode:
            raise KubeconfigError(problem)
        self.predicted = True
        if problem not in self._warned:
            self._warned.add(problem)
            self.module.warn(f"{problem}; check mode assumes that an earlier task creates it")

    def read(self, path: str, where: str) -> bytes | None:
        """Return the content of a file, or None if it is missing in check mode."""
        try:
            content = paths.read(path, follow=True)
        except FilesError as exc:
            raise KubeconfigError(f"{where}: {exc}") from None
        if content is None:
            self.report_missing(f"{where}: {path!r} does not exist; create it first")
        return content

    def read_ca(self, entry: Options, option: str, where: str) -> bytes | None:
        """Return the CA of an option: the text of a _data option, otherwise the file content."""
        if option.endswith("_data"):
            return t.cast(str, entry[option]).encode()
        return self.read(entry[option], f"{where}: {option}")

    def can_check(self) -> bool:
        """Return whether the cryptography library is available."""
        missing = library.describe_missing_cryptography()
        if missing is None:
            return True
        self.report_missing(f"certificates and keys cannot be checked: {missing}")
        return False


def describe_source(entry: Options, option: str, where: str = "") -> str:
    """Return the name of the option, and its path if the value is a path."""
    source = option if option.endswith("_data") else f"{option} {entry[option]!r}"
    return f"{where}: {source}" if where else source


def check_ca(reader: MaterialReader, content: bytes, where: str) -> None:
    """Check that all certificates are CAs and that one is valid now; warn about invalid ones."""
    if not reader.can_check():
        return
    problems = []
    certificates = _parse_all(content, where)
    for number, certificate in enumerate(certificates, 1):
        which = f"{where}, certificate {number}," if len(certificates) > 1 else where
        unfit = find_anchor_problem(certificate)
        if unfit:
            raise KubeconfigError(f"{which} {unfit}; set a CA certificate")
        problem = _describe_validity(certificate, which)
        if problem:
            problems.append(problem)
    if len(problems) == len(certificates):
        raise KubeconfigError(problems[0])
    for problem in problems:
        reader.module.warn(problem)


def check_pair(
    reader: MaterialReader,
    entry: Options,
    certificate: bytes | None,
    key: bytes | None,
    where: str,
) -> None:
    """Check that the certificate and key of a user are valid and match, and that the CA signed."""
    if (certificate is None and key is None) or not reader.can_check():
        return
    key_path = entry["client_key_source"] or entry["client_key"]
    public_key = None if key is None else _read_public_key(key, key_path, where)
    if certificate is None:
        return
    which = _describe_client_certificate(entry, where)
    leaf, *intermediates = _parse_all(certificate, which)
    _check_leaf(leaf, which)
    if public_key is not None and public_key != _certificate_public_key(leaf, which):
        raise KubeconfigError(
            f"{which} and client_key {key_path!r} do not match; set the key of this certificate"
        )
    _check_client_ca(reader, entry, [leaf, *intermediates], where)


def _describe_client_certificate(entry: Options, where: str) -> str:
    path = entry["client_certificate_source"] or entry["client_certificate"]
    return f"{where}: client_certificate {path!r}"


def _check_client_ca(
    reader: MaterialReader, entry: Options, chain: list[t.Any], where: str
) -> None:
    """Check that the CA of the options, if any, signed the chain of a client certificate."""
    option = next(iter(options_set(entry, "client_ca", "client_ca_data")), None)
    ca = reader.read_ca(entry, option, where) if option else None
    if option is None or ca is None:
        return
    source = describe_source(entry, option, where)
    check_ca(reader, ca, source)
    leaf, *intermediates = chain
    problem = find_chain_problem(
        leaf, intermediates, _parse_all(ca, source), current_utc(), ["clientAuth"]
    )
    if problem:
        reason = f"is not signed by a CA in {describe_source(entry, option)}"
        raise KubeconfigError(
            f"{_describe_client_certificate(entry, where)}"
            f" {reason if problem == UNTRUSTED else problem};"
            " set a certificate from the CA that the apiserver trusts"
        )


def _parse_all(content: bytes, where: str) -> list[t.Any]:
    certificates = parse_certificates(content)
    if not certificates:
        raise KubeconfigError(f"{where} contains no certificate in PEM format; set another file")
    if None in certificates:
        raise KubeconfigError(f"{where} contains a certificate that cannot be read; replace it")
    return certificates


def _describe_validity(certificate: t.Any, where: str) -> str | None:
    """Return the problem of a certificate that is not valid now."""
    begins, ends = read_validity(certificate)
    now = current_utc()
    if ends <= now:
        return f"{where} expired on {format_utc(ends)}; renew it first"
    if begins > now:
        return (
            f"{where} is not valid before {format_utc(begins)};"
            " compare the clocks of this host and the CA"
        )
    return None


def _check_leaf(leaf: t.Any, where: str) -> None:
    problem = _describe_validity(leaf, where)
    if problem:
        raise KubeconfigError(problem)
    fields = read_fields(leaf)
    if fields is None:
        raise KubeconfigError(
            f"{where} has extensions that cannot be read; request a new certificate"
        )
    usages = set(fields["extended_key_usage"] or ())
    if usages and not usages & {"clientAuth", "anyExtendedKeyUsage"}:
        raise KubeconfigError(
            f"{where} is not a client certificate: its extendedKeyUsage lacks clientAuth;"
            " request a client certificate"
        )


def _read_public_key(key: bytes, path: str, where: str) -> bytes:
    if b"ENCRYPTED" in key:
        raise KubeconfigError(
            f"{where}: client_key {path!r} is encrypted, which Kubernetes does not support;"
            " set a key without a passphrase"
        )
    try:
        return encode_public_key(parse_private_key(key, None, path).private.public_key())
    except X509Error as exc:
        raise KubeconfigError(f"{where}: client_key: {exc}") from None


def _certificate_public_key(certificate: t.Any, where: str) -> bytes:
    try:
        return encode_public_key(certificate.public_key())
    except (
        library.LIBRARY_ERRORS
    ):  # This version of the library does not support the type of the key.
        raise KubeconfigError(
            f"{where} has a key of an unsupported type; use RSA, ECC or Ed25519"
        ) from None
