# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List nonsense for each option: values of the right type without a valid meaning.

wrong_type() derives values of a wrong type and invalid choices from the argument spec.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.fuzz.subjects import TOKEN, World
from tests.support.pki import key_pem, spare


class Given(NamedTuple):
    """Describe a nonsense value, the options that the value needs, and the result in check mode.

    By default, check mode must also reject the value.
    """

    value: Any
    beside: dict[str, Any] = {}  # noqa: RUF012 - never changed
    in_check_mode: str = ""  # "predict": a change is predicted; "nothing": the module does not run


def later(value: Any) -> Given:
    """Return input that is invalid now, but that an earlier task can make valid."""
    return Given(value, in_check_mode="predict")


def wrong_type(option: dict[str, Any]) -> list[Any]:
    """Return values of a wrong type or outside of the choices of an option."""
    if option.get("choices"):
        return ["nonsense", "", ["a", "b"], {"a": 1}]
    kinds: dict[str, list[Any]] = {
        "bool": ["maybe", "", 2, [], {}],
        "int": ["x", "", 1.5, [], {}],
        "float": ["x", "", [], {}],
        "dict": ["x", 7, ["a"]],
        "list": [{"a": 1}, 7] if option.get("elements") == "dict" else [{"a": 1}],
    }
    return kinds.get(option.get("type", "str"), [])


# The action plugin provides this option if a task does not set it.
SOURCE = "handled by the action plugin, ignored by the module"
# For each of these options, every value of the type is valid. The text is the reason.
ANY = {
    "x509_cert": {
        **dict.fromkeys(
            ("seuser", "serole", "setype", "selevel"),
            "checked by SELinux, and only if it is enabled",
        ),
        "_ca_certificate": "set by the action plugin, rejected in a task, used unless ca_on is target",
        "_request": "set by the action plugin, rejected in a task; an invalid one counts as none",
        **dict.fromkeys(
            ("csr_path", "certificate_source"), "handled by the action plugin, on the controller"
        ),
    },
    "kubeconfig": {
        **dict.fromkeys(
            ("seuser", "serole", "setype", "selevel"),
            "checked by SELinux, and only if it is enabled",
        ),
        "users[].exec.install_hint": "text for users",
    },
    "leader_info": {},
    "scheduler_binary": dict.fromkeys(
        ("seuser", "serole", "setype", "selevel"), "checked by SELinux, and only if it is enabled"
    ),
    "scheduler_info": {
        **dict.fromkeys(("input", "plan", "previous"), SOURCE),
        "user": "the result reports whether it exists",
        "versions": "checked by the action plugin",
        "previous_lease": "an earlier result; an invalid one has no effect",
        "desired.settings.flags": "compared with the process, which lacks an invalid flag",
        "desired.settings.config": "compared with the process, which lacks an invalid field",
        **dict.fromkeys(
            (
                "next_ca_path",
                "next_ca_privatekey_path",
                "next_ca_privatekey_passphrase_file",
                "metrics_ca_path",
                "metrics_ca_privatekey_path",
                "metrics_ca_privatekey_passphrase_file",
                "desired.pair.certificate_source",
                "desired.pair.privatekey_source",
                "desired.pair.x509_cert",
            ),
            "handled by the action plugin, on the controller",
        ),
        **dict.fromkeys(
            ("desired.pair.owner", "desired.pair.group", "desired.pair.mode", "desired.log_dir"),
            "reported as drift if the host lacks it",
        ),
        "authorities": "an invalid certificate has signed nothing",
        "secrets.contents": "checked together with desired, by the code of scheduler_fileset",
        "secrets.values": "texts to withhold in the result",
        **dict.fromkeys(
            ("next_ca", "next_cert", "next_key"),
            "the result reports an unusable file as unknown",
        ),
    },
    "scheduler_drill": {"journals": "a member without a journal has no lines"},
    "scheduler_fault": dict.fromkeys(("input", "choice"), SOURCE),
    "scheduler_monitoring": {"plan": SOURCE},
    "scheduler_plan": {
        "before": "a member without a previous result has no changes",
        "outcomes": "a member without a mark was not rolled",
    },
    "scheduler_fileset": {
        **dict.fromkeys(("input", "plan", "gate"), SOURCE),
        "secrets.values": "texts to withhold in the result",
    },
    "variables": {},
}

