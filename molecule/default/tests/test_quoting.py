"""Test that systemd passes each value as one unchanged argument.

test_options.py tests the same with a real scheduler.
"""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.decide.formatting import (
    format_exec_start,
)

WORDS = [
    "",
    " ",
    "a b",
    "%h",
    "%n%%",
    "100%",
    "$HOME",
    "${HOME}",
    "$$",
    "a ; b",
    ";",
    '"x',
    "it's",
    "'x y'",
    "a\\",
    "\\",
    "\\n",
    "\\x41",
    '\\"',
    "+/bin/x",
    "!x",
    "-x",
    "@x",
    ":x",
    "#x",
    "a=b,c=d",
    "*",
    "~",
    "{{ 7 * 7 }}",
    "`id`",
    "$(id)",
    "b\u00fccher \U0001f600",
]
PRINTER = """#!/usr/bin/python3
import json, sys
json.dump(sys.argv[1:], open('/run/arguments.json', 'w'))
"""


def test_arguments_are_passed_unchanged(lab: Any) -> None:
    flags = {f"flag-{number}": word for number, word in enumerate(WORDS)}
    command = format_exec_start("/run/printer", flags)
    unit = f"[Service]\nType=oneshot\nUser=nobody\nUser=root\nExecStart={command}\n"
    host = lab.host("m1")
    host.check_output("printf %%s %s > /run/printer", PRINTER)
    host.check_output("printf %%s %s > /run/systemd/system/kube-ha-arguments.service", unit)
    host.check_output(
        "mount --options remount,exec /run && chmod 0755 /run/printer && systemctl daemon-reload"
    )
    try:
        host.check_output("systemctl start kube-ha-arguments.service")
        assert json.loads(host.file("/run/arguments.json").content_string) == [
            f"--{k}={v}" for k, v in flags.items()
        ]
    finally:
        host.check_output(
            "rm --force /run/printer /run/arguments.json"
            " /run/systemd/system/kube-ha-arguments.service"
        )
        host.check_output("mount --options remount,noexec /run && systemctl daemon-reload")
