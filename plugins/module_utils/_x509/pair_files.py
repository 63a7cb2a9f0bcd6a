# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Read and write the files of a key pair on one host: certificate, key and waiting key."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import X509Error
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import (
    attributes,
    pair_swap,
    paths,
    write,
)

MAX_BACKUPS = 5
# Permissions of the public certificate. The file options of the task apply only to the key.
_CERTIFICATE_RIGHTS = {"mode": "0644", "attributes": None}


class PairFiles:
    """The files of a key pair.

    If an older key pair is in use, a new key without a certificate is the `waiting` key. Its file
    is next to the key.
    """

    def __init__(self, module: attributes.FilesModule) -> None:
        params = module.params
        self._module = module
        self.certificate_path: str = params["path"]
        self.key_path: str = params["privatekey_path"]
        self._waiting_path = os.path.join(
            os.path.dirname(self.key_path), f".{os.path.basename(self.key_path)[:200]}.waiting~"
        )
        self._max_backups = MAX_BACKUPS if params["backup"] else 0
        self._backups: dict[str, str | None] = {}
        if self.certificate_path == self.key_path:
            raise X509Error("path and privatekey_path are the same file; set separate paths")

    @property
    def _paths(self) -> tuple[str, str]:
        return self.certificate_path, self.key_path

    def find_missing_directory(self) -> str | None:
        """Return the missing directory of the key or the certificate; None if both exist."""
        directories = sorted({os.path.dirname(path) for path in self._paths})
        return next((path for path in directories if not os.path.isdir(path)), None)

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[None]:
        """Lock the files against other runs, and remove the remains of an interrupted run."""
        directories = {os.path.realpath(os.path.dirname(path)) for path in self._paths}
        with contextlib.ExitStack() as locks:
            for directory in sorted(directories):
                locks.enter_context(paths.lock(directory))
            pair_swap.recover([self.key_path, self.certificate_path])
            for path in (self.key_path, self.certificate_path, self._waiting_path):
                write.sweep(path)
            yield

    def list_existing(self) -> list[str]:
        """Return the paths of the certificate and the key that exist."""
        return [path for path in self._paths if paths.read(path) is not None]

    def read_certificate(self) -> bytes | None:
        """Return the content of the certificate file; None if it is missing."""
        return paths.read(self.certificate_path)

    def read_key(self) -> bytes | None:
        """Return the content of the key file; None if it is missing."""
        return paths.read(self.key_path)

    def read_waiting_key(self) -> bytes | None:
        """Return the content of the waiting key's file; None if it is missing."""
        return paths.read(self._waiting_path)

    def remove(self) -> None:
        """Remove the certificate, the key and the waiting key."""
        for path in self._paths:
            self._backups[path] = write.remove(path, backup=self._max_backups)
        self.remove_waiting_key()

    def remove_waiting_key(self) -> None:
        """Remove the file of the waiting key, if it exists."""
        write.remove(self._waiting_path)

    def store_new_key(self, key_pem: bytes | None, *, rewrite: bool) -> None:
        """Write a key that has no certificate yet.

        The key becomes the waiting key, unless the same key is rewritten or no other key exists.
        """
        if key_pem is None:
            return
        if rewrite or not os.path.lexists(self.key_path):
            self.install(key_pem, None)
        else:
            write.write(self._waiting_path, key_pem)

    def install(self, key_pem: bytes | None, certificate_pem: bytes | None) -> None:
        """Replace key and certificate at the same moment; None leaves a file unchanged."""
        contents: tuple[tuple[str, bytes | None, dict[str, t.Any]], ...] = (
            (self.key_path, key_pem, {}),
            (self.certificate_path, certificate_pem, _CERTIFICATE_RIGHTS),
        )
        staged: list[write.Staged] = []
        try:
            for path, content, overrides in contents:
                if content is not None:
                    file_attributes = attributes.FileAttributes(
                        self._module, paths.resolve(path), "0600", overrides
                    )
                    staged.append(
                        write.Staged(path, content, file_attributes.context, file_attributes.rights)
                    )
            copies = pair_swap.replace(staged, backup=self._max_backups)
            self._backups.update(zip((file.path for file in staged), copies))
        finally:
            for file in staged:
                file.discard()

    def converge_attributes(self) -> bool:
        """Set owner, group and mode of both files; return whether they changed."""
        key = attributes.converge_file(self._module, self.key_path, None)
        certificate = attributes.converge_file(
            self._module, self.certificate_path, None, overrides=_CERTIFICATE_RIGHTS
        )
        return key.changed or certificate.changed

    def backup_results(self) -> dict[str, t.Any]:
        """Return the paths of the backup copies as results of the module."""
        names = {
            "backup_file": self.certificate_path,
            "privatekey_backup_file": self.key_path,
        }
        return {
            name: self._backups[path] for name, path in names.items() if self._backups.get(path)
        }
