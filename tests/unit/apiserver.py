# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small HTTPS server that stands in for an apiserver, also for one that is ill or hostile."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import os
import socket
import ssl
import tempfile
import threading
from datetime import datetime, timedelta, timezone

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.now(timezone.utc)


class Ca:
    def __init__(self, name="test CA", **dates):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.subject, self.key.public_key(), ca=True, **dates)
        self.pem = pem(self.certificate)

    def _sign(self, subject, public_key, *, ca=False, sans=(), start=-60, end=3600):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + timedelta(seconds=start))
            .not_valid_after(NOW + timedelta(seconds=end))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if sans:
            builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name="server", *, dns=(), ips=("127.0.0.1",), key=None, **dates):
        """The PEM of a certificate and of its key."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        sans = [x509.DNSName(d) for d in dns] + [x509.IPAddress(ipaddress.ip_address(i)) for i in ips]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return pem(self._sign(subject, key.public_key(), sans=sans, **dates)), key_pem(key)


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key, passphrase=None):
    how = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how).decode()


def answer(status=200, body=b"", headers=(), *, reason="X"):
    """A whole HTTP answer; a body that is not bytes is sent as JSON."""
    kind = "text/html" if isinstance(body, bytes) else "application/json"
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


class Server:
    """Answers each request with what C(respond(request)) returns: bytes, or a function that is given the connection."""

    def __init__(self, respond, pair=None, *, client_ca=None, plain=False):
        self.respond = respond
        self.requests = []
        self.connections = 0
        self.threads = []
        self._context = None
        if not plain:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.NamedTemporaryFile("w") as file:
                file.write("".join(pair))
                file.flush()
                self._context.load_cert_chain(file.name)
            if client_ca:
                self._context.load_verify_locations(cadata=client_ca)
                self._context.verify_mode = ssl.CERT_REQUIRED
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._start(self._accept)

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args, daemon=True)
        thread.start()
        self.threads.append(thread)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _address = self._socket.accept()
                self.connections += 1
                self._start(self._serve, connection)

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection:
            # So that a client that has gone away is noticed.
            connection.settimeout(10)
            stream = self._context.wrap_socket(connection, server_side=True) if self._context else connection
            with stream:
                while True:
                    request = b""
                    while b"\r\n\r\n" not in request:
                        data = stream.recv(65536)
                        if not data:
                            return
                        request += data
                        if not self._context:  # a TLS hello has no end that could be told here
                            break
                    self.requests.append(request)
                    response = self.respond(request.decode("latin-1"))
                    if callable(response):
                        response(stream)
                        return
                    stream.sendall(response)

    def close(self):
        # Closing alone would leave the thread in accept().
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()


def b64(text):
    return base64.b64encode(text.encode()).decode()


def kubeconfig(servers, *, ca=None, pair=None, user=None, **cluster):
    """The bytes of a kubeconfig with one context for each server; the first one is current."""
    cluster = {**({"certificate-authority-data": b64(ca)} if ca else {}), **cluster}
    user = {
        **({"client-certificate-data": b64(pair[0]), "client-key-data": b64(pair[1])} if pair else {}),
        **(user or {}),
    }
    names = [f"c{number}" for number in range(1, len(servers) + 1)]
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": n, "cluster": {"server": s, **cluster}} for n, s in zip(names, servers)],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": n, "context": {"cluster": n, "user": "u"}} for n in names],
            "current-context": names[0],
        }
    ).encode()


def refused_port():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def lease(identity="m1_0f0e0d0c-1111-2222-3333-444455556666", renew=0, **spec):
    return {
        "kind": "Lease",
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-01T00:00:00.000000Z",
            "renewTime": f"2026-01-01T00:00:{renew:02}.000000Z",
            "leaseTransitions": 3,
            **spec,
        },
    }


def status(code, message):
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def memory_files():
    return [name for name in os.listdir("/proc/self/fd") if "memfd" in _link(f"/proc/self/fd/{name}")]


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return ""
