"""Fixtures of every scenario's tests."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

os.environ.setdefault("LAB_NAME", "kube-ha-test")

from tests.support.lab import Lab, wait_for

POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default}}
spec:
  containers: [{{name: pause, image: none.invalid/pause}}]
"""


@pytest.fixture(scope="session")
def lab() -> Lab:
    return Lab()


@pytest.fixture
def bind_pod(lab: Lab) -> Iterator[Callable[[], str]]:
    """A function that makes a pod and returns the node that it gets within ten seconds. The pods are removed."""
    made: list[str] = []

    def bind() -> str:
        name = f"smoke-{time.monotonic_ns()}"
        lab.kubectl("create", "--filename=-", stdin=POD.format(name=name))
        made.append(name)
        try:
            return str(wait_for(lambda: lab.kubectl("get", "pod", name, "--output=jsonpath={.spec.nodeName}"), 10))
        except AssertionError:
            print(lab.lease(), *map(lab.journal, lab.names), sep="\n")
            raise

    yield bind
    for name in made:
        lab.kubectl("delete", "pod", name, "--grace-period=0", "--force")