ACCOUNTS = [
    "",
    "no:such",
    "a/b",
    "a\nb",
    *map(later, ("no such account", "4294967295", "\u0663", "\u00b2")),
]
RIGHTS: dict[str, list[Any]] = {
    "mode": ["", "x", "9", "99999", "-1", "u=z", True, -1, 0o10000, "\u0667"],
    "owner": ACCOUNTS,
    "group": ACCOUNTS,
    "attributes": ["", "+", "i i", "--version", "+i;id"],
}
DURATIONS = ["", "1y", "30d", "-1h", "0", "0s", "1h ", "1e3h", "99999999h", "\uff11h", "P1D", "1"]
UNITS = [
    "",
    "x",
    "../x.service",
    "-x.service",
    "a b.service",
    "x.service\n",
    "x.timer",
    "x" * 300 + ".service",
]
SERVERS = [
    "",
    "http://192.0.2.1:6443",
    "192.0.2.1:6443",
    "https://",
    "https://a b",
    "https://user:pass@h",
    "https://h:0",
    "https://h:99999",
    "https://h?x",
    "https://[::1",
    "https://1.2.3",
    "ftp://h",
]
NAMES = [
    "",
    "1.2.3",
    "a b",
    "a..b",
    "-a",
    "*",
    "*.b",
    "a_b",
    "DNS:",
    "IP:1.2.3.4/24",
    "::1%lo",
    "email:x",
    "URI:x",
    "x" * 64,
    "\u00df.de",
]


def _paths(world: World) -> list[Any]:
    """Return paths of files that cannot be written."""
    return [
        "",
        ".",
        "x.pem",
        world.at("live/"),
        world.at("odd/directory"),
        world.at("odd/fifo"),
        world.at("odd/leaves"),
        "/a\0b",
        "a\nb",
    ]


def _pems(world: World, *more: str) -> list[Any]:
    """Return paths of files without a usable certificate."""
    names = (
        "empty",
        "garbage",
        "large",
        "torn.pem",
        "header.pem",
        "directory",
        "fifo",
        "loop",
        "dangling",
        *more,
    )
    return [
        *(world.at(f"odd/{name}") for name in names),
        later(world.at("odd/nothing")),
        later("x.pem"),
        later(""),
    ]


