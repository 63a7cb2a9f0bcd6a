"""Test the status page: self-contained, safe, in order, and with readable colors."""

from __future__ import annotations

import re

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import markup as shared
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.drill.page import (
    DIAGRAM_STYLE,
)
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report import status
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler.report.page import (
    render_status_page,
)

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
from tests.unit.plugins.module_utils._scheduler.drill.test_page import Tree


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", " ".join(Tree(page).texts[1:]))


@pytest.mark.parametrize(
    "found", [document(), troubled(), hostile(), status.build_document([], "t")]
)
def test_page_needs_no_other_file(found: status.StatusDocument) -> None:
    page = render_status_page(found)
    tree = Tree(page)
    names = {tag for tag, _attributes in tree.tags}
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
    ids = {attributes["id"] for _tag, attributes in tree.tags if "id" in attributes}
    for tag, attributes in tree.tags:
        assert not any(name.startswith("on") or name == "style" for name in attributes), tag
        assert not {"src", "srcset", "xlink:href"} & set(attributes), tag
        href = attributes.get("href") or "data:,"
        assert href == "data:," or href.removeprefix("#") in ids, href
    assert "default-src 'none'" in page
    assert not re.search(r"url\(|@import|@font-face", page)


def test_page_of_a_healthy_cluster_shows_its_state() -> None:
    text = text_of(render_status_page(document()))
    for words in (
        "kube-scheduler, 2026-01-13 12:00:00 UTC",
        "✔ Healthy 3 members: 3 healthy",
        "kube_masters ✔ healthy",
        "Leader m1 since 2026-01-01 00:00:00 UTC, for 12 days",
        "Healthy 3 of 3 members",
        "Transitions 1 changes of the leader",
        "Certificates 3000 days first expiry",
        "Version 1.37.2",
        "Failover at most 23.8 s after a crash; 4.4 s after a stop",
        "m2 ✔ healthy 1.37.2 1 hour standby 3000 days until 2036-01-01 3000 days until 2036-01-01 none",
    ):
        assert words in text


def test_unhealthy_clusters_and_members_come_first_with_reasons() -> None:
    page = render_status_page(troubled())
    text = text_of(page)
    assert (
        "✘ Needs attention 2 of 3 clusters 9 members: 1 no result, 1 unhealthy, 2 drift, 5 healthy"
        in text
    )
    places = [
        page.index(f'<section id="c{number}"><h2>{name} ')
        for number, name in enumerate(("east", "west", "c000"))
    ]
    assert places == sorted(places)
    east = text_of(page)[text.index("east ✘ no result Leader") :]
    reasons = [
        "m4 ✘ no result",
        "kube-scheduler.service is inactive (dead, result success)",
        "drift: config: /etc/kubernetes/kube-scheduler.yaml: content differs",
        "m1 ✔ healthy",
        "m1: no credentials",
        "kube-scheduler.service: Deactivated successfully.",
    ]
    found = [east.index(words) for words in reasons]
    assert found == sorted(found)
    assert "expired 3 days ago" in text
    assert "not compared" in text_of(render_status_page(document(cluster(m1={"errors": ["x"]}))))


@pytest.mark.parametrize(("count", "cards"), [(1, 0), (2, 2), (100, 100)])
def test_several_clusters_have_an_overview(count: int, cards: int) -> None:
    found = document(*(cluster(name=f"c{number}") for number in range(count)))
    page = render_status_page(found)
    assert page.count("<section") == count
    assert page.count('<li><a class="good" href="#c') == cards


@pytest.mark.parametrize(
    ("days", "look", "width"),
    [(364, "good", 99.7), (31, "good", 8.5), (30, "warn", 8.2), (0, "warn", 0), (-3, "bad", 0)],
)
def test_bar_shows_the_days_until_expiry(days: int, look: str, width: float) -> None:
    """The bar shows the days until expiry and is full at issuance.

    After the mark on the bar, the certificate is due for renewal.
    """
    answer = member("m1")
    answer["probes"] = {**answer["probes"], "served": certificate(days), "used": None}
    page = render_status_page(document(cluster({"m1": answer}, play_scope("m1"))))
    [drawn] = re.findall(r'<svg class="bar".*?</svg>', page)
    assert f'<rect class="{look}" width="{width:g}" height="8"/>' in drawn
    assert '<rect class="due" x="8.2"' in drawn
    assert f'class="is-{look}">{days} day' in page or days < 0


def test_markup_from_a_host_is_only_text() -> None:
    tree = Tree(render_status_page(hostile()))
    assert not {tag for tag, _attributes in tree.tags} & {"script", "img"}
    assert not any("onerror" in attributes for _tag, attributes in tree.tags)
    assert "".join(tree.texts).count(HOSTILE) > 15
    for value in re.findall(r' (?:width|x)="([^"]+)"', render_status_page(hostile())):
        assert 0 <= float(value) <= 100


# --- Colors: WCAG 2.1, 1.4.3, level AA. `make page` checks the displayed colors in a browser.

ON_PAGE = ("text", "dim", "good", "warn", "bad")
THEMES = {"light": r"^:root \{(.*?)\}", "dark": r"dark\) \{ :root \{(.*?)\}"}


def luminance(color: str) -> float:
    digits = color.lstrip("#")
    digits = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def theme(name: str, style: str) -> dict[str, str]:
    [body] = re.findall(THEMES[name], style, re.DOTALL | re.MULTILINE)
    return dict(re.findall(r"--([a-z]+): (#[0-9a-f]+)", body))


@pytest.mark.parametrize("name", list(THEMES))
def test_contrast_of_the_colors_is_sufficient(name: str) -> None:
    colors = theme(name, shared.BASE_STYLE)
    for text in ON_PAGE:
        for back in ("back", "panel"):
            assert contrast(colors[text], colors[back]) >= 4.5, (text, back)
    for name_of_color, value in theme(name, DIAGRAM_STYLE).items():
        # Only the colors `none` and `bound` are colors of text. All other colors are colors of
        # drawings.
        assert contrast(value, colors["back"]) >= (
            4.5 if name_of_color in ("none", "bound") else 3
        ), name_of_color
    fills = re.findall(r"background: (#[0-9a-f]{6})", shared.BASE_STYLE)
    assert len(fills) == 3
    assert all(contrast("#fff", fill) >= 4.5 for fill in fills)


def test_contrast_of_known_colors() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#fff") == pytest.approx(4.54, abs=0.01)
