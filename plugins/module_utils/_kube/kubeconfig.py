# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Kubeconfig files: read strictly, written as kubectl writes them."""

from __future__ import annotations

import base64
import binascii
import ipaddress
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

# The lists of a kubeconfig, and the key under which an entry of each has its fields.
ENTRY_KINDS = {"clusters": "cluster", "users": "user", "contexts": "context"}


def quote_name(name: str) -> str:
    """Return a name in a form that is fit for an error message: quoted, on one line, at most 80 characters and a mark."""
    return repr(name if len(name) <= 80 else f"{name[:80]}…")


# --- reading


# The plain scalars that are no text, as kubectl's YAML library reads them. PyYAML's own table has dates, numbers of base 60 and
# merge keys too, and lacks numbers such as 1e30: what came in as one of these would go out as something else.
SCALAR_PATTERNS = {
    "null": r"~|null|Null|NULL|",
    "bool": r"yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    "int": r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)",
    "float": r"[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}

_RESOLVERS = {
    None: [
        (f"tag:yaml.org,2002:{kind}", re.compile(rf"(?:{text})\Z"))
        for kind, text in SCALAR_PATTERNS.items()
    ]
}


def _loader() -> t.Any:
    """Return a YAML loader for what kubectl can write, and for nothing that two readers could read in two ways."""

    class Loader(yaml.SafeLoader):
        def compose_node(self, parent: t.Any, index: t.Any) -> t.Any:
            if self.check_event(yaml.AliasEvent):
                raise KubeconfigError("holds a YAML alias, which no kubeconfig needs")
            return super().compose_node(parent, index)

        def construct_scalar(self, node: t.Any) -> t.Any:
            # Half of a surrogate pair, written as an escape, is no text that could be written again.
            if any("\ud800" <= c <= "\udfff" for c in node.value):
                raise KubeconfigError(f"line {node.start_mark.line + 1}: text that is not Unicode")
            return super().construct_scalar(node)

        def construct_mapping(self, node: t.Any, deep: bool = False) -> dict[t.Any, t.Any]:
            seen: set[str] = set()
            for key, _value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value == "<<":
                    raise KubeconfigError(
                        f"line {key.start_mark.line + 1}: a key that is not plain text"
                    )
                if key.value in seen:
                    raise KubeconfigError(
                        f"line {key.start_mark.line + 1}: the key {quote_name(key.value)} is there twice"
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    Loader.yaml_implicit_resolvers = _RESOLVERS
    return Loader


def parse_kubeconfig(content: bytes, where: str) -> Config:
    """Return the parsed file. Raises KubeconfigError for what is not a whole kubeconfig of version v1; it never repeats the content."""
    if not HAS_YAML:
        raise KubeconfigError(
            f"{where} cannot be read: install PyYAML (package python3-yaml, or python3-pyyaml on RHEL)"
        )
    try:
        text = content.decode("utf-8-sig")
        documents = list(yaml.load_all(text, Loader=_loader()))
    except KubeconfigError as exc:
        raise KubeconfigError(f"{where}: {exc}") from None
    except UnicodeDecodeError:
        raise KubeconfigError(f"{where} is not UTF-8 text") from None
    except RecursionError:
        raise KubeconfigError(f"{where} is nested too deeply") from None
    except (yaml.YAMLError, ValueError, TypeError) as exc:
        mark = getattr(exc, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise KubeconfigError(f"{where} is not YAML{line}; it may have been cut off") from None
    if len(documents) != 1 or documents[0] is None:
        what = (
            "is empty"
            if not documents or documents == [None]
            else "holds more than one YAML document"
        )
        raise KubeconfigError(f"{where} {what}")
    return _checked(documents[0], where)


def _checked(config: t.Any, where: str) -> Config:
    if not isinstance(config, dict):
        raise KubeconfigError(f"{where} is not a kubeconfig: its top level is not a mapping")
    if (config.get("apiVersion", "v1"), config.get("kind", "Config")) != ("v1", "Config"):
        raise KubeconfigError(f"{where} is not a kubeconfig of apiVersion v1 and kind Config")
    if not isinstance(config.get("current-context", ""), str):
        raise KubeconfigError(f"{where}: current-context is not text")
    by_kubectl = {"apiVersion", "kind", *ENTRY_KINDS} <= config.keys()
    for kind, key in ENTRY_KINDS.items():
        entries = config.get(kind, [])
        if entries is None and by_kubectl:  # as it writes an empty list
            continue
        if entries is None:
            raise KubeconfigError(f"{where}: {kind} is null; write [] for an empty list")
        if not isinstance(entries, list):
            raise KubeconfigError(f"{where}: {kind} is not a list")
        names = set()
        for number, entry in enumerate(entries, 1):
            name = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(name, str):
                raise KubeconfigError(
                    f"{where}: {kind}, entry {number}, has no name, or one that is not text"
                )
            if name in names:
                raise KubeconfigError(f"{where}: {kind} holds {quote_name(name)} twice")
            names.add(name)
            body = entry.get(key)
            if body is not None and not isinstance(body, dict):
                raise KubeconfigError(
                    f"{where}: {kind}, {quote_name(name)}: its {key} is not a mapping"
                )
    return config


def read_kubeconfig(path: str) -> bytes:
    """Return the content of a kubeconfig. Raises KubeconfigError, also where there is none."""
    try:
        content = paths.read(path, follow=True)
    except FilesError as exc:
        raise KubeconfigError(str(exc)) from None
    if content is None:
        raise KubeconfigError(f"the kubeconfig {path!r} does not exist")
    return content


def find_entry(config: Config, kind: str, name: t.Any) -> Config | None:
    """Return the fields of an entry, or None where there is no such entry."""
    for entry in config.get(kind) or ():
        if entry["name"] == name:
            return entry.get(ENTRY_KINDS[kind]) or {}
    return None


class Context(t.NamedTuple):
    """The name of a context, and the fields of its cluster and of its user."""

    name: str
    cluster: Config
    user: Config


def resolve_context(config: Config, context: str | None, where: str) -> Context:
    """Return the context of this name (the current one if None). Raises KubeconfigError, which names WHERE."""
    name = context or config.get("current-context")
    if not name:
        raise KubeconfigError(f"{where} has no current-context; name a context")
    entry = find_entry(config, "contexts", name)
    if entry is None:
        raise KubeconfigError(f"{where} has no context {name!r}")
    found = []
    for kind, key in (("clusters", "cluster"), ("users", "user")):
        referred = entry.get(key)
        body = find_entry(config, kind, referred)
        if body is None:
            raise KubeconfigError(
                f"{where}: context {name!r} refers to a {key} that is not there: {referred!r}"
            )
        found.append(body)
    return Context(name, *found)


def read_field(entry: Mapping[str, t.Any], key: str, where: str, folder: str | None) -> str | None:
    """Return the text in C(KEY-data), else in the file that C(KEY) names, else None; C(tokenFile) is such a path too.

    A relative path starts at FOLDER, the kubeconfig's. Raises KubeconfigError, which names WHERE.
    """
    data, path = entry.get(f"{key}-data") or "", entry.get(key) or ""
    if not data and not path:
        return None
    if not isinstance(data, str) or not isinstance(path, str):
        raise KubeconfigError(f"{where}: {key} is not text")
    try:
        if data:
            return base64.b64decode(data, validate=True).decode()
        if not os.path.isabs(path) and folder is None:
            raise KubeconfigError(
                f"{where}: {key} is a relative path, and there is no folder that it could start at"
            )
        full = os.path.join(folder or "/", path)
        content = paths.read(full, follow=True)
        if content is None:
            raise KubeconfigError(f"{where}: {key} {full!r} does not exist")
        return content.decode()
    except FilesError as exc:
        raise KubeconfigError(f"{where}: {key}: {exc}") from None
    except (binascii.Error, ValueError):
        raise KubeconfigError(
            f"{where}: {f'{key}-data is not base64 of' if data else f'{key} is not'} text"
        ) from None


# --- writing

# Text that some reader of YAML 1.1 or 1.2 does not read as text, and that kubectl therefore quotes.
_AMBIGUOUS = re.compile(
    "|".join(
        (
            *SCALAR_PATTERNS.values(),
            "y|Y|n|N",
            r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?",
            r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(?:\.[0-9]+)?(?:Z|[-+][0-9:]+)?)?",
        )
    )
)

# What kubectl escapes, and the line breaks that a YAML writer would fold.
_ESCAPED = re.compile("[\\x85\\u2028\\u2029\\U00010000-\\U0010ffff]")


def _dumper() -> t.Any:
    """Return a YAML dumper that chooses the style of a text as kubectl does."""

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
    """Return the empty kubeconfig that kubectl starts from. Before 1.34 it had empty preferences too; where a file has them, they stay."""
    return {
        "apiVersion": "v1",
        "clusters": None,
        "contexts": None,
        "current-context": "",
        "kind": "Config",
        "users": None,
    }


def dump_kubeconfig(config: Config) -> bytes:
    """Return the file as kubectl writes it: keys and names sorted, an empty list as null, a newline at the end."""
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

# What a server's certificate can be for: a DNS name, or an address.
SERVER_NAME = rf"{_LABEL}(?:\.{_LABEL})*|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*"


class ServerUrl(t.NamedTuple):
    """The parts of https://HOST:PORT/PATH; an IPv6 address has no brackets here."""

    host: str
    port: int
    path: str


# Narrower than any library's idea of a URL, so that every client reads it alike: ASCII, no user, no query, no empty port.
_SERVER = re.compile(
    r"https://(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?))"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>(?:/(?:(?![?#])[!-~])*)?)"
)


def parse_server_url(server: str) -> ServerUrl:
    """Return the parts of an apiserver's URL. Raises KubeconfigError."""
    # A user and a password could be part of it: such a text is not repeated.
    name = "the server's URL" if "@" in server else f"the server {quote_name(server)}"
    if server.startswith("http://"):
        raise KubeconfigError(
            f"{name} is not https, so that nobody could tell who answers; write it as https://HOST:PORT"
        )
    match = _SERVER.fullmatch(server)
    if match is None or not _usable(match):
        raise KubeconfigError(
            f"{name} is not of the form https://HOST:PORT, with or without a /PATH after it"
        )
    return ServerUrl(match["v6"] or match["name"], int(match["port"] or 443), match["path"])


def _usable(match: re.Match[str]) -> bool:
    host = match["v6"] or match["name"]
    try:
        # A name of digits and dots only is an address to some, and a name to others.
        if match["v6"] or re.fullmatch("[0-9.]+", host):
            ipaddress.ip_address(host)
    except ValueError:
        return False
    return len(host) <= 253 and 0 < int(match["port"] or 443) < 65536
