"""Test on real schedulers that a secret in the configuration is private, in use and never shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import canary
from tests.support.lab import UNIT, Run

CONFIG = "/etc/kubernetes/kube-scheduler.yaml"
CREDENTIAL = f"/run/credentials/{UNIT}/config"
# The secret itself must not be on a command line, because Ansible logs each command.
READABLE_FILES = f"""
umask 077
sed --quiet 's/.*keyData: "\\?\\([^"]*\\).*/\\1/p' {CONFIG} > /root/secret
test -s /root/secret || echo "the secret was not found"
find / /run /tmp -xdev -type f -perm /077 -size -32M -exec grep --files-with-matches --fixed-strings --file=/root/secret {{}} +
rm /root/secret
"""
"""A script that prints the files with the secret that other users can read."""


@pytest.fixture
def secret(lab: Any) -> Iterator[str]:
    """Return the key data of an extender as an argument. Restore the cluster at the end."""
    yield canary.extender()[1]
    lab.start_anew()


def with_secret(directory: Path, **variables: Any) -> str:
    """Return variables with the secret as an argument. The variables are in a private file."""
    path = directory / "vars.json"
    path.touch(0o600)
    path.write_text(json.dumps({"kube_scheduler_config": canary.extender()[0], **variables}))
    return f"--extra-vars=@{path}"


def is_clean(secret: str, text: str) -> bool:
    return canary.find_needles(text.encode(), {"key": canary.needles(secret)}) == []


def modes(lab: Any, path: str) -> set[str]:
    return {
        lab.host(name).check_output("stat --format='%%U:%%G %%a' %s", path) for name in lab.names
    }


def succeeded(run: Run, secret: str) -> Run:
    assert run.code == 0, run.output
    assert is_clean(secret, run.output), "the output contains the secret"
    return run


@pytest.mark.nightly
def test_secret_configuration_is_private_and_in_use(
    lab: Any, secret: str, tmp_path: Path, bind_pod: Callable[[], str]
) -> None:
    words = (with_secret(tmp_path), "--diff", "-vvvvv")
    preview = succeeded(lab.site(*words, "--check"), secret)
    assert "keyData: (withheld)" in preview.text
    assert modes(lab, CONFIG) == {"root:root 644"}

    succeeded(lab.start_anew(*words), secret)
    assert modes(lab, CONFIG) == {"root:root 600"}
    for name in lab.names:
        host = lab.host(name)
        assert secret in host.file(CONFIG).content_string
        command = host.check_output("ps -ww -o args= -C kube-scheduler")
        assert f"--config={CREDENTIAL}" in command
        assert host.file(CREDENTIAL).content_string == host.file(CONFIG).content_string
        assert is_clean(secret, command + lab.journal(name, "--lines=all"))
        assert host.run(READABLE_FILES).stdout == ""
    assert bind_pod()
    host = lab.host("m1")
    host.check_output("install --mode=644 %s /tmp/leak", CONFIG)
    assert host.run(READABLE_FILES).stdout.split() == ["/tmp/leak"], "the search finds a leak"
    host.check_output("rm /tmp/leak")

    report = tmp_path / "status.json"
    again = succeeded(lab.site(words[0], f"--extra-vars=status_json={report}"), secret)
    assert set(again.changed.values()) == {0}
    assert is_clean(secret, report.read_text())

    lab.host("m1").check_output("chmod 644 %s", CONFIG)
    lab.host("m2").check_output("sed -i s/keyData:/keyData:\\ x/ %s", CONFIG)
    status = lab.play("playbooks/status.yml", *words)
    assert status.code != 0
    assert f"m1: drift: config: {CONFIG}: mode is 0644, expected 0600" in status.text
    assert f"m2: drift: config: {CONFIG}: content differs" in status.text
    assert is_clean(secret, status.output)

    plain = succeeded(lab.site("--diff"), secret)
    assert all(plain.changed.values())
    assert modes(lab, CONFIG) == {"root:root 644"}
    for name in lab.names:
        host = lab.host(name)
        assert "keyData" not in host.file(CONFIG).content_string
        assert not host.file(CREDENTIAL).exists
        assert f"--config={CONFIG}" in host.check_output("ps -ww -o args= -C kube-scheduler")


@pytest.mark.nightly
def test_secret_configuration_of_style_files_is_readable_by_its_group(
    lab: Any, secret: str, tmp_path: Path
) -> None:
    words = (with_secret(tmp_path, kube_scheduler_kubeconfig_style="files"), "--diff", "-vvvvv")
    succeeded(lab.start_anew(*words), secret)
    assert modes(lab, CONFIG) == {"root:k8s 640"}
    assert set(succeeded(lab.site(*words), secret).changed.values()) == {0}
