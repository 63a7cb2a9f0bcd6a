"""Test the page of a drill report: self-contained, safe, with the result on top."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import (
    verdict,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.page import (
    render_drill_page,
)

from tests.unit.plugins.module_utils._scheduler.drill.test_choice import chosen
from tests.unit.plugins.module_utils._scheduler.drill.test_verdict import (
    CRASH,
    TAKEOVER,
    measured,
    record,
    report,
)

PODS = [verdict.DrillPod(f"p{n}", 98 + n / 4, 98.1 + n / 4, "n1", 1) for n in range(20)]
VOID = {"meta", "link"}


class Tree(HTMLParser):
    """Check that all tags are closed, and collect tags and texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_page_is_self_contained() -> None:
    text = render_drill_page(report(measured(TAKEOVER, PODS), journal={"m1": ["lost"], "m2": []}))
    tree = Tree(text)
    names = {tag for tag, _attributes in tree.tags}
    assert "svg" in names
    assert not names & {
        "script",
        "iframe",
        "object",
        "embed",
        "img",
        "form",
        "base",
        "image",
        "use",
        "foreignobject",
    }
    for tag, attributes in tree.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "xlink:href", "srcset"):
            assert attributes.get(name) in (None, "data:,"), tag
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|@font-face", text)


def test_result_is_in_banner() -> None:
    good, bad = (
        render_drill_page(report(measured(samples)))
        for samples in (TAKEOVER, [record(99, "m1.example_x")])
    )
    assert Tree(good).texts.index("✔ Passed")
    assert "m1 led and was stopped; m2 leads after 1.3 s, bound 5.4 s" in good
    assert "✘ Failed" in bad
    assert "no member took the lease within" in bad


@pytest.mark.parametrize("took", [1.3, 30.0, 5_000.0, 200_000.0, 3e9])
def test_grid_has_round_numbers_for_any_duration(took: float) -> None:
    """The grid has round numbers for any duration.

    Each diagram has a few lines at round numbers of seconds.
    """
    samples = [record(99, "m1.example_x"), record(100 + took, "m2.example_y", 2)]
    texts = Tree(render_drill_page(report(measured(samples)))).texts
    ticks = [float(text[:-2]) for text in texts if re.fullmatch(r"-?[0-9.e+]+ s", text)]
    assert 6 < len(ticks) < 90
    assert all(float(f"{tick:.1e}") == tick for tick in ticks), ticks


HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'`"


def test_markup_of_a_hostile_host_is_text() -> None:
    samples = [record(99, HOSTILE), record(101, HOSTILE + "2", 2), record(102, HOSTILE + "2", 2)]
    pods = [verdict.DrillPod(HOSTILE, 99, 99.1, HOSTILE, 1)]
    choice = chosen()
    choice["hostnames"] = {"m1": HOSTILE}
    found = report(
        measured(samples, pods), choice, unhealthy={HOSTILE: HOSTILE}, journal={HOSTILE: [HOSTILE]}
    )
    found["notes"].append(HOSTILE)
    text = render_drill_page(found)
    tree = Tree(text)
    assert not {tag for tag, _attributes in tree.tags} & {"script", "img"}
    assert not any("onerror" in attributes for _tag, attributes in tree.tags)
    assert HOSTILE in "".join(tree.texts)


@pytest.mark.parametrize(
    "measurement",
    [
        measured([], ended=101),
        measured(CRASH),
        measured([record(99, "a"), record(100.5, "")], ended=4000),
        measured(TAKEOVER, [verdict.DrillPod(f"p{n}", 99 + n / 100) for n in range(500)]),
    ],
)
def test_diagram_stays_within_its_size(measurement: verdict.Measurement) -> None:
    text = render_drill_page(report(measurement))
    for width, height, drawing in re.findall(
        r'viewBox="0 0 (\d+) (\d+)"[^>]*>(.*?)</svg>', text, re.DOTALL
    ):
        for x in re.findall(r' x[12]?="([^"]+)"', drawing):
            assert 0 <= float(x) <= int(width)
        for y in re.findall(r' y[12]?="([^"]+)"', drawing):
            assert 0 <= float(y) <= int(height)
        assert 0 < drawing.count("grid") < 30


def test_page_of_standbys_shows_no_bound() -> None:
    kept = [
        record(at, "m1.example_12345678-1234-1234-1234-123456789001") for at in (99, 101, 103, 105)
    ]
    text = render_drill_page(report(measured(kept), chosen("kill", ("m2",))))
    assert "the leader was not a target" in text
    assert '<rect x="0' not in text
    assert "bound 24.8" not in re.sub(r"<table>.*</table>", "", text, flags=re.DOTALL)
