# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Test the kubeconfig module in Ansible: its lifecycle, file options, and a search for secrets."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.pki import Ca, key_pem

ROOT = Path(__file__).parents[3]
CA = Ca()
TOKEN = "canary-token-4711"


class Play:
    """Run plays on this host in a directory with a key pair.

    Ansible keeps its temporary files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "etc" / "kubeconfig"
        self.path.parent.mkdir()
        for name in ("client", "other", "strange"):
            certificate, key = CA.issue(name, end=30 * 86400)
            (folder / f"{name}.pem").write_text(certificate)
            (folder / f"{name}-key.pem").write_text(key)
        (folder / "ca.pem").write_text(CA.pem)
        (folder / "token").write_text(TOKEN)
        (folder / "damaged-key.pem").write_text(CA.issue("damaged")[1].replace("MIG", "MIH", 1))
        (folder / "encrypted-key.pem").write_text(key_pem(CA.key, "secret"))
        self.log = folder / "ansible.log"
        self.output = ""
        # Mode and digest of the file after each task of the last run. If no file exists, the text
        # is empty.
        self.states: list[str] = []
        self.observed: set[bytes] = set()
        self.environment = {
            **{
                name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")
            },
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_LOG_PATH": str(self.log),
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(folder / "facts"),
            "ANSIBLE_KEEP_REMOTE_FILES": "1",
            "ANSIBLE_REMOTE_TEMP": str(folder / "remote"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "local"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_DIFF_ALWAYS": "1",
            "ANSIBLE_DISPLAY_TRACEBACK": "always",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        }

    def task(self, pair: str = "client", **more: Any) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "clusters": [
                {
                    "name": "kubernetes",
                    "server": "https://192.0.2.1:6443",
                    "certificate_authority": str(self.folder / "ca.pem"),
                    "embed_certs": True,
                }
            ],
            "users": [
                {
                    "name": "u",
                    "client_certificate": str(self.folder / f"{pair}.pem"),
                    "client_key": str(self.folder / f"{pair}-key.pem"),
                    "embed_certs": True,
                }
            ],
            "contexts": [{"name": "x", "cluster": "kubernetes", "user": "u"}],
            "current_context": "x",
            **more,
        }

    def run(self, *tasks: dict[str, Any], checked: Collection[int] = ()) -> list[dict[str, Any]]:
        """Run all tasks, also after an error, and return their results as a callback gets them.

        The tasks whose numbers are in `checked` run in check mode. If `checked` is set, `states`
        records the file after each task.
        """
        results, states = self.folder / "results", self.folder / "states"
        record = f"(stat --format=%a {self.path} && sha256sum {self.path}) | xargs >> {states}"
        steps: list[dict[str, Any]] = []
        for number, task in enumerate(tasks):
            steps.append(
                {
                    "kube_ha.scheduler.kubeconfig": task,
                    "check_mode": number in checked,
                    "register": f"done{number}",
                    "ignore_errors": True,
                }
            )
            if checked:
                steps.append({"ansible.builtin.shell": record})
        done = ", ".join(f"done{number}" for number in range(len(tasks)))
        write = {"cmd": f"cat > {results}", "stdin": f"{{{{ [{done}] | to_json }}}}"}
        steps.append({"ansible.builtin.shell": write})
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": steps}
        playbook = self.folder / "play.yml"
        playbook.write_text(yaml.safe_dump([play]))
        for path in (results, states):
            path.unlink(missing_ok=True)
        process = subprocess.Popen(
            ["ansible-playbook", "-vvvvv", "-i", "localhost,", str(playbook)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )
        over = threading.Event()
        sampler = threading.Thread(target=self.sample, args=(over,))
        sampler.start()
        output, _errors = process.communicate()
        over.set()
        sampler.join()
        self.output += output
        assert process.returncode == 0, output
        self.states = states.read_text().splitlines() if checked else []
        loaded: list[dict[str, Any]] = json.loads(results.read_text())
        return loaded

    def sample(self, over: threading.Event) -> None:
        """Record the arguments and the environment of all processes."""
        while not over.wait(0.01):
            for process in Path("/proc").iterdir():
                for name in ("cmdline", "environ") if process.name.isdigit() else ():
                    # a process can end while the test reads its files
                    with contextlib.suppress(OSError):
                        self.observed.add((process / name).read_bytes())

    def needles(self) -> set[bytes]:
        """Return the secrets: the lines of the keys, and base64 of these lines at each offset."""
        found = {TOKEN.encode()}
        for path in self.folder.glob("*-key.pem"):
            pem = path.read_bytes()
            found.update(
                line for line in pem.splitlines() if len(line) > 40 and b"-----" not in line
            )
            for shift in range(3):
                text = base64.b64encode(pem[shift:])
                # The first line is the header, which is the same in every key.
                found.update(text[start : start + 40] for start in range(80, len(text) - 40, 40))
        return found

    def leaks(self, allowed: set[Path]) -> list[str]:
        everything = [
            path for path in self.folder.rglob("*") if path.is_file() and path not in allowed
        ]
        texts = {str(path): path.read_bytes() for path in everything}
        texts["output"] = self.output.encode()
        texts["processes"] = b"\0".join(self.observed)
        return [
            name for name, text in texts.items() if any(needle in text for needle in self.needles())
        ]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def test_lifecycle_with_check_mode(play: Play) -> None:
    steps = [
        play.task(),
        play.task("other", owner="root", group="root", mode="0640", backup=True),
        {"path": str(play.path), "state": "absent"},
    ]
    # Each task runs four times: in check mode, normally, normally again, and in check mode again.
    tasks = [step for step in steps for _time in range(4)]
    results = play.run(
        *tasks, checked=[number for number in range(len(tasks)) if number % 4 in (0, 3)]
    )
    former = ""
    for number, mode in enumerate(("600", "640", "")):
        of_step = slice(4 * number, 4 * number + 4)
        assert [result["changed"] for result in results[of_step]] == [True, True, False, False], (
            results[of_step]
        )
        foretold, *after = play.states[of_step]
        assert foretold == former
        assert len({*after}) == 1
        former = after[0]
        assert former != foretold
        assert former.partition(" ")[0] == mode
    names = sorted(os.listdir(play.path.parent))
    assert [name.rpartition(".")[2] for name in names] == ["bak~"]


def test_secrets_are_only_in_their_files(play: Play) -> None:
    (play.folder / "garbage").write_bytes((play.folder / "client-key.pem").read_bytes() * 2)
    unreadable = str(play.folder / "garbage")
    results = play.run(
        play.task(),
        play.task("other", backup=True),
        # Each of these tasks fails after it has read a key or token.
        play.task(
            "strange",
            users=[{**play.task()["users"][0], "client_key": str(play.folder / "other-key.pem")}],
        ),
        play.task(
            "strange",
            users=[{**play.task()["users"][0], "client_key": str(play.folder / "damaged-key.pem")}],
        ),
        play.task(
            "strange",
            users=[
                {**play.task()["users"][0], "client_key": str(play.folder / "encrypted-key.pem")}
            ],
        ),
        play.task("strange", users=[{**play.task()["users"][0], "client_certificate": unreadable}]),
        play.task("strange", users=[{**play.task()["users"][0], "client_key": unreadable}]),
        play.task(clusters=[{"name": "kubernetes", "certificate_authority": unreadable}]),
        play.task(contexts=[{"name": "x", "cluster": "gone"}]),
        {"path": unreadable, "current_context": "x"},
        {"path": str(play.folder / "client-key.pem"), "current_context": "x"},
        {
            "path": str(play.path.parent / "nowhere" / "c"),
            **{k: v for k, v in play.task().items() if k != "path"},
        },
        {
            "path": str(play.path),
            "users": [{"name": "t", "token_file": str(play.folder / "token")}],
        },
        play.task(users=[{**play.task()["users"][0], "nonsense": 1}]),
    )
    failed = [bool(result.get("failed")) for result in results]
    assert failed == [False, False, *[True] * 10, False, True]
    backups = set(play.path.parent.glob("*.bak~"))
    allowed = {
        *play.folder.glob("*-key.pem"),
        play.folder / "garbage",
        play.folder / "token",
        play.path,
        *backups,
    }
    assert play.leaks(allowed) == []
    # This check proves that the search finds secrets.
    assert len(play.leaks(allowed - {play.path})) == 1


def test_token_of_the_task_is_only_in_the_task(play: Play) -> None:
    task = {"path": str(play.path), "users": [{"name": "t", "token": TOKEN}]}
    play.run(task, task)
    # With KEEP_REMOTE_FILES, Ansible keeps the remote files, which contain the arguments of the
    # task.
    arguments = {path for path in (play.folder / "remote").rglob("*") if path.is_file()}
    own = {
        play.path,
        play.folder / "token",
        play.folder / "play.yml",
        *play.folder.glob("*-key.pem"),
    }
    assert play.leaks({*own, *arguments}) == []
    assert any(b"AnsiballZ_kubeconfig" in text for text in play.observed)
