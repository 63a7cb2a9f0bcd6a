"""rotate.yml with its defaults; the scenario rotate has the rest."""

from __future__ import annotations

from typing import Any

from tests.support import rotation


def test_new_pairs(lab: Any) -> None:
    """With the default style, which takes a rollout: the lease changes hands once. They last longer than their CA unless told otherwise."""
    former = {name: rotation.lying(lab, name) for name in lab.names}
    keys = rotation.keys(lab)
    found = rotation.rotated(lab, "leaf", *rotation.SHORT, transitions=1)
    rotation.in_use(lab, former)
    assert not {*keys.values()} & {*rotation.keys(lab).values()}
    rows = [line for line in found.run.output.splitlines() if " pair " in line]
    assert len(rows) == 6, "a table before and one after"
    assert all("served and used" in row for row in rows)
