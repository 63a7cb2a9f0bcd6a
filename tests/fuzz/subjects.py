# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the modules on a simulated host in a directory, and provide valid options.

The tests call main() of each module with the AnsibleModule of Ansible.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import os
import random
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn
from unittest import mock

from ansible.errors import AnsibleError
from ansible.module_utils.basic import FILE_COMMON_ARGUMENTS, AnsibleModule
from ansible.module_utils.common.parameters import remove_values
from ansible_collections.kube_ha.scheduler.plugins.action import scheduler_drill as drill_action
from ansible_collections.kube_ha.scheduler.plugins.action import scheduler_plan as plan_action
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import client as _client
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import download as _download
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import (
    kubeconfig_lock as _lock,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._kube import lease as _lease
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import verdict
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.choice import (
    DrillRequest,
    choose,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.host import systemd
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.inspect import info
from ansible_collections.kube_ha.scheduler.plugins.modules import (
    kubeconfig,
    leader_info,
    scheduler_binary,
    scheduler_drill,
    scheduler_fault,
    scheduler_fileset,
    scheduler_info,
    scheduler_monitoring,
    scheduler_plan,
    x509_cert,
)
from ansible_collections.kube_ha.scheduler.plugins.plugin_utils import _plan_host, _seal

from tests.fuzz.judge import Refused, guarded, holds_no, refusal, tree
from tests.support import apiserver
from tests.support.fake_module import HostVars
from tests.support.host import RESULT, UNIT_NAME, FakeSystemd, Host
from tests.support.pki import PROFILES, SCHEDULER, Ca, key_pem, spare
from tests.support.role import defaults, role_vars

MODULES: dict[str, ModuleType] = {
    "x509_cert": x509_cert,
    "kubeconfig": kubeconfig,
    "leader_info": leader_info,
    "scheduler_binary": scheduler_binary,
    "scheduler_drill": scheduler_drill,
    "scheduler_fault": scheduler_fault,
    "scheduler_info": scheduler_info,
    "scheduler_monitoring": scheduler_monitoring,
    "scheduler_plan": scheduler_plan,
    "scheduler_fileset": scheduler_fileset,
}
GATHERED = {**RESULT, "clock_offset": 0.0, "round_trip": 0.1}
"""Result of scheduler_info in the form that its action plugin returns."""
DEFAULT_DIRECTORIES = {
    "scheduler_fileset": "live/fileset",
    "scheduler_monitoring": "live/monitoring",
}
NAMES = ["m1", "m2", "m3"]
TOKEN = "t0ken-that-is-a-s3cret"
PASSPHRASE = "passphrase-that-is-a-s3cret"
BINARY = b"\x7fELF" + bytes(range(256)) * 64


class _Done(BaseException):
    """End a module that called exit_json."""


class _Specified(BaseException):
    """End a module after it has created its AnsibleModule."""


class Module(AnsibleModule):
    """Extend AnsibleModule so that both exits raise exceptions."""

    def __init__(self, given: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        self.given, self.ready = given, False
        self.warnings: list[str] = []
        self.logged: list[str] = []
        try:
            super().__init__(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - any error of Ansible
            # Some versions of Ansible fail if an integer is infinity or if a mapping is a number.
            raise Refused(
                f"{type(error).__name__} in Ansible itself: {error}", typed=True
            ) from None
        self.ready = True

    def _load_params(self) -> None:
        self.params = json.loads(json.dumps(self.given))

    def _log_invocation(self) -> None:
        with contextlib.suppress(UnicodeError):  # Ansible cannot encode some of its own messages
            super()._log_invocation()

    def log(self, msg: str, log_args: Any = None) -> None:
        self.logged.append(remove_values(msg, self.no_log_values))

    def warn(self, warning: str, **_help: Any) -> None:
        self.warnings.append(warning)

    def set_attributes_if_different(
        self, path: str, attributes: str, changed: bool, *_more: Any, **_also: Any
    ) -> bool:
        return changed  # the original method would run the program chattr

    def run_command(self, *_args: Any, **_more: Any) -> tuple[int, str, str]:
        return 0, "", ""

    def exit_json(self, **result: Any) -> NoReturn:
        raise _Done(result)

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        raise Refused(msg, typed=not self.ready, **result, logged=self.logged)


def specification(name: str) -> dict[str, Any]:
    """Return the options of a module, with the file options that Ansible adds."""

    def called(
        argument_spec: dict[str, Any], add_file_common_args: bool = False, **_rules: Any
    ) -> NoReturn:
        raise _Specified(
            {**(FILE_COMMON_ARGUMENTS if add_file_common_args else {}), **argument_spec}
        )

    with mock.patch.object(MODULES[name], "AnsibleModule", called):
        try:
            MODULES[name].main()
        except _Specified as found:
            specified: dict[str, Any] = found.args[0]
            return specified
    raise AssertionError(name)


class Clock:
    """Provide a clock that moves only when the code sleeps, by at least ten minutes.

    No test waits.
    """

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME
    clock_gettime = staticmethod(time.clock_gettime)

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0, seconds
        self.slept += max(seconds, 600.0)


class Systemd(FakeSystemd):
    """Provide an AnsibleModule for which every command succeeds."""

    def show(self, unit: str) -> dict[str, str]:
        return (
            super().show(unit)
            if unit == UNIT_NAME
            else {"LoadState": "not-found", "ActiveState": "inactive"}
        )

    def journal(self, unit: str, lines: int, seconds: int = 0) -> list[str]:
        return super().journal(unit, lines)

    def start(self, unit: str) -> None:
        self.did.append(f"start {unit}")

    def stop(self, unit: str) -> None:
        self.did.append(f"stop {unit}")

    def kill(self, unit: str, signal: str) -> None:
        self.did.append(f"kill {unit} {signal}")

    def terminate(self, unit: str) -> None:
        self.did.append(f"terminate {unit}")

    def start_transient(
        self, name: str, description: str, properties: Mapping[str, str], command: list[str]
    ) -> None:
        self.did.append(properties["ExecStartPre"])
        # The script is not run, so that no command changes this machine.
        state = Path(scheduler_fault.fault.fault_script.STATE_DIR)
        with contextlib.suppress(FileNotFoundError):
            (state / "armed").unlink()
            (state / "uptime").write_text("1.00\n")
            (state / "applied").write_text("")
        (state / "injected").unlink(missing_ok=True)

    def run_with_credentials(
        self, name: str, user: str, credentials: dict[str, str], command: list[str]
    ) -> tuple[int, str]:
        assert all(os.path.isfile(path) for path in credentials.values())
        return 0, ""


class Watch:
    """Replace the measurement of a drill."""

    namespace_removed = True

    def __init__(self, path: str, *_more: Any) -> None:
        _client.load_client(path)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Close nothing, because this class opens no connection."""

    def wait_until_ready(self) -> None:
        """Return immediately."""

    def finish(self, fault: float, uncertainty: float) -> verdict.Measurement:
        return verdict.Measurement(fault=fault, uncertainty=uncertainty)


class World:
    """Provide a directory with a CA, key pairs, kubeconfigs, a running file set, and invalid files.

    Each case starts with the original state.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.spare = folder / "world", folder / "spare"
        self.folder.mkdir()
        for name in ("ca", "live", "odd", "foreign"):
            (self.folder / name).mkdir()
        self.ca = Ca(self.folder / "ca")
        self.other_ca = Ca(self.folder / "ca", spare("ECC", number=2), "other")
        self.small_ca = Ca(
            self.folder / "ca", spare("ECC", number=3), "small", valid_for="24h", renew_before="1h"
        )
        encrypted = self.folder / "ca/encrypted-key.pem"
        encrypted.write_text(key_pem(self.ca.key, PASSPHRASE))
        encrypted.chmod(0o600)
        self._write("ca/passphrase", f"{PASSPHRASE}\n", 0o600)
        self._write("ca/config.json", json.dumps(PROFILES))
        client = self.ca.issue("client", key=spare("ECC", number=4))
        self._write("live/client.pem", client[0])
        self._write("live/client-key.pem", client[1], 0o600)
        self._write("live/token", f"{TOKEN}\n", 0o600)
        self._odd()
        self._write("foreign/precious", "somebody else's\n")
        self.server = apiserver.Server(self._respond, self.ca.issue(key=spare("ECC", number=5)))
        self.mirror = apiserver.Server(self._respond_mirror, plain=True)
        self.renewals = 0
        content = apiserver.kubeconfig([self.server.url] * 2, ca=self.ca.pem, pair=client)
        self._write("live/kubeconfig", content.decode(), 0o600)
        self._scheduler()
        self.secrets = [TOKEN, PASSPHRASE]
        for file in sorted(self.folder.rglob("*-key.pem")):
            self.secrets += [line for line in file.read_text().splitlines() if len(line) > 60]
        for options in (
            self.pair(),
            {**self.pair(), "path": self.at("live/self.pem"), **self.self_signed()},
        ):
            self.call("x509_cert", options)
        self.fixed = self.plan({"step": "variables", "tables": TABLES})
        self.state = copy.deepcopy(
            {name: value for name, value in vars(self.host.systemd).items() if name != "proc"}
        )
        self.before = tree(str(self.folder))
        self.spare.mkdir()
        for path in sorted(self.before):
            _copy(path, str(self.spare / os.path.relpath(path, self.folder)))

    def at(self, name: str) -> str:
        return str(self.folder / name)

    def _write(self, name: str, content: str | bytes, mode: int = 0o644) -> None:
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)

    def _odd(self) -> None:
        """Return files that are invalid for every option, by name."""
        self._write("odd/empty", "")
        self._write("odd/garbage", bytes(range(256)) * 8)
        self._write("odd/large", b"a" * (2 << 20))
        self._write("odd/nested", "[" * 50_000)
        self._write("odd/bomb", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n")
        self._write("odd/torn.pem", self.ca.pem[: len(self.ca.pem) // 2])
        self._write(
            "odd/header.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        )
        self._write("odd/open-key.pem", key_pem(self.ca.key), 0o644)
        self._write("odd/two-keys.pem", key_pem(self.ca.key) + key_pem(self.other_ca.key), 0o600)
        (self.folder / "odd/directory").mkdir()
        os.mkfifo(self.folder / "odd/fifo")
        (self.folder / "odd/loop").symlink_to("loop")
        (self.folder / "odd/dangling").symlink_to("nothing")
        (self.folder / "odd/leaves").symlink_to("../ca/ca.pem")

    def _scheduler(self) -> None:
        self.host = Host(self.folder)
        self.host.systemd = Systemd(self.host.root / "units" / UNIT_NAME, self.host.proc)
        self.host.systemd.program = self.host.bin / "app"
        self.host.systemd.credentials = {"kubeconfig": self.folder / "live/kubeconfig"}
        self.host.systemd.words = (
            "kube-scheduler",
            f"--secure-port={self.server.port}",
            "--config=/x.yaml",
        )
        self.host.deploy(binaries=self.host.brought())
        status = Path(self.host.proc.path(self.host.systemd.pid, "status"))
        status.write_text(
            "Name:\tkube-scheduler\nUid:\t999\t999\t999\t999\nGid:\t999\t999\t999\t999\n"
        )

    def _respond(self, request: str) -> bytes:
        path = request.split()[1]
        if path == "/version":
            return apiserver.answer(200, {"gitVersion": "v1.37.2"})
        if path in ("/readyz", "/metrics"):
            return apiserver.answer(200 if path == "/readyz" else 403)
        self.renewals += 1
        return apiserver.answer(200, apiserver.lease(renew=self.renewals % 60))

    @staticmethod
    def _respond_mirror(request: str) -> bytes:
        checksum = f"{hashlib.sha512(BINARY).hexdigest()}\n".encode()
        content = {"/binary": BINARY, "/binary.sha512": checksum}.get(request.split()[1])
        return apiserver.answer(404, b"no") if content is None else apiserver.answer(200, content)

    def restore(self) -> list[str]:
        """Restore the files that a case changed, and return their paths."""
        vars(self.host.systemd).update(copy.deepcopy(self.state))
        after = tree(str(self.folder))
        changed = sorted(
            path for path in {*after, *self.before} if after.get(path) != self.before.get(path)
        )
        for path in reversed(changed):
            if path in after and not stat.S_ISDIR(after[path][0]):
                os.unlink(path)
            elif path in after and not _is_directory(self.before, path):
                os.rmdir(path)
        for path in changed:
            if _is_directory(self.before, path) and _is_directory(after, path):
                mode, *owner = self.before[path]
                os.chown(path, *owner)
                os.chmod(path, stat.S_IMODE(mode))
            elif path in self.before:
                _copy(str(self.spare / os.path.relpath(path, self.folder)), path)
        if changed:
            self.before = tree(str(self.folder))
        return changed

    def judged(
        self, name: str, options: dict[str, Any], *, check: bool = False
    ) -> dict[str, Any] | Refused:
        """Run a module, check how it ends, and return its result or its error."""
        outcome: dict[str, Any] | Refused
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            with guarded(str(self.folder)):
                outcome = self.call(name, options, check=check)
        except Refused as refused:
            outcome = refused
        finally:
            os.chdir(here)
            written = self.restore()
        holds_no(
            self.secrets,
            outcome if isinstance(outcome, dict) else [outcome.message, outcome.result],
        )
        if isinstance(outcome, Refused) and not outcome.typed:
            for line in outcome.message if isinstance(outcome.message, list) else [outcome.message]:
                refusal(line, options.values())
        assert not written or not (check or isinstance(outcome, Refused)), (
            f"written: {written}; {outcome!r:.300}"
        )
        return outcome

    # --- calls of modules

    def call(self, name: str, options: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Run a module and return its result.

        If the module fails, the function raises `Refused`. The function also raises each exception
        that would be a traceback.
        """
        if name == "variables":
            given = {f"kube_scheduler_{option}": value for option, value in options.items()}
            steps: dict[str, Any] = {"step": "variables", "tables": TABLES}
            data = self.plan({**steps, "_variables": given}, check=check)
            own = {"m1": {"host": _seal.seal(GATHERED, "m1", _seal.INFO)}}
            answers = {"step": "host", "input": data, "results": "host", "_hostvars": own}
            return {**self.plan({**steps, **answers}, check=check), "warned": [], "changed": False}
        if name == "scheduler_drill":
            return self.drill(options, check=check)
        if name in DEFAULT_DIRECTORIES and options.get("path") is None:
            # The default directory of this machine must never be used.
            options = {**options, "path": self.at(DEFAULT_DIRECTORIES[name])}
        if name == "scheduler_plan":
            return self.plan(options, check=check)
        clock = Clock()
        kept: list[Module] = []

        def module(*args: Any, **kwargs: Any) -> Module:
            kept.append(Module({**options, "_ansible_check_mode": check}, *args, **kwargs))
            return kept[-1]

        with contextlib.ExitStack() as stack:
            for target, attribute, value in (
                (MODULES[name], "AnsibleModule", module),
                (systemd, "Systemd", lambda _run: self.host.systemd),
                (scheduler_info, "Proc", lambda: self.host.proc),
                (scheduler_fileset, "Proc", lambda: self.host.proc),
                (scheduler_fault, "Proc", lambda: self.host.proc),
                (scheduler_fault.fault, "time", clock),
                (scheduler_fault.fault.fault_script, "STATE_DIR", self.at("drill")),
                (scheduler_fault.fault.firewall.shutil, "which", lambda command: command),
                (
                    info,
                    "HostQuery",
                    functools.partial(info.HostQuery, clock=clock.monotonic, sleep=clock.sleep),
                ),
                (leader_info.leader, "time", clock),
                (
                    leader_info.leader,
                    "query_leader",
                    functools.partial(leader_info.leader.query_leader, sleep=clock.sleep),
                ),
                (_lease, "observe", self.hurried(clock)),
                (_lock, "time", clock),
                (_download.urllib.request, "getproxies_environment", dict),
            ):
                stack.enter_context(mock.patch.object(target, attribute, value))
            try:
                MODULES[name].main()
            except _Done as done:
                return {**done.args[0], "warned": kept[0].warnings, "logged": kept[0].logged}
        raise AssertionError("main() ended without a result")

    @staticmethod
    def hurried(clock: Clock) -> Any:
        """Observe a lease with this clock instead of the real clock."""
        return functools.partial(_lease.observe, clock=clock.monotonic)

    def plan(self, options: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Run scheduler_plan, which is an action plugin.

        `_hostvars` and `_variables` replace the data of the play.
        """
        hosts = {
            name: {
                "ansible_host": f"192.0.2.{name[1]}",
                **(options.get("_hostvars") or {}).get(name, {}),
            }
            for name in NAMES
        }
        task_vars = {
            **self.variables(),
            **DATA,
            **hosts["m1"],
            **(options.get("_variables") or {}),
            "inventory_hostname": "m1",
            "groups": {"kube_masters": NAMES},
            "hostvars": HostVars(hosts),
            "ansible_play_hosts": NAMES,
            "ansible_play_hosts_all": NAMES,
            "ansible_play_batch": NAMES,
        }
        result = self._act(plan_action, options, task_vars, check=check)
        if result.get("failed"):
            raise Refused(result["errors"])
        return result

    def drill(self, options: dict[str, Any], *, check: bool = False) -> dict[str, Any]:
        """Run scheduler_drill without its measurement, which another test covers."""
        report = options.get("report_dir")
        if isinstance(report, (str, int, float)):
            inside = os.path.abspath(os.path.expanduser(str(report).replace("\0", "")))
            options = {
                **options,
                "report_dir": report if inside.startswith(self.at("")) else self.at("live/report"),
            }
        hosts = HostVars(options.get("_hostvars") or {})
        task_vars: dict[str, Any] = {"inventory_hostname": "m1", "hostvars": hosts}
        task_vars["ansible_play_hosts_all"] = NAMES
        with mock.patch.object(drill_action, "Watch", Watch):
            return self._act(drill_action, options, task_vars, check=check)

    @staticmethod
    def _act(
        action: ModuleType, options: dict[str, Any], task_vars: dict[str, Any], *, check: bool
    ) -> dict[str, Any]:
        """Run an action plugin and return its result."""
        args = {
            key: value
            for key, value in options.items()
            if key not in ("_hostvars", "_variables", "_answer")
        }
        task = mock.MagicMock(async_val=0, check_mode=check, args=args)
        plugin = action.ActionModule(task, *(mock.MagicMock() for _number in range(5)))
        plugin._templar.template = lambda value: value
        plugin._execute_module = lambda *_names, **_options: copy.deepcopy(
            options.get("_answer") or {"changed": True}
        )
        try:
            with mock.patch.object(_plan_host, "render", lambda _step, template, _plan: template):
                result: dict[str, Any] = plugin.run(None, task_vars)
        except AnsibleError as error:
            raise Refused(error.message, typed=not hasattr(plugin, "options")) from None
        except Exception as error:
            if hasattr(plugin, "options"):
                raise
            raise Refused(
                f"{type(error).__name__} in Ansible itself: {error}", typed=True
            ) from None
        return result

    def variables(self) -> dict[str, Any]:
        """Return valid variables of the role."""
        return {
            **DEFAULTS,
            "kube_scheduler_group": "kube_masters",
            "kube_scheduler_version": "1.37.2",
            "kube_scheduler_apiserver": "https://192.0.2.1:6443",
            "kube_scheduler_ca_cert": str(self.ca.path),
            "kube_scheduler_ca_key": str(self.ca.key_path),
            "kube_scheduler_apiserver_ca": str(self.ca.path),
        }

    # --- valid options

    def pair(self) -> dict[str, Any]:
        return {
            **SCHEDULER,
            "path": self.at("live/cert.pem"),
            "privatekey_path": self.at("live/key.pem"),
            "privatekey_type": "ECC",
            **self.ca.options,
        }

    def self_signed(self) -> dict[str, Any]:
        return {
            "path": self.at("live/self.pem"),
            "privatekey_path": self.at("live/self-key.pem"),
            "privatekey_type": "Ed25519",
            "subject": {"CN": "new-ca"},
            "is_ca": True,
            "ca_path": None,
            "ca_privatekey_path": None,
        }

    def fine(self, name: str, rng: random.Random) -> dict[str, Any]:
        """Return valid sets of options of a module."""
        return copy.deepcopy(rng.choice(getattr(self, f"_fine_{name}")()))

    def base(self, name: str, place: str, beside: dict[str, Any]) -> dict[str, Any]:
        """Return valid options that include a given option."""
        if name == "variables":
            prefix = "kube_scheduler_"
            return {
                option.removeprefix(prefix): value for option, value in self.variables().items()
            }
        found: list[dict[str, Any]] = getattr(self, f"_fine_{name}")()
        if name in ("scheduler_plan", "scheduler_drill"):
            return next(one for one in found if one["step"] == beside.get("step", found[0]["step"]))
        first = {"scheduler_fileset": 2, "scheduler_info": 1}.get(name, 0)
        near = {"metrics_": 6, "desired.pair.": 4, "desired.": 3, "": first}
        return found[next(number for start, number in near.items() if place.startswith(start))]

    def _fine_x509_cert(self) -> list[dict[str, Any]]:
        fresh = {
            **self.pair(),
            "path": self.at("live/new.pem"),
            "privatekey_path": self.at("live/new-key.pem"),
        }
        return [
            self.pair(),
            fresh,
            {
                **fresh,
                "force": True,
                "backup": True,
                "mode": "0640",
                "owner": "root",
                "group": "root",
            },
            {**self.pair(), "state": "absent"},
            {
                **fresh,
                "ca_config": self.at("ca/config.json"),
                "profile": "kubernetes",
                "not_after_policy": "clamp",
                "names": [{"C": "CN", "OU": "k8s"}],
            },
            {
                **fresh,
                "ca_privatekey_path": self.at("ca/encrypted-key.pem"),
                "ca_privatekey_passphrase_file": self.at("ca/passphrase"),
                "privatekey_passphrase_file": self.at("ca/passphrase"),
                "privatekey_curve": "secp384r1",
                "valid_for": "24h",
                "renew_before": "50%",
                "backdate": "1h",
            },
            {**self.pair(), **self.self_signed(), "subject_alt_name": [], "path_length": 0},
            {
                **self.pair(),
                **self.self_signed(),
                "subject_alt_name": [],
                "privatekey_type": "ECC",
                "regenerate": "partial",
                "name_constraints": {
                    "permitted": ["DNS:.example.com", "IP:10.0.0.0/8"],
                    "excluded": ["email:x.org"],
                },
                "digest": "sha384",
            },
            {
                **fresh,
                "ca_on": "external",
                "ca_path": None,
                "ca_privatekey_path": None,
                "_ca_certificate": self.ca.pem,
                "_certificate": (self.folder / "live/client.pem").read_text(),
                "_request": "none",
            },
            {
                **fresh,
                "key_usage": ["signing"],
                "extended_key_usage": ["client auth"],
                "digest": "sha512",
            },
        ]

    def _fine_kubeconfig(self) -> list[dict[str, Any]]:
        cluster = {
            "name": "c",
            "server": "https://192.0.2.1:6443",
            "certificate_authority": self.at("ca/ca.pem"),
        }
        user = {
            "name": "u",
            "client_certificate": self.at("live/client.pem"),
            "client_key": self.at("live/client-key.pem"),
            "embed_certs": True,
        }
        context = {"name": "x", "cluster": "c", "user": "u", "namespace": "kube-system"}
        new = {
            "path": self.at("live/new.kubeconfig"),
            "clusters": [cluster],
            "users": [user],
            "contexts": [context],
        }
        return [
            {**new, "current_context": "x"},
            {**new, "mode": "0640", "owner": "root", "backup": True},
            {
                **new,
                "clusters": [
                    {
                        **cluster,
                        "embed_certs": True,
                        "tls_server_name": "m1",
                        "proxy_url": "http://p:3128",
                    }
                ],
                "users": [
                    {"name": "u", "token": TOKEN},
                    {**user, "name": "v", "client_ca": self.at("ca/ca.pem")},
                ],
            },
            {
                **new,
                "clusters": [
                    {
                        "name": "c",
                        "server": "https://[2001:db8::1]",
                        "certificate_authority_data": self.ca.pem,
                        "embed_certs": False,
                    },
                    {"name": "d", "server": "https://h/path", "insecure_skip_tls_verify": True},
                ],
                "users": [
                    {"name": "u", "token_file": self.at("live/token")},
                    {
                        "name": "v",
                        "exec": {
                            "command": "/bin/login",
                            "args": ["-x"],
                            "env": {"A": "b"},
                            "install_hint": "get it",
                            "interactive_mode": "Never",
                            "provide_cluster_info": True,
                        },
                    },
                    {
                        **user,
                        "name": "w",
                        "client_ca_data": self.ca.pem,
                        "client_key_source": self.at("live/client-key.pem"),
                    },
                ],
            },
            {
                "path": self.at("live/kubeconfig"),
                "contexts": [{"name": "c2", "state": "absent"}],
                "backup": True,
            },
            {"path": self.at("live/kubeconfig"), "current_context": "c2"},
            {"path": self.at("live/kubeconfig"), "state": "absent"},
            {**new, "path": self.at("odd/garbage"), "force": True, "backup": True},
        ]

    def _fine_leader_info(self) -> list[dict[str, Any]]:
        base = {"kubeconfig": self.at("live/kubeconfig")}
        return [
            base,
            {
                **base,
                "contexts": ["c1", "c2"],
                "members": ["m1"],
                "wait_for": "leader",
                "timeout": 5,
            },
            {**base, "context": "c1", "wait_for": "holder", "holder": "m1", "poll_interval": 0.01},
            {
                **base,
                "name": "kube-controller-manager",
                "namespace": "default",
                "wait_for": "change",
                "timeout": 0,
            },
        ]

    def _fine_scheduler_binary(self) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.mirror.port}/binary"
        base = {
            "url": url,
            "path": self.at("live/binary"),
            "checksum": f"sha512:{hashlib.sha512(BINARY).hexdigest()}",
        }
        return [
            base,
            {**base, "checksum": f"sha512:{url}.sha512", "timeout": 5},
            {**base, "checksum": f"sha256:{hashlib.sha256(BINARY).hexdigest()}"},
            {**base, "mode": "0750", "owner": "root", "group": "root"},
        ]

    def _fine_scheduler_info(self) -> list[dict[str, Any]]:
        host = self.host
        base = {
            "unit": UNIT_NAME,
            "fileset_dir": self.at("host/fileset"),
            "port": self.server.port,
            "kubeconfig": self.at("live/kubeconfig"),
            "probe": False,
            "user": "root",
        }
        requested = {
            "apiserver": self.server.url,
            "apiserver_ca": self.ca.pem,
            "tls_server_name": "127.0.0.1",
        }
        serving = {
            "since": "1.10",
            "https": 10259,
            "http": 0,
            "ready_path": "/readyz",
            "ready_port": "https",
        }
        desired: dict[str, Any] = {
            "version": "1.1.0",
            "binary": str(host.bin / "app-v1"),
            "log_dir": self.at("live"),
            "certificate": self.pair(),
            "kubeconfig": self._fine_kubeconfig()[0],
            "files": host.files,
            "manage_packages": True,
        }
        desired["kubeconfig"]["path"] = self.at("live/kubeconfig")
        client = {
            name: self.folder / f"live/client{end}.pem"
            for name, end in (("certificate", ""), ("privatekey", "-key"))
        }
        sums = {
            f"{name}_sha256": hashlib.sha256(path.read_bytes()).hexdigest()
            for name, path in client.items()
        }
        files = [*host.files, *(host.member(name, path) for name, path in client.items())]
        rights = {"owner": "root", "group": "root", "mode": "0600"}
        pair = {
            **desired,
            "certificate": None,
            "pair": {**sums, **rights},
            "binary_source": "present",
            "files": files,
        }
        return [
            base,
            {
                **base,
                **requested,
                "apiservers": [self.server.url],
                "bind_address": "0.0.0.0",
                "_serving": [{**serving, "lock": "leases"}],
            },
            {
                **base,
                **requested,
                "certificate": self.at("live/cert.pem"),
                "authorities": self.ca.pem + self.other_ca.pem,
                "next_ca": self.other_ca.pem,
                "next_cert": (self.folder / "live/client.pem").read_text(),
                "next_key": (self.folder / "live/client-key.pem").read_text(),
            },
            {**base, "desired": desired, "previous_lease": RESULT["lease"]},
            {**base, "desired": pair, "fileset_dir": self.at("live/none"), "unit": "other.service"},
            {
                **base,
                "probe": True,
                "unit": "none.service",
                "timeout": 30,
                "steady": 12,
                "reloaded": True,
                "journal_lines": 5,
                "serving_ca": self.ca.pem,
            },
            {
                **base,
                "probe": True,
                "serving_ca": self.ca.pem,
                "metrics_cert": (self.folder / "live/client.pem").read_text(),
                "metrics_key": (self.folder / "live/client-key.pem").read_text(),
            },
        ]

    def _fine_scheduler_fileset(self) -> list[dict[str, Any]]:
        host = self.host
        base = {"path": self.at("host/fileset"), "unit": UNIT_NAME, "files": host.files}
        fresh = {**base, "path": self.at("live/fresh")}
        command = [str(host.bin / "app"), "--config=x", "--secure-port=10259"]
        staged = {
            **base,
            "state": "staged",
            "files": [
                {**file, "content": file["content"] and f"{file['content']}# new\n"}
                for file in host.files
            ],
            "binaries": host.brought(),
            "command": command,
            "dry_run_flags": {"secure-port": "@port@"},
            "dry_run_texts": {"127.0.0.1:1": "127.0.0.1:@port@"},
            "user": "root",
        }
        lease = {"name": "x", "namespace": "kube-system"}
        handover = {
            **lease,
            "lock": "leases",
            "timeout": 0.1,
            "kubeconfig": self.at("live/kubeconfig"),
        }
        return [
            {**base, "state": "prepared"},
            {**fresh, "state": "prepared"},
            staged,
            {**staged, "path": self.at("live/fresh")},
            {
                "path": base["path"],
                "unit": UNIT_NAME,
                "state": "live",
                "attempt": "roll 1",
                "restart": True,
            },
            {
                "path": base["path"],
                "unit": UNIT_NAME,
                "state": "live",
                "lease": lease,
                "handover": handover,
            },
            {"path": base["path"], "unit": UNIT_NAME, "state": "previous", "attempt": "roll 1"},
            {"path": base["path"], "unit": UNIT_NAME, "state": "recalled"},
            {"path": base["path"], "unit": UNIT_NAME, "state": "absent"},
        ]

    def _fine_scheduler_fault(self) -> list[dict[str, Any]]:
        base = {"unit": UNIT_NAME, "undo_after": 30}
        return [
            *({**base, "kind": kind} for kind in ("stop", "kill", "freeze")),
            {**base, "kind": "partition", "apiserver": "https://127.0.0.1:6443"},
            {**base, "state": "absent", "settle": 2.5, "journal_seconds": 60},
        ]

    def _fine_scheduler_monitoring(self) -> list[dict[str, Any]]:
        file = {"name": "scrape.yml", "content": "scrape_configs: []\n"}
        base = {"path": self.at("live/monitoring"), "group": "root", "files": [file]}
        return [
            base,
            {**base, "files": []},
            {**base, "path": self.at("live"), "files": [{**file, "name": "token"}]},
            {**base, "path": self.at("live/new/monitoring"), "group": "daemon"},
        ]

    def _fine_scheduler_drill(self) -> list[dict[str, Any]]:
        answers = {name: {**GATHERED, "hostname": f"{name}.example.com"} for name in NAMES}
        for answer in answers.values():
            answer["lease"] = {**RESULT["lease"], "moving": True}
        choice = choose(DrillRequest("stop"), NAMES, answers, DATA["__kube_scheduler_versions"])
        sample = {"at": 1.0, "identity": "m1.example.com_x", "renew_time": "1", "transitions": 1}
        observed = {
            "samples": [sample, {**sample, "at": 3.0, "identity": "m2.example.com_x"}],
            "pods": [
                {
                    "name": "p",
                    "created": 1.0,
                    "bound": 2.0,
                    "node": "n",
                    "bindings": 1,
                    "kept": True,
                }
            ],
            "polls": 99,
            "longest_pause": 0.1,
            "fault": 2.0,
            "uncertainty": 0.1,
            "ended": 9.0,
        }
        measured = {"measurement": observed, "time": "2026-11-25T00:00:00Z"}
        sealed_choice = _seal.seal({"choice": {**choice}}, _seal.WHOLE_PLAY, _seal.CHOICE)
        hostvars = {
            name: {
                "health": _seal.seal(answer, name, _seal.INFO),
                "undone": _seal.seal({"journal": ["acquired lease"]}, name, _seal.FAULT),
                "measured": _seal.seal(measured, name, _seal.MEASUREMENT),
            }
            for name, answer in answers.items()
        }
        base = {"input": self.fixed, "results": "health", "_hostvars": hostvars}
        folder = {"report_dir": self.at("live/report")}
        kind = {"kind": "stop", "versions": DATA["__kube_scheduler_versions"]}
        return [
            {**base, **folder, **kind, "step": "choose", "admin_kubeconfig": "/k"},
            {
                **base,
                "step": "measure",
                "choice": sealed_choice,
                "admin_kubeconfig": self.at("live/kubeconfig"),
            },
            {
                **base,
                "step": "report",
                "choice": sealed_choice,
                "measured": "measured",
                **folder,
                "journals": "undone",
            },
        ]

    @functools.cached_property
    def registered(self) -> dict[str, dict[str, Any]]:
        """Return the sealed results of each member, by the name of their variable."""
        drifted = {**GATHERED, "drift": [{"part": "unit", "reason": "x"}]}
        plan = self.plan(
            {
                "step": "host",
                "tables": TABLES,
                "input": self.fixed,
                "results": "host",
                "_hostvars": {"m1": {"host": _seal.seal(GATHERED, "m1", _seal.INFO)}},
            }
        )
        order = {"batches": [["m1"], ["m2", "m3"]], "healthy": ["m1", "m2"], "version": "1.37.2"}
        handover = {"holder": "m2", "seconds": 1.0, "released": True, "transitions": 1}
        recalled = {"done": ["unit"], "version": "1.37.2", "handover": handover}
        recalled["not_after"] = "2036-01-01T00:00:00+00:00"
        results: dict[str, tuple[str, dict[str, Any]]] = {
            "input": (_seal.VARIABLES, self.fixed),
            "plan": (_seal.PLAN, plan),
            "rollout": (_seal.ROLLOUT, {**order, "compared": False}),
            "fileset": (_seal.FILESET, recalled),
            "gate": (_seal.GATE, {"blocked": "x", "attempt": "1"}),
            "remaining": (_seal.ROTATION, {"steps": ["leaf"], "replace": ["00:11"]}),
        }
        registered = {}
        for name in NAMES:
            own = {
                **results,
                "host": (_seal.INFO, GATHERED if name == "m1" else drifted),
                "mark": (_seal.MARK, {"rolled": name == "m1", "blocked": ""}),
            }
            own["host"] = (_seal.INFO, {**own["host"][1], "hostname": f"{name}.example.com"})
            registered[name] = {
                variable: _seal.seal(value, name, kind) for variable, (kind, value) in own.items()
            }
        return registered

    def _fine_scheduler_plan(self) -> list[dict[str, Any]]:
        data, hostvars = self.fixed, self.registered
        base = {"input": data, "results": "host", "_hostvars": hostvars}
        planned = {**base, "plans": "plan"}
        rolling = {**planned, "rollout": "rollout"}
        removal = {**data, "members": [*NAMES, "m4"], "kubeconfig": "/x"}
        return [
            {
                "step": "variables",
                "tables": TABLES,
                "prefix": "kube_scheduler_",
                "strict": True,
                "rotation": "leaf",
                "remaining": "remaining",
                "_hostvars": {"m1": {"remaining": hostvars["m1"]["remaining"]}},
            },
            {**planned, "step": "rotation", "before": "host"},
            {**base, "step": "rotated", "remaining": "remaining"},
            {**base, "step": "host", "tables": TABLES},
            {**planned, "step": "rollout"},
            {**planned, "step": "rollback", "recalled": "fileset", "before": "host"},
            {**rolling, "step": "gate", "outcomes": "mark", "position": 1},
            {**rolling, "step": "outcome", "fileset": "fileset", "rolled_back": False},
            {"step": "mark", "gate": "gate", "interrupted": True, "_hostvars": hostvars},
            {**rolling, "step": "verdict"},
            {
                "step": "status",
                "tables": TABLES,
                "inputs": "input",
                "results": "host",
                "plans": "plan",
                "before": "host",
                "strict": False,
                "_hostvars": hostvars,
            },
            {"step": "instance", "prefix": "kube_scheduler_"},
            {**base, "step": "removal", "input": _seal.seal(removal, "m1", _seal.INSTANCE)},
            {"step": "monitoring", "tables": TABLES, "inputs": "input", "_hostvars": hostvars},
        ]


def _is_directory(files: Mapping[str, tuple[Any, ...]], path: str) -> bool:
    return path in files and stat.S_ISDIR(files[path][0])


def _copy(source: str, target: str) -> None:
    info = os.lstat(source)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    if os.path.isdir(source):
        os.mkdir(target)
    elif os.path.isfile(source):
        shutil.copyfile(source, target)
    else:
        os.mkfifo(target)
    os.chmod(target, info.st_mode & 0o7777)


DEFAULTS = defaults()
DATA = role_vars()
TABLES: dict[str, str] = DATA["__kube_scheduler_tables"]


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    made = World(folder)
    with made.server, made.mirror:
        yield made


__all__ = ["DEFAULTS", "MODULES", "TABLES", "World", "specification", "world"]
