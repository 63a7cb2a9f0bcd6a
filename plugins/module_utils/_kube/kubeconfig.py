# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parse kubeconfig files strictly, and write them as kubectl does."""

from __future__ import annotations

import base64
import ipaddress
import itertools
import math
import os
import re
import traceback
import typing as t

from ansible_collections.kube_ha.scheduler.plugins.module_utils._errors import (
    FilesError,
    KubeconfigError,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._files import paths
from ansible_collections.kube_ha.scheduler.plugins.module_utils._libraries import (
    describe_missing,
    this_interpreter,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._yaml_limits import (
    YamlLimitError,
    bounded_loader,
)

if t.TYPE_CHECKING:  # pragma: no cover
    from collections.abc import Mapping

try:
    import yaml
except ImportError:
    HAS_YAML = False
    YAML_TRACEBACK = traceback.format_exc()
else:
    HAS_YAML = True
    YAML_TRACEBACK = ""

Config = dict[str, t.Any]
KUBECONFIG_CODEC = "utf-8-sig"
MAX_KUBECONFIG_NODES = 50000
"""Maximum number of YAML nodes, enough for 1700 clusters. PyYAML reads them within seconds."""

# Each list of a kubeconfig, and the key in its entries that contains their fields.
ENTRY_KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}


def quote_name(name: str) -> str:
    """Return a name for an error message: quoted, on one line, shortened to 80 characters."""
    return repr(name if len(name) <= 80 else f"{name[:80]}…")


# --- reading


# The YAML library of kubectl reads these plain scalars as values other than text. The rules of
# PyYAML differ for dates, base-60 numbers, merge keys and 1e30, and would change such values.
SCALAR_PATTERNS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    "int": r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)",
    "float": (
        r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
}

_RESOLVERS = {
    None: [
        (f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{text})\Z"))
        for kind, text in SCALAR_PATTERNS.items()
    ]
}


def _loader() -> t.Any:
    """Return a YAML loader that accepts what kubectl writes and rejects ambiguous input."""

    bounded: t.Any = bounded_loader(yaml, MAX_KUBECONFIG_NODES)

    class Loader(bounded):
        def construct_scalar(self, node: t.Any) -> t.Any:
            # YAML can escape half of a surrogate pair, but UTF-8 cannot encode it.
            if any("\ud800" <= c <= "\udfff" for c in node.value):
                raise KubeconfigError(
                    f"line {node.start_mark.line + 1}: text is not Unicode; correct the line"
                )
            return super().construct_scalar(node)

        def construct_mapping(self, node: t.Any, deep: bool = False) -> dict[t.Any, t.Any]:
            keys: set[str] = set()
            for key, _value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    raise KubeconfigError(
                        f"line {key.start_mark.line + 1}: a key is not plain text; correct the line"
                    )
                if key.value in keys:
                    raise KubeconfigError(
                        f"line {key.start_mark.line + 1}: duplicate key {quote_name(key.value)};"
                        " remove one of them"
                    )
                keys.add(key.value)
            mapping: dict[t.Any, t.Any] = super().construct_mapping(node, deep)
            return mapping

    Loader.yaml_implicit_resolvers = _RESOLVERS
    return Loader


def parse_kubeconfig(content: bytes, where: str) -> Config:
    """Return the parsed file; raise KubeconfigError unless it is a complete kubeconfig v1.

    The error never contains parts of the file.
    """
    if not HAS_YAML:
        missing = describe_missing("yaml", this_interpreter())
        raise KubeconfigError(f"{where} cannot be read: {missing}")
    try:
        text = content.decode(KUBECONFIG_CODEC)
        documents = list(itertools.islice(yaml.load_all(text, Loader=_loader()), 2))
    except (KubeconfigError, YamlLimitError) as exc:
        raise KubeconfigError(f"{where}: {exc}") from None
    except UnicodeDecodeError:
        raise KubeconfigError(f"{where} is not UTF-8 text; convert the file") from None
    except RecursionError:
        raise KubeconfigError(f"{where} is nested too deeply; correct the file") from None
    except (yaml.YAMLError, ValueError, TypeError) as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise KubeconfigError(
            f"{where} is not YAML{line}; check that the file is complete"
        ) from None
    if len(documents) != 1 or documents[0] is None:
        is_empty = not documents or documents == [None]
        problem = "is empty" if is_empty else "contains more than one YAML document"
        raise KubeconfigError(f"{where} {problem}; write one kubeconfig to the file")
    _check_config(documents[0], where)
    return t.cast(Config, documents[0])