def table(world: World) -> dict[str, dict[str, list[Any]]]:
    """Return the nonsense values by module and option.

    In a name, [] selects the first entry of a list. All other options come from the
    first valid set of options.
    """
    fresh = {"path": world.at("live/new.pem"), "privatekey_path": world.at("live/new-key.pem")}
    authority = {**world.self_signed(), "subject_alt_name": []}
    bare = {"users": [{"name": "u"}]}
    plugin = {"users": [{"name": "u", "exec": {"command": "/x"}}]}
    return {
        "x509_cert": {
            "path": [
                *_paths(world),
                world.at("live/key.pem"),
                later(world.at("live/nothing/x.pem")),
            ],
            "privatekey_path": [
                *_paths(world),
                world.at("live/cert.pem"),
                later(world.at("live/nothing/x.pem")),
            ],
            "privatekey_size": [
                0,
                -1,
                2048,
                *(Given(n, {"privatekey_type": "RSA"}) for n in (0, 1024, 8193, 2**63)),
            ],
            "privatekey_passphrase_file": [
                *(
                    world.at(f"odd/{name}")
                    for name in ("empty", "large", "directory", "fifo", "dangling")
                ),
                world.at("ca/passphrase"),
                later(world.at("odd/nothing")),
            ],
            "subject": [
                Given({}, {"subject_alt_name": []}),
                *(
                    {"CN": value}
                    for value in (
                        "",
                        " ",
                        " x",
                        "a\nb",
                        "x" * 65,
                        7,
                        None,
                        True,
                        [],
                        {},
                        ["a", "b"],
                        "\u202e",
                    )
                ),
                {"X": "y"},
                {"": "y"},
                {"C": "China"},
                {"C": "cn"},
                {"serialNumber": "\u00e9"},
                {"emailAddress": "x"},
            ],
            "replace": [[""], ["00:11"], ["x" * 64], ["0" * 65], [7], [{}]],
            "names": [[{"CN": "another"}], [{"X": "y"}], [{"O": ""}], [{"OU": 7}], ["x"]],
            "subject_alt_name": [[name] for name in [*NAMES, "a\nb", "\ud800", "x" * 300, 7]],
            "key_usage": [[], [""], ["x"], ["server auth"], ["keyCertSign"], ["keyEncipherment"]],
            "extended_key_usage": [[""], ["x"], ["signing"]],
            "valid_for": [*DURATIONS, Given("100000h", fresh)],
            "backdate": DURATIONS,
            "path_length": [0, *(Given(length, authority) for length in (-1, 256))],
            "name_constraints.permitted": [
                ["DNS:a"],
                *(
                    Given([limit], authority)
                    for limit in ("", "x", "IP:1.2.3.4/99", "DNS:", "DNS:a b", "email:", "URI:x")
                ),
            ],
            "name_constraints.excluded": [
                ["DNS:a"],
                *(Given([limit], authority) for limit in ("", "IP:x", "DNS:*.a")),
            ],
            "ca_path": [
                *_pems(world),
                world.at("live/cert.pem"),
                world.at("ca/other.pem"),
                world.at("ca/ca-key.pem"),
            ],
            "ca_privatekey_path": [
                *_pems(world, "open-key.pem", "two-keys.pem"),
                world.at("ca/other-key.pem"),
                world.at("ca/encrypted-key.pem"),
                world.at("ca/ca.pem"),
            ],
            "ca_privatekey_passphrase_file": [
                Given(
                    world.at("live/token"), {"ca_privatekey_path": world.at("ca/encrypted-key.pem")}
                ),
                world.at("odd/empty"),
            ],
            "ca_on": ["controller", "external"],
            "ca_config": [
                *(world.at(f"odd/{name}") for name in ("empty", "garbage", "nested", "directory")),
                world.at("ca/ca.pem"),
            ],
            "profile": [
                "x",
                *(
                    Given(name, {"ca_config": world.at("ca/config.json")})
                    for name in ("", "x", "Kubernetes")
                ),
            ],
            "renew_before": [
                *DURATIONS,
                "8760h",
                "9000h",
                "0%",
                "100%",
                "-1%",
                "1e1%",
                "%",
                "0.0001%",
            ],
            "_certificate": [
                Given(text, in_check_mode="nothing") for text in ("", "x", world.other_ca.pem)
            ],
            **RIGHTS,
        },
        "scheduler_binary": _binary(world),
        "kubeconfig": {
            "path": [*_paths(world)[:-2], "/a\0b", later(world.at("live/nothing/x"))],
            "clusters[].name": [
                "",
                " ",
                " c",
                "c\n",
                "\0",
                "x" * 1025,
                "\u202e",
                "\ud800",
                "other",
            ],
            "clusters[].server": SERVERS,
            "clusters[].certificate_authority": [
                *_pems(world),
                world.at("live/client.pem"),
                world.at("ca/ca-key.pem"),
            ],
            "clusters[].certificate_authority_data": [
                Given(text, {"clusters[].certificate_authority": None})
                for text in ("", "x", world.ca.pem[:200], key_pem(spare("ECC", number=6)), "\ud800")
            ]
            + [world.ca.pem],
            "clusters[].tls_server_name": [
                " ",
                "a b",
                "*",
                "*.a",
                "a_b",
                "-a",
                "a\n",
                "x" * 64,
                "https://a",
            ],
            "clusters[].proxy_url": [
                "x",
                "ftp://p",
                "http://",
                "http://a b",
                "http://p/path",
                "http://p\n",
            ],
            "clusters[].insecure_skip_tls_verify": [True],
            "users[].name": ["", "u ", "u\n", "\x1b", "x" * 1025, "other"],
            "users[].client_certificate": [
                *_pems(world),
                None,
                world.at("ca/ca.pem"),
                world.at("live/client-key.pem"),
                "/a\nb",
            ],
            "users[].client_key": [
                *_pems(world),
                None,
                world.at("ca/ca-key.pem"),
                world.at("ca/encrypted-key.pem"),
                world.at("live/client.pem"),
            ],
            "users[].client_certificate_source": [
                *_pems(world)[:-2],
                world.at("ca/ca.pem"),
                Given(world.at("live/client.pem"), {"users[].token": TOKEN}),
            ],
            "users[].client_key_source": [*_pems(world)[:-2], world.at("ca/ca-key.pem")],
            "users[].client_ca": [
                *_pems(world)[:-2],
                world.at("ca/other.pem"),
                world.at("live/client.pem"),
            ],
            "users[].client_ca_data": ["", "x", world.other_ca.pem],
            "users[].token": [
                TOKEN,
                *(Given(text, bare) for text in ("", " ", "a b", "a\n", "\u00e9", "\0")),
            ],
            "users[].token_file": [
                world.at("live/token"),
                *(
                    Given(path, bare)
                    for path in (world.at("odd/directory"), world.at("odd/fifo"), "")
                ),
            ],
            "users[].exec.command": [Given(text, bare) for text in ("", " ", "a\nb", "\0")],
            "users[].exec.api_version": [
                Given(text, plugin) for text in ("", "v1", "client.authentication.k8s.io/v9", "x\n")
            ],
            "users[].exec.args": [Given([text], plugin) for text in ("\0", "\ud800")],
            "users[].exec.env": [
                Given(env, plugin)
                for env in (
                    {"": "x"},
                    {"A=B": "x"},
                    {"A\0": "x"},
                    {"A": None},
                    {"A": {"B": 1}},
                    {"A": ["x"]},
                    {"A": "\0"},
                )
            ],
            "contexts[].name": ["", " x", "\n", "other"],
            "contexts[].cluster": ["", "nosuch", None],
            "contexts[].user": ["", "nosuch", None],
            "contexts[].namespace": [" ", "A", "a.b", "a/b", "a\n", "x" * 64, "-a"],
            "current_context": ["nosuch", " x", "x\n"],
            "mode": ["", "x", "9", "99999", "-1", "u=z", True, -1, 0o10000],
            "owner": ACCOUNTS,
            "group": ACCOUNTS,
            "attributes": ["", "+", "i i", "--version", "+i;id"],
        },
        "leader_info": {
            "kubeconfig": [
                "",
                "x",
                *(
                    world.at(f"odd/{name}")
                    for name in (
                        "nothing",
                        "empty",
                        "garbage",
                        "large",
                        "nested",
                        "bomb",
                        "directory",
                        "fifo",
                        "loop",
                    )
                ),
            ],
            "contexts": [["nosuch"], ["c1", "nosuch"], [""], ["c1\n"]],
            "name": ["", " ", "A", "a/b", "../x", "a b", "a\n", "x" * 254, "-a", "?x", "%2f"],
            "namespace": ["", "A", "a/b", "..", "a\n", "x" * 254],
            "members": [[""], ["a\nb"], ["x" * 5000], ["\ud800"]],
            "holder": [
                "m1",
                "",
                *(
                    Given(text, {"wait_for": "holder"})
                    for text in ("", "a\nb", "\x1b[0m", "x" * 5000, None)
                ),
            ],
            "timeout": [-1, "nan", "inf", 1e9, -0.001],
            "poll_interval": [0, -1, "nan", "inf", 1e9, 0.001],
        },
        "scheduler_info": {
            "unit": UNITS,
            "fileset_dir": ["", "x", "/", "/a/../b", "/a//b", "/a/", "/a\0b", "/" + "x" * 300],
            "port": [0, -1, 65536, 2**64],
            "bind_address": ["", "x", "127.0.0.1/8", "::1%lo", "1.2.3", "localhost"],
            "kubeconfig": ["", "x", "\0"],
            "certificate": ["", "x", "/", "/a/../b", "/a\0b"],
            "paths": [[path] for path in ("", "x", "/a/../b", "/a\0b", "a\nb")],
            "directories": [[path] for path in ("", "x", "/a//b", "/a\0b")],
            "apiserver": [server for server in SERVERS if server],
            "apiservers": [[server] for server in SERVERS],
            "apiserver_ca": [
                Given(text, {"apiserver": world.server.url})
                for text in ("x", world.other_ca.pem, key_pem(spare("ECC")))
            ],
            "tls_server_name": [
                Given(text, {"apiserver": world.server.url, "apiserver_ca": world.ca.pem})
                for text in ("m9.example.com", "a b", ".a", "\0", "\u00df", "x" * 300, "a\nb")
            ],
            "serving_ca": [Given(text, {"probe": True}) for text in ("x", world.other_ca.pem)],
            "_serving[].since": ["", "x", "1", "1.x", "-1.2", "\u0661.\u0662"],
            "_serving[].https": [-1, 65536],
            "_serving[].http": [-1, 65536],
            "_serving[].ready_path": ["", "x", "/a b", "/a\r\nHost: x"],
            "_serving[].lock": ["", "x"],
            "metrics_cert": ["", "x", world.ca.pem],
            "metrics_key": ["", "x", key_pem(spare("ECC", number=6))],
            "desired.version": ["", "x", "1.1", "1.1.0\n"],
            "desired.binary": ["", "x", world.at("odd/directory"), world.at("odd/empty"), "/a\0b"],
            "desired.certificate": [{}, {"path": "x"}, {"state": "absent"}, {"nosuch": 1}],
            "desired.pair.certificate_sha256": ["", "x", "0" * 64],
            "desired.pair.privatekey_sha256": ["", "x", "0" * 64],
            "desired.kubeconfig": [
                {},
                {"path": "x"},
                {"users": [{"token": "x"}]},
                {"clusters": [{"name": ""}]},
            ],
            **{f"desired.files[].{option}": values for option, values in _files(world).items()},
            "timeout": [-1, "nan", "inf", 1e9],
            "steady": [-1, "nan", "inf", 1e9],
            "journal_lines": [-1, 1001, 10**30],
        },
        "scheduler_drill": {
            "targets": [["nosuch"], [""], ["m1", "m2", "m3"], ["m1\n"]],
            "undo_after": [-1, 1, 3601, 2**64],
            "admin_kubeconfig": [
                "",
                *(
                    Given(world.at(f"odd/{name}"), {"step": "measure"})
                    for name in ("nothing", "empty", "garbage", "directory", "fifo", "loop")
                ),
            ],
            "versions": [{"1.37": {}}, {"1.37": "x"}],
            "input": [
                {},
                {"members": []},
                {"members": 7},
                {"members": ["nosuch"], "playing": ["nosuch"]},
            ],
            "results": ["", "nosuch"],
            "choice": [
                Given(choice, {"step": step})
                for step in ("measure", "report")
                for choice in ({}, {"kind": "stop"}, {"targets": 7}, None)
            ],
            "measured": [Given(measured, {"step": "report"}) for measured in ("", "nosuch", None)],
            "report_dir": [
                Given(world.at(path), {"step": step}, "nothing")
                for step in ("choose", "report")
                for path in (
                    "live/kubeconfig",
                    "odd/fifo",
                    "live/kubeconfig/x",
                    "live/\0",
                    "live/\x1b",
                )
            ],
        },
        "scheduler_fault": {
            "unit": UNITS,
            "apiserver": [
                Given(server, {"kind": "partition"})
                for server in [*SERVERS, "https://no.such.example"]
            ],
            "undo_after": [0, -1, 3601, 2**64],
            "settle": [-1, "nan", "inf", 1e9],
            "journal_seconds": [-1, 2**64],
        },
        "scheduler_monitoring": {
            "path": [
                "",
                "x",
                "/",
                "/a/../b",
                "/a/",
                "/a\0b",
                "/" + "x" * 300,
                world.at("live/kubeconfig"),
                world.at("odd/fifo"),
                world.at("odd/loop"),
            ],
            "group": ACCOUNTS,
            "files[].name": ["", ".", "..", "a/b", "/a", "a\nb", "a\0b", "x" * 300],
            "files[].content": ["\0", "\ud800"],
        },
        "scheduler_plan": {
            "prefix": ["", "x", "kube_scheduler"],
            "tables": [{}, {"versions": {}}, {"x": 1}],
            "input": [
                Given(data, {"step": "rollout"})
                for data in ({}, {"variables": {}}, {"playing": 7}, {"playing": []})
            ],
            "inputs": [Given(name, {"step": "status"}) for name in ("", "nosuch", None)],
            "results": [Given(name, {"step": "verdict"}) for name in ("", "nosuch", None)],
            "position": [Given(place, {"step": "gate"}) for place in (-1, 99, 2**64)],
            "rotation": ["x", ""],
            "remaining": [Given(name, {"step": "rotated"}) for name in ("", "nosuch", None)],
            "plans": [
                Given(name, {"step": step})
                for step in ("rollout", "gate", "verdict")
                for name in ("", "nosuch", None)
            ],
            "rollout": [Given(name, {"step": "gate"}) for name in ("", "nosuch", None)],
            "fileset": [Given(name, {"step": "outcome"}) for name in ("", "nosuch", None)],
            "gate": [Given("nosuch", {"step": "mark"})],
            "recalled": [Given(name, {"step": "rollback"}) for name in ("", "nosuch", None)],
        },
        "scheduler_fileset": {
            "path": [
                "",
                "x",
                "/",
                "//",
                "/a/../b",
                "/a//b",
                "/a/",
                "/a\0b",
                "/" + "x" * 300,
                world.at("live/kubeconfig"),
                world.at("foreign"),
                world.at("live"),
            ],
            "unit": UNITS,
            "directories": [[path] for path in ("", "x", "/", "/a/../b", "/a//b", "/a\0b")],
            **{f"files[].{option}": values for option, values in _files(world).items()},
            "binaries[].path": [
                "",
                "x",
                "/",
                "/a/../b",
                later(world.at("odd/nothing")),
                world.at("odd/directory"),
                world.at("odd/fifo"),
            ],
            "binaries[].version": ["", "a\nb", "x" * 101],
            "attempt": ["a\nb", "x" * 101, "\0"],
            "handover.kubeconfig": ["", "x", "/", "/a/../b", "/a\0b"],
            **{
                f"{option}.{name}": ["", "x/y", "X", "a b", "a" * 300]
                for option in ("lease", "handover")
                for name in ("name", "namespace")
            },
            "handover.lock": ["x", "leases\n"],
            "handover.timeout": [0, -1, "nan", "inf", 1e9],
            "command": [
                [""],
                ["x"],
                ["--help"],
                ["/a b\n"],
                [world.at("x"), "a\0b"],
                [world.at("x"), "\ud800"],
            ],
            "dry_run_flags": [
                {"": 1},
                {"--x": 1},
                {"a=b": 1},
                {"a": None},
                {"a": {"b": 1}},
                {"a": "x\ny"},
            ],
            "dry_run_texts": [{"": "x"}, {"a\n": "x"}, {"a": None}, {"a": ["x"]}, {"a": "\0"}],
            "secrets.contents": [
                {"config": 1},
                {"config": ["x"]},
                {"config": "\0"},
                {"binary": "x"},
            ],
            "user": ["", " ", "a b", "-x", "a\n", "a;b", "../x"],
            "log_dir": [
                "",
                "x",
                "/",
                "/a/../b",
                "/a\0b",
                world.at("live/kubeconfig"),
                world.at("odd/fifo"),
            ],
        },
        "variables": _variables(world),
    }


