"""Test rotate.yml with its defaults. The Molecule scenario `rotate` has the remaining tests."""

from __future__ import annotations

from typing import Any

from tests.support import rotation


def test_rotation_issues_new_pairs(lab: Any) -> None:
    """With the default kubeconfig style, a rotation is a rollout with one lease transition.

    Without further settings, the new certificates are valid for longer than their CA.
    """
    previous = {name: rotation.lying(lab, name) for name in lab.names}
    keys = rotation.keys(lab)
    result = rotation.rotated(lab, "leaf", *rotation.SHORT, transitions=1)
    rotation.in_use(lab, previous)
    assert not {*keys.values()} & {*rotation.keys(lab).values()}
    lines = result.run.output.splitlines()
    rows = [line for line in lines if line.startswith(tuple(lab.names)) and " pair " in line]
    assert len(rows) == 6, "a table before and one after"
    assert all("served and used" in row for row in rows)
