"""Test that secrets of every kind are found and withheld, and that other values are shown."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils import _secrets

from tests.support.pki import key_pem, spare

KEY = key_pem(spare("ECC"))
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
ENCODED_KEY = base64.b64encode(KEY.encode()).decode()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, "private key") for name in ("keyData", "KeyData", "client-key-data", "apiKey")),
        *((name, "token") for name in ("token", "bearerToken", "auth_token")),
        *((name, "password") for name in ("password", "passphrase", "client-secret")),
        *((name, "") for name in ("tokenFile", "keyFile", "certData", "topologyKey", "key", "v")),
        ("authentication-token-webhook-cache-ttl", ""),
        ("tls-private-key-file", ""),
    ],
)
def test_name_of_a_field_determines_its_kind(name: str, kind: str) -> None:
    assert _secrets.secret_kind(name) == kind
    assert _secrets.is_secret(name, "x") == bool(kind)


@pytest.mark.parametrize("value", [None, "", {}, [], True, False, _secrets.WITHHELD])
def test_empty_value_is_no_secret(value: Any) -> None:
    assert not _secrets.is_secret("token", value)


@pytest.mark.parametrize(
    "value",
    [KEY, ENCODED_KEY, TOKEN, "https://user:password@host/path", "https://token@host"],
    ids=["PEM", "base64", "JSON web token", "password", "user"],
)
def test_secret_is_found_by_its_form(value: str) -> None:
    assert _secrets.withhold({"field": [value]}) == {"field": ["(withheld)"]}
    assert value not in _secrets.withhold_text(f'at line 1 err="{value}" end')


@pytest.mark.parametrize(
    "value",
    [
        "https://192.0.2.1:6443/a@b",
        "system:kube-scheduler",
        base64.b64encode(b"-----BEGIN CERTIFICATE-----\nMIIB\n").decode(),
        "2s",
        16,
    ],
)
def test_other_value_is_shown(value: Any) -> None:
    assert _secrets.withhold({"field": value}) == {"field": value}
    assert _secrets.withhold_text(f"x is {value}, expected y") == f"x is {value}, expected y"


CONFIG: dict[str, Any] = {
    "parallelism": 8,
    "extenders": [{"urlPrefix": "https://x", "tlsConfig": {"keyData": "S0VZ", "insecure": False}}],
    "users": [{"exec": {"command": "login", "args": ["--x"], "env": [{"name": "A"}]}}],
    "token": {"value": "nested"},
    "password": 1234,
}


def test_secrets_are_found_by_path() -> None:
    assert _secrets.find_secrets(CONFIG) == {
        "extenders[0].tlsConfig.keyData": "S0VZ",
        "users[0].exec.args": ["--x"],
        "users[0].exec.env": [{"name": "A"}],
        "token": {"value": "nested"},
        "password": 1234,
    }


def test_copy_has_no_secret_and_the_value_is_unchanged() -> None:
    shown = _secrets.withhold(CONFIG)
    assert shown["extenders"][0]["tlsConfig"] == {"keyData": "(withheld)", "insecure": False}
    assert shown["users"][0]["exec"] == {
        "command": "login",
        "args": "(withheld)",
        "env": "(withheld)",
    }
    assert (shown["token"], shown["password"], shown["parallelism"]) == (*["(withheld)"] * 2, 8)
    assert CONFIG["extenders"][0]["tlsConfig"]["keyData"] == "S0VZ"
    assert _secrets.find_secrets(shown) == {}


def test_arguments_have_no_secret() -> None:
    words = ["--token=abc", "--v=2", "--api-key", "abc", "--master=https://u:p@host", "-password=x"]
    assert _secrets.withhold_arguments([*words, "--kubeconfig", "/x", "--token-file=/y"]) == [
        "--token=(withheld)",
        "--v=2",
        "--api-key",
        "(withheld)",
        "--master=(withheld)",
        "-password=(withheld)",
        "--kubeconfig",
        "/x",
        "--token-file=/y",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("keyData: abc", "keyData: (withheld)"),
        ('{"token":"abc","b":1}', '{"token":(withheld),"b":1}'),
        (
            r'config="keyData: QUJD\nserverName: x\n"',
            r'config="keyData: (withheld)\nserverName: x\n"',
        ),
        (r"{\"token\": \"abc\", \"b\": 1}", r"{\"token\": (withheld), \"b\": 1}"),
        ("a=password=x y", "a=password=(withheld) y"),
        ("Authorization: Bearer abcdefgh.ijk", "Authorization: Bearer (withheld)"),
        ("the token is invalid", "the token is invalid"),
        ("tokenFile: /x", "tokenFile: /x"),
        ("keyData: (withheld)", "keyData: (withheld)"),
    ],
)
def test_text_has_no_secret(text: str, shown: str) -> None:
    assert _secrets.withhold_text(text) == shown


def test_known_secret_is_withheld_in_any_text() -> None:
    known = ["marker-1", 'quoted "marker"', "true"]
    text = 'invalid marker-1 near quoted \\"marker\\"; true'
    assert _secrets.withhold_text(text, known) == "invalid (withheld) near (withheld); true"


@pytest.mark.parametrize("char", ["a", "=", ":", "/", "//", "@", "\\", '"', "eyJ", "-----BEGIN "])
def test_long_text_is_checked_at_once(char: str) -> None:
    before = time.monotonic()
    _secrets.withhold_text(char * 60000)
    _secrets.withhold({"x": char * 60000})
    assert time.monotonic() - before < 5


def test_marked_text_is_a_secret_in_any_field() -> None:
    marked = _secrets.mark_secrets({"a": ["x", {"b": "y"}], "c": 1}, lambda value: value == "y")
    assert _secrets.find_secrets(marked) == {"a[1].b": "y"}
    assert _secrets.withhold(marked) == {"a": ["x", {"b": "(withheld)"}], "c": 1}
    assert json.dumps(marked) == '{"a": ["x", {"b": "y"}], "c": 1}'