def _check_config(config: t.Any, where: str) -> None:
    if not isinstance(config, dict):
        raise KubeconfigError(
            f"{where} is not a kubeconfig: its top level is not a mapping; correct the file"
        )
    if (config.get("apiVersion", "v1"), config.get("kind", "Config")) != ("v1", "Config"):
        raise KubeconfigError(
            f"{where} is not a kubeconfig with apiVersion v1 and kind Config; correct the file"
        )
    if not isinstance(config.get("current-context", ""), str):
        raise KubeconfigError(f"{where}: current-context is not text; set the name of a context")
    by_kubectl = {"apiVersion", "kind", *ENTRY_KINDS} <= config.keys()
    for kind in ENTRY_KINDS:
        entries = config.get(kind, [])
        if entries is None and by_kubectl:  # kubectl writes an empty list as null.
            continue
        if entries is None:
            raise KubeconfigError(f"{where}: {kind} is null; write [] for an empty list")
        if not isinstance(entries, list):
            raise KubeconfigError(f"{where}: {kind} is not a list; write its entries as a list")
        _check_entries(entries, kind, where)


def _check_entries(entries: list[t.Any], kind: str, where: str) -> None:
    names = set()
    for number, entry in enumerate(entries, 1):
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            raise KubeconfigError(
                f"{where}: {kind}, entry {number}, has no name, or a name that is not text;"
                " set the name"
            )
        if name in names:
            raise KubeconfigError(
                f"{where}: {kind} contains {quote_name(name)} twice; remove one of the entries"
            )
        names.add(name)
        key = ENTRY_KINDS[kind]
        body = entry.get(key)
        if body is not None and not isinstance(body, dict):
            raise KubeconfigError(
                f"{where}: {kind}, {quote_name(name)}: its {key} is not a mapping; correct it"
            )


def read_kubeconfig(path: str) -> bytes:
    """Return the content of a kubeconfig; raise KubeconfigError, also for a missing file."""
    try:
        content = paths.read(path, follow=True)
    except FilesError as exc:
        raise KubeconfigError(str(exc)) from None
    if content is None:
        raise KubeconfigError(
            f"the kubeconfig {path!r} does not exist; create it, or correct the path"
        )
    return content


def find_entry(config: Config, kind: str, name: t.Any) -> Config | None:
    """Return the fields of an entry, or None if it does not exist."""
    for entry in config.get(kind) or ():
        if entry["name"] == name:
            return entry.get(ENTRY_KINDS[kind]) or {}
    return None


class Context(t.NamedTuple):
    """Name of a context, and the fields of its cluster and its user."""

    name: str
    cluster: Config
    user: Config


def resolve_context(config: Config, context: str | None, where: str) -> Context:
    """Return a context, by default the current context; raise KubeconfigError with `where`."""
    name = context or config.get("current-context")
    if not name:
        raise KubeconfigError(f"{where} has no current-context; select a context")
    entry = find_entry(config, "contexts", name)
    if entry is None:
        raise KubeconfigError(f"{where} has no context {name!r}; select an existing context")
    bodies = []
    for kind, key in (("clusters", "cluster"), ("users", "user")):
        reference = entry.get(key)
        body = find_entry(config, kind, reference)
        if body is None:
            raise KubeconfigError(
                f"{where}: context {name!r} refers to {key} {reference!r}, which does not exist;"
                f" add the {key}, or correct the context"
            )
        bodies.append(body)
    return Context(name, *bodies)


def read_field(
    entry: Mapping[str, t.Any], key: str, where: str, directory: str | None
) -> str | None:
    """Return the text of KEY-data, otherwise of the file at KEY, otherwise None.

    A relative path starts at `directory`, the directory of the kubeconfig. Raises KubeconfigError
    with `where`.
    """
    data, path = entry.get(f"{key}-data") or "", entry.get(key) or ""
    if not data and not path:
        return None
    if not isinstance(data, (str, bytes)) or not isinstance(path, str):
        raise KubeconfigError(f"{where}: {key} is not text; set a string")
    if data:
        try:
            return decode_data(data).decode()
        except ValueError:
            raise KubeconfigError(
                f"{where}: {key}-data is not base64 of text; encode the PEM text"
            ) from None
    if not os.path.isabs(path) and directory is None:
        raise KubeconfigError(
            f"{where}: {key} is a relative path, but the kubeconfig has no directory;"
            " set an absolute path"
        )
    return _read_text(os.path.join(directory or "/", path), f"{where}: {key}")


def decode_data(data: str | bytes) -> bytes:
    """Return the content of a -data field. Raises ValueError.

    As kubectl does, accept line breaks, and the Base64 of Base64 that the YAML tag !!binary needs.
    """
    encoded = data.encode("ascii") if isinstance(data, str) else data
    return base64.b64decode(encoded.replace(b"\r", b"").replace(b"\n", b""), validate=True)