def _files(world: World) -> dict[str, list[Any]]:
    return {
        "name": ["", ".", "..", "a/b", "../../x", ".a", "a\n", "x" * 65, "key", "\u00e9"],
        "path": [
            "",
            "x",
            "/",
            "/a/../b",
            "/a/",
            "/a//b",
            "/a\0b",
            "\ud800",
            "/" + "x" * 300,
            str(world.host.etc / "key.pem"),
        ],
        "content": [
            "x",
            Given("\0", {"files[].link_to": None}),
            Given("\ud800", {"files[].link_to": None}),
            Given("x" * (2 << 20), {"files[].link_to": None}),
        ],
        "link_to": ["", ".", "..", "a/b", "/etc/passwd", "a\n"],
        "mode": ["", "x", "8", "99999", "-1", "644 ", "rw-r--r--", "\u0666\u0664\u0664"],
        "group": ["", "a b", "-x", "a\n", "a/b", "\u0663"],
    }


def _binary(world: World) -> dict[str, list[Any]]:
    """Return nonsense for scheduler_binary. In check mode, the module downloads no binary."""
    mirror = f"http://127.0.0.1:{world.mirror.port}"
    return {
        "url": [
            *("", "x", "ftp://h/x", "https://", "https:///x", "file:///etc/passwd"),
            *("http://a b/x", "http://h/\n", "http://h:0x/", "http://[::1", "http://h/\u00e9"),
            *map(later, (f"{mirror}/nothing", f"{mirror}/binary.sha512", "http://no.example/x")),
        ],
        "path": [*_paths(world), later(world.at("live/nothing/x"))],
        "checksum": [
            *("", "x", "md5:" + "0" * 32, "sha512:", "sha512:" + "0" * 127),
            *("sha256:" + "0" * 128, "sha512:" + "\u0660" * 128, "sha512:x", "0" * 128),
            *(f"sha512:{mirror}/nothing", f"sha256:{mirror}/binary.sha512", "md5:http://h/x"),
            *(f"sha512:{mirror}/binary", "sha512:http://", "sha512:https://a b/"),
            later("sha512:" + "0" * 128),
        ],
        "timeout": [0, -1, "nan", "inf", 86401, 1e300],
        **RIGHTS,
    }


