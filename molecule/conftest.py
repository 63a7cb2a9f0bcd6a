"""Fixtures for the tests of all Molecule scenarios."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

os.environ.setdefault("LAB_NAME", "kube-ha-test")

from tests.support.lab import Lab, wait_for
from tests.support.upgrade import CRASHED

PATIENCE = 10

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
    """Return a function that creates a pod and returns its node.

    The function waits up to ten seconds for the node. The fixture removes the pods after the test.
    In rare cases, the previous leader cannot release the lease. Then the pod waits until the lease
    has expired.
    """
    made: list[str] = []

    def bind() -> str:
        name, began = f"smoke-{time.monotonic_ns()}", time.time()
        lab.kubectl("create", "--filename=-", stdin=POD.format(name=name))
        made.append(name)

        def node() -> str:
            return lab.kubectl("get", "pod", name, "--output=jsonpath={.spec.nodeName}")

        try:
            return str(wait_for(node, PATIENCE))
        except AssertionError:
            print(lab.lease(), *map(lab.journal, lab.names), sep="\n")
            if not lab.not_given_back(began - CRASHED):
                raise
        return str(wait_for(node, CRASHED))

    yield bind
    for name in made:
        lab.kubectl("delete", "pod", name, "--grace-period=0", "--force")
