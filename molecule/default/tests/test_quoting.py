"""Whatever a value holds, systemd hands on this one argument, and the configuration this one string."""

from __future__ import annotations

import json
from typing import Any

import yaml
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import command_line

UNIT = "kube-scheduler.service"
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
PRINTER = "#!/usr/bin/python3\nimport json, sys\njson.dump(sys.argv[1:], open('/run/arguments.json', 'w'))\n"


def test_an_argument_comes_out_as_it_went_in(lab: Any) -> None:
    flags = {f"flag-{number}": word for number, word in enumerate(WORDS)}
    unit = (
        f"[Service]\nType=oneshot\nUser=nobody\nUser=root\nExecStart={command_line.exec_start('/run/printer', flags)}\n"
    )
    host = lab.host("m1")
    host.check_output("printf %%s %s > /run/printer", PRINTER)
    host.check_output("printf %%s %s > /run/systemd/system/kube-ha-arguments.service", unit)
    host.check_output("mount --options remount,exec /run && chmod 0755 /run/printer && systemctl daemon-reload")
    try:
        host.check_output("systemctl start kube-ha-arguments.service")
        assert json.loads(host.file("/run/arguments.json").content_string) == [f"--{k}={v}" for k, v in flags.items()]
    finally:
        host.check_output("rm --force /run/printer /run/arguments.json /run/systemd/system/kube-ha-arguments.service")
        host.check_output("mount --options remount,noexec /run && systemctl daemon-reload")


def test_the_real_process_gets_it_too(lab: Any) -> None:
    odd = "%h ${HOME} it's a; b\\"
    try:
        run = lab.site(
            f"--extra-vars={json.dumps({'kube_scheduler_extra_args': {'requestheader-allowed-names': odd}})}"
        )
        assert run.code == 0, run.output
        pid = lab.main_pids()["m1"]
        words = lab.host("m1").check_output("tr '\\0' '\\n' < /proc/%s/cmdline", pid).splitlines()
        assert f"--requestheader-allowed-names={odd}" in words
        assert lab.host("m1").check_output("systemctl show --property=User --value %s", UNIT) == "k8s"
    finally:
        assert lab.site().code == 0


def test_words_of_yaml_stay_strings(lab: Any) -> None:
    names = [
        "yes",
        "null",
        "0x10",
        "1e3",
        "~",
        "*a",
        "&a",
        "!!x",
        "# x",
        "a: b",
        "'",
        '"',
        "%h",
        "$HOME",
    ]
    profiles = [{"schedulerName": name} for name in names]
    options = {"kube_scheduler_rollout": False, "kube_scheduler_config": {"profiles": profiles}}
    pids = lab.main_pids()
    try:
        run = lab.site(f"--extra-vars={json.dumps(options)}")
        assert run.code == 0, run.output
        staged = yaml.safe_load(lab.host("m1").file("/var/lib/kube-ha/kube-scheduler/staged/config").content_string)
        assert staged["profiles"] == profiles
        assert lab.main_pids() == pids
    finally:
        assert lab.site().code == 0