def _read_text(path: str, where: str) -> str:
    try:
        content = paths.read(path, follow=True)
        if content is None:
            raise KubeconfigError(
                f"{where} {path!r} does not exist; create the file, or correct the path"
            )
        return content.decode()
    except FilesError as exc:
        raise KubeconfigError(f"{where}: {exc}") from None
    except ValueError:
        raise KubeconfigError(f"{where} is not UTF-8 text; correct the path or the file") from None


# --- writing

# A YAML 1.1 or 1.2 reader does not read this text as text, so kubectl quotes it.
_AMBIGUOUS = re.compile(
    "|".join(
        (
            *SCALAR_PATTERNS.values(),
            "y|Y|n|N",
            r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?",
            (
                r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
                r"(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9:]+)?)?"
            ),
        )
    )
)

# kubectl escapes these characters. A YAML writer would fold the line breaks.
_ESCAPED = re.compile("[\\x85\\u2028\\u2029\\U00010000-\\U0010ffff]")


def _dumper() -> t.Any:
    """Return a YAML dumper that selects the style of text as kubectl does."""

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, _data: t.Any) -> bool:
            return True

    def represent_text(dumper: t.Any, text: str) -> t.Any:
        style = None
        if _AMBIGUOUS.fullmatch(text) or _ESCAPED.search(text):
            style = '"'
        elif "\n" in text:
            style = "|"
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)

    def represent_float(dumper: t.Any, number: float) -> t.Any:
        if not math.isfinite(number):
            return dumper.represent_float(number)
        whole = number.is_integer() and abs(number) < 1e21
        return dumper.represent_scalar(
            "tag:yaml.org,2002:float", str(int(number)) if whole else repr(number)
        )

    Dumper.add_representer(str, represent_text)
    Dumper.add_representer(float, represent_float)
    Dumper.yaml_implicit_resolvers = _RESOLVERS
    return Dumper


def new_kubeconfig() -> Config:
    """Return an empty kubeconfig in the format of kubectl.

    Before 1.34, kubectl also wrote empty preferences. Preferences in an existing file stay.
    """
    return {
        "apiVersion": "v1",
        "clusters": None,
        "contexts": None,
        "current-context": "",
        "kind": "Config",
        "users": None,
    }


def dump_kubeconfig(config: Config) -> bytes:
    """Return the file as kubectl writes it: keys and names sorted, empty lists as null."""
    ordered = {
        key: (sorted(value, key=lambda entry: entry["name"].encode()) if value else None)
        if key in ENTRY_KINDS
        else value
        for key, value in config.items()
    }
    return yaml.dump(
        ordered, Dumper=_dumper(), allow_unicode=True, default_flow_style=False
    ).encode()


# --- addresses


_LABEL = r"[A-Za-z0-9](?:[-A-Za-z0-9]{0,61}[A-Za-z0-9])?"

# Matches a DNS name or an IP address, as in a server certificate.
SERVER_NAME = rf"{_LABEL}(?:\.{_LABEL})*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"


class ServerUrl(t.NamedTuple):
    """The parts of https://HOST:PORT/PATH. An IPv6 address has no brackets."""

    host: str
    port: int
    path: str


# Stricter than URL libraries, because all clients must read the URL in the same way.
_SERVER = re.compile(
    r"https://(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]"
    r"|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/(?:(?![?#])[!-~])*)?)"
)


def parse_server_url(server: str) -> ServerUrl:
    """Return the parts of an apiserver's URL; raise KubeconfigError if it is not valid."""
    # The URL can contain a password, so the message does not contain the URL.
    name = "the server's URL" if "@" in server else f"the server {quote_name(server)}"
    if server.startswith("http://"):
        raise KubeconfigError(
            f"{name} is not https, which authenticates the apiserver; set https://HOST:PORT"
        )
    match = _SERVER.fullmatch(server)
    if match is None or not _usable(match):
        raise KubeconfigError(
            f"{name} is not valid; set https://HOST:PORT or https://HOST:PORT/PATH"
        )
    return ServerUrl(match["v6"] or match["name"], int(match["port"] or 443), match["path"])


def _usable(match: re.Match[str]) -> bool:
    host = match["v6"] or match["name"]
    try:
        # Some clients read a name of digits and dots as an address.
        if match["v6"] or re.fullmatch("[0-9.]+", host):
            ipaddress.ip_address(host)
    except ValueError:
        return False
    return len(host) <= 253 and 0 < int(match["port"] or 443) < 65536