def _variables(world: World) -> dict[str, list[Any]]:
    """Return nonsense for variables of the role, by their names without the prefix."""
    unit_paths = ["", "x", "/", "/a b", "/a/", "/a//b", "/a%n", "/a\nb", "/a;b", "relative/x"]
    directories = [path for path in unit_paths if path != "/a/"]
    times = ["15", "0s", "15m", "1.5s", "-1s", "15 s", "x", "9999999999s"]
    files = [
        world.at(f"odd/{name}") for name in ("nothing", "directory", "empty", "garbage", "torn.pem")
    ]
    return {
        "version": [
            "1.37",
            "1",
            "latest",
            "v",
            "1.37.2 ",
            "1.37.2;id",
            "1.99.0",
            "0.0.0",
            "1.37.2\n",
            "../1.37.2",
        ],
        "name": [
            "",
            "..",
            "../x",
            "a/b",
            "a b",
            "a.b",
            "A",
            "-a",
            "a-",
            "a\n",
            "a%n",
            "\u0663",
            "x" * 64,
        ],
        "group": ["", "nosuch", "kube_masters "],
        "address": ["x", "300.1.1.1", "::1%lo", "192.0.2.2", "192.0.2.1/24", " 192.0.2.1"],
        "apiserver": SERVERS,
        "apiservers": [["https://192.0.2.1:6443", server] for server in SERVERS],
        "apiserver_ca": ["", *files, world.at("ca/ca-key.pem")],
        "tls_server_name": [" ", "a b", "*", "a_b", "a\n", "x" * 64],
        "binary_url": [
            "",
            "x",
            "ftp://h",
            "https://",
            "https:///x",
            "file:///x",
            "https://a b",
            "https://h\n",
        ],
        "binary_checksum": [
            "x",
            "md5:" + "0" * 32,
            "sha256:" + "0" * 63,
            "sha256:" + "\u0660" * 64,
            "0" * 64,
            7,
            ["x"],
            {"1.37.2": "x"},
            {"x": "sha256:" + "0" * 64},
        ],
        "adopt": [
            "a/b",
            "no such name",
            7,
            1.5,
            {},
            {"nice": True},
            [7],
            [""],
            ["a/b"],
            [["nice"]],
        ],
        "bin_dir": directories,
        "user": ["", " ", "a b", "-x", "a\nb", "1a", "a:b", "%u"],
        "ca_cert": [
            *files,
            "",
            world.at("ca/other.pem"),
            world.at("live/client.pem"),
            world.at("ca/ca-key.pem"),
        ],
        "ca_key": [
            *files,
            world.at("odd/open-key.pem"),
            world.at("ca/other-key.pem"),
            world.at("ca/ca.pem"),
        ],
        # Every text is a valid passphrase, and a plain key needs none.
        "ca_key_passphrase_file": files[:3],
        "ca_config": files,
        "ca_profile": ["x", Given("x", {"ca_config": world.at("ca/config.json")})],
        "cert_source": [
            Given(path, {"pki": "provided", "key_source": world.at("live/client-key.pem")})
            for path in ("", *files[:2])
        ],
        "key_source": [
            Given(path, {"pki": "provided", "cert_source": world.at("live/client.pem")})
            for path in ("", *files[:2])
        ],
        "csr_dir": [
            Given(path, {"pki": "external"})
            for path in (
                "",
                "x",
                "../x",
                world.at("odd/nothing"),
                world.at("odd/garbage"),
                world.at("odd/loop"),
            )
        ],
        "cert_path": [*unit_paths, "/etc/kubernetes/cert/kube-scheduler-key.pem"],
        "key_path": [*unit_paths, "/etc/kubernetes/kube-scheduler.kubeconfig"],
        "cert_valid_for": [text for text in DURATIONS if text],
        "subject": [
            {},
            {"CN": "x"},
            {"O": "system:kube-scheduler"},
            {"CN": ["system:kube-scheduler", "x"]},
            {"CN": "system:kube-scheduler", "commonName": "x"},
            *(
                {"CN": "system:kube-scheduler", "O": group}
                for group in ("system:masters", ["a", "system:nodes"], "", 7, None, "a\nb")
            ),
            {"CN": "system:kube-scheduler", "X": "y"},
        ],
        "extra_sans": [[name] for name in NAMES],
        "renew_before": [*(text for text in DURATIONS if text), "8760h", "9000h", "0%", "100%"],
        "kubeconfig_path": unit_paths,
        "log_dir": directories,
        "bind_address": ["", "x", "127.0.0.1/8", "::1%lo", "1.2.3", "localhost", " 127.0.0.1"],
        "secure_port": [0, -1, 65536, 2**64],
        "lease_duration": [*times, "10s"],
        "renew_deadline": [*times, "15s", "2s"],
        "retry_period": [*times, "10s"],
        "config": [
            {"nosuch": 1},
            {"apiVersion": "v1"},
            {"kind": "Pod"},
            {"leaderElection": 7},
            {"leaderElection": {"leaderElect": False}},
            {"leaderElection": {"resourceLock": "x"}},
            {"leaderElection": {"leaseDuration": "1h"}},
            {"parallelism": float("nan")},
            {"parallelism": "a\0b"},
        ],
        "extra_args": [
            {"nosuch": 1},
            {"--v": 2},
            {"": 1},
            {"v": None},
            {"v": "a\nb"},
            {"config": "/x"},
            {"leader-elect": False},
            {"kubeconfig": "/x"},
        ],
        "new_ca_cert": [
            Given(path, {"new_ca_key": world.at("ca/ca-key.pem")}) for path in ("", *files)
        ],
        "new_ca_key": [Given(path, {"new_ca_cert": str(world.ca.path)}) for path in ("", *files)],
        "metrics_cert": [
            Given(path, {"metrics_key": world.at("live/client-key.pem")})
            for path in ("", *files[:2])
        ],
        "metrics_key": [
            Given(path, {"metrics_cert": world.at("live/client.pem")}) for path in ("", *files[:2])
        ],
    }


def options(specified: dict[str, Any], under: str = "") -> dict[str, dict[str, Any]]:
    """Return all options without suboptions, by their names in the table."""
    result: dict[str, dict[str, Any]] = {}
    for name, option in specified.items():
        if option.get("options"):
            result |= options(
                option["options"], f"{under}{name}{'[]' if option['type'] == 'list' else ''}."
            )
        else:
            result[f"{under}{name}"] = option
    return result


def put(given: dict[str, Any], place: str, value: Any) -> None:
    """Set the option that a dotted name such as "users[].name" selects.

    Missing mappings and missing first entries of lists are created.
    """
    inside = given
    *above, last = place.split(".")
    for name in above:
        key = name.removesuffix("[]")
        if not inside.get(key):
            inside[key] = [{}] if name.endswith("[]") else {}
        inside = inside[key][0] if name.endswith("[]") else inside[key]
    inside[last] = value
