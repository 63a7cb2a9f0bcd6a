"""Test the HTML pages of status and drill in a browser: phone and screen, light and dark, paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill import verdict
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.page import (
    render_drill_page,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import status
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.page import (
    COLUMNS,
    render_status_page,
)
from selenium.common.exceptions import NoAlertPresentException

from tests.page.conftest import Browser
from tests.support.clusters import (
    HOSTILE,
    certificate,
    cluster,
    document,
    hostile,
    member,
    play_scope,
    troubled,
)
from tests.unit.plugins.module_utils._scheduler.drill.test_choice import chosen
from tests.unit.plugins.module_utils._scheduler.drill.test_page import PODS
from tests.unit.plugins.module_utils._scheduler.drill.test_verdict import (
    CRASH,
    TAKEOVER,
    measured,
    report,
)

WIDTHS = (400, 800, 1400)
LONG = "a-hostname-of-a-master-that-is-as-long-as-one-may-be." * 4
SMALLEST = 11.5  # minimum font size in pixels on a screen


def of_drill() -> str:
    return render_drill_page(
        report(measured(TAKEOVER, PODS), journal={"m1": ["a line of a journal " * 20]})
    )


def of_hostile_drill() -> str:
    choice = chosen("kill")
    choice["hostnames"] = {"m1": LONG}
    return render_drill_page(
        verdict.evaluate(
            choice,
            measured(CRASH, PODS),
            time="t",
            unhealthy={LONG: HOSTILE},
            journal={LONG: [LONG * 3]},
        )
    )


def of_long_names() -> str:
    names = (LONG, LONG.upper())
    return render_status_page(
        document(cluster({each: member(each, LONG) for each in names}, play_scope(" ".join(names))))
    )


PAGES: dict[str, Callable[[], str]] = {
    "drill": of_drill,
    "hostile drill": of_hostile_drill,
    "one cluster": lambda: render_status_page(document()),
    "clusters": lambda: render_status_page(troubled(5)),
    "hostile": lambda: render_status_page(hostile()),
    "long names": of_long_names,
    "nothing": lambda: render_status_page(status.build_document([], "2026-01-13T12:00:00Z")),
}


def complaints(result: dict[str, Any]) -> list[str]:
    """Return what is wrong with the display of a page."""
    wrong = [f"console: {entry['message']}" for entry in result["console"]]
    wrong += [f"{result['requests']} requests"] * bool(result["requests"])
    wrong += [f"wider than the window: {result['content']}"] * (
        result["content"] > result["window"]
    )
    for text in result["texts"]:
        large = text["size"] >= 24 or (text["bold"] and text["size"] >= 18.66)
        if text["contrast"] < (3 if large else 4.5):
            wrong.append(f"contrast {text['contrast']:.2f}: {text['text']}")
        if text["size"] < SMALLEST:
            wrong.append(f"{text['size']:.1f} px: {text['text']}")
        if text["out"] > 1:
            wrong.append(f"sticks out by {text['out']:.1f} px: {text['text']}")
    return wrong


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", list(PAGES))
def test_page_fits_the_window_and_is_readable(
    browser: Browser, name: str, width: int, dark: bool
) -> None:
    browser.open(PAGES[name](), width, dark=dark)
    result = browser.look()
    assert complaints(result) == []
    assert len(result["texts"]) > 3
    assert result["window"] == width
    assert result["back"] == ("rgb(18, 22, 28)" if dark else "rgb(255, 255, 255)")
    assert result["drawings"] == (2 if "drill" in name else 0)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ('<div style="width:3000px">x</div>', "wider than the window"),
        ("<p style='color:#999'>pale</p>", "contrast 2.85: pale"),
        ("<p style='font-size:8px'>tiny</p>", "8.0 px: tiny"),
        ("<p style='width:20px;overflow-wrap:normal'>sticking</p>", "sticks out"),
        ("<script>alert(1)</script>", "console: "),
        ('<img src="https://192.0.2.1/x.png">', "console: "),
    ],
)
def test_checks_of_the_page_can_fail(browser: Browser, bad: str, words: str) -> None:
    browser.open(PAGES["one cluster"]().replace("<h1>", f"{bad}<h1>"), 400)
    assert any(line.startswith(words) for line in complaints(browser.look()))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["clusters", "drill"])
def test_paper_is_white(browser: Browser, name: str, dark: bool) -> None:
    browser.open(PAGES[name](), 700, dark=dark, media="print")
    result = browser.look()
    assert result["back"] == "rgb(255, 255, 255)"
    assert [line for line in complaints(result) if not re.match(r"[\d.]+ px", line)] == []
    assert base64.b64decode(browser.pdf()["data"]).startswith(b"%PDF")


# -- content


@pytest.mark.parametrize("width", [400, 1400])
def test_unhealthy_clusters_come_first(browser: Browser, width: int) -> None:
    browser.open(PAGES["clusters"](), width)
    order = [
        "kube-scheduler, 2026-01-13 12:00:00 UTC",
        "✘ Needs attention",
        "2 of 5 clusters",
        "15 members: 1 no result, 1 unhealthy, 2 drift, 11 healthy",
        "east ✘ no result leader: m1 1.37.2 200 days left",
        "west ▲ drift",
        "c000 ✔ healthy",
        (
            "east ✘ no result Leader m1 since 2026-01-01 00:00:00 UTC, for 12 days "
            "Healthy 2 of 4 members Transitions 1"
        ),
        "Failover at most 23.8 s after a crash; 4.4 s after a stop",
        "m4 ✘ no result",
        "m2 ✘ unhealthy",
        "kube-scheduler.service is inactive (dead, result success)",
        "▲ drift 1.37.2 1 hour standby 3000 days until 2036-01-01",
        "drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
        "m1 ✔ healthy 1.37.2 1 hour leader 200 days until 2026-08-01 364 days until 2027-01-12 none",
        "c000 ✔ healthy Leader m1",
    ]
    text, at = browser.text, 0
    for words in order:
        at = text.index(words, at) + 1
    bottom = browser.run("return document.querySelector('.banner').getBoundingClientRect().bottom")
    assert bottom < 300


def test_columns_of_clusters_align_on_a_screen(browser: Browser) -> None:
    browser.open(PAGES["clusters"](), 1400)
    rows = browser.run(
        "return [...document.querySelectorAll('.members tr:not(.why)')]"
        ".map(r => [...r.cells].map(c => Math.round(c.getBoundingClientRect().left)))"
    )
    assert len(rows) > 15
    assert len({tuple(row) for row in rows}) == 1
    tops = browser.run(
        "return [...document.querySelectorAll('.tiles')]"
        ".map(t => [...new Set([...t.children].map(c => c.getBoundingClientRect().top))].length)"
    )
    assert set(tops) == {1}


def test_member_is_a_card_with_labels_on_a_phone(browser: Browser) -> None:
    browser.open(PAGES["one cluster"](), 400)
    assert (
        browser.run("return getComputedStyle(document.querySelector('.members thead')).display")
        == "none"
    )
    names = browser.run(
        "return [...document.querySelector('.members tbody tr').cells]"
        ".map(c => getComputedStyle(c, '::before').content)"
    )
    assert names == [
        "none",
        *(f'"{name}"' for name in list(COLUMNS)[1:]),
    ]
    boxes = browser.run(
        "return [...document.querySelectorAll('.members tbody')]"
        ".map(b => b.getBoundingClientRect()).map(r => [r.left, r.right, r.top, r.bottom])"
    )
    assert len(boxes) == 3
    assert all(before[3] <= after[2] for before, after in zip(boxes, boxes[1:]))


@pytest.mark.parametrize("width", [400, 1400])
def test_bar_length_shows_the_days_until_expiry(browser: Browser, width: int) -> None:
    answer = member("m1")
    answer["probes"] = {**answer["probes"], "served": certificate(73), "used": certificate(-3)}
    browser.open(render_status_page(document(cluster({"m1": answer}, play_scope("m1")))), width)
    bars = browser.run(
        "return [...document.querySelectorAll('.bar')]"
        ".map(b => [...b.children].map(r => r.getBoundingClientRect().width))"
    )
    assert [round(left / whole, 2) for whole, left, _mark in bars] == [0.2, 0]
    assert all(whole > 90 for whole, _left, _mark in bars)
    colours = browser.run(
        "return [...document.querySelectorAll('.bar rect:nth-child(2)')]"
        ".map(r => getComputedStyle(r).fill)"
    )
    assert colours == ["rgb(26, 119, 64)", "rgb(185, 43, 43)"]


def test_markup_of_a_hostile_host_is_only_text(browser: Browser) -> None:
    browser.open(PAGES["hostile"](), 1400)
    with pytest.raises(NoAlertPresentException):
        str(browser.driver.switch_to.alert.text)
    assert browser.run("return document.querySelectorAll('script, img, [onerror]').length") == 0
    assert browser.text.count(HOSTILE) > 8


def test_page_of_a_hundred_clusters_stays_small(browser: Browser) -> None:
    """The page of 100 clusters stays small. Each card of the overview links to its cluster."""
    page = render_status_page(troubled(100))
    assert len(page) < 1_000_000
    browser.open(page, 400)
    assert complaints(browser.look()) == []
    assert browser.run("return document.querySelectorAll('section').length") == 100
    browser.run("document.querySelectorAll('.clusters a')[99].click()")
    assert re.search(r"#c99$", browser.driver.current_url)
    assert (
        abs(browser.run("return document.querySelector('#c99').getBoundingClientRect().top")) < 900
    )


def test_journals_can_be_opened(browser: Browser) -> None:
    browser.open(PAGES["clusters"](), 1400)
    line = "kube-scheduler.service: Deactivated successfully."
    assert line not in browser.text
    browser.run("document.querySelector('summary').click()")
    assert line in browser.text
