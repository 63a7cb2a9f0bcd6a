"""The page of a drill's report in a real browser: it fits a phone and a screen, and the browser has nothing to complain of."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import drill, drill_page

from tests.unit.plugins.module_utils.test__scheduler_drill import CRASH, TAKEOVER, chosen, report, saw
from tests.unit.plugins.module_utils.test__scheduler_drill_page import HOSTILE, PODS

WIDTHS = (400, 800, 1400)
LONG = "a-hostname-of-a-master-that-is-as-long-as-one-may-be." * 4
# A page of the test's own has the other one in frames of these widths, and says how wide its content is in each.
FRAME = '<iframe style="border:0;width:{width}px;height:800px" srcdoc="{page}"></iframe>'
FRAMES = """<!DOCTYPE html>{frames}<p id=said></p><script>
onload = () => {{ for (const frame of document.querySelectorAll("iframe")) {{
  const d = frame.contentDocument, e = d.documentElement;
  const shown = [...d.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().width > 0);
  const small = shown.flatMap(s => [...s.querySelectorAll("text")]).filter(x => x.getBoundingClientRect().height < 9);
  said.textContent += `said ${{e.scrollWidth}} ${{e.clientWidth}} ${{shown.length}} ${{small.length}} `; }} }}
</script>"""


def chromium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    own += ["--enable-logging=stderr", "--disable-background-networking", "--disable-component-update"]
    done = subprocess.run(
        ["chromium", *own, *words], capture_output=True, text=True, errors="replace", check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


class Looked(NamedTuple):
    """Of each width: that of the content and of the window, drawings that are shown, texts in them that are too small to read."""

    figures: list[tuple[int, ...]]
    complaints: list[str]


def looked(folder: Path, text: str) -> Looked:
    path = folder / "frames.html"
    frames = "".join(FRAME.format(width=width, page=html.escape(text)) for width in WIDTHS)
    path.write_text(FRAMES.format(frames=frames))
    done = chromium(folder, "--dump-dom", path.as_uri())
    said = re.findall(r"said (\d+) (\d+) (\d+) (\d+) ", done.stdout)
    return Looked([tuple(map(int, words)) for words in said], complaints(done))


def complaints(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def pages() -> dict[str, str]:
    well = report(saw(TAKEOVER, PODS), journal={"m1": ["a line of a journal " * 20]})
    choice = chosen("kill")
    choice["hostnames"] = {"m1": LONG}
    long = drill.evaluate(choice, saw(CRASH, PODS), time="t", sick={LONG: HOSTILE}, journal={LONG: [LONG * 3]})
    return {"well": drill_page.page(well), "long and hostile": drill_page.page(long)}


@pytest.mark.parametrize("name", list(pages()))
def test_it_fits_and_nothing_is_wrong(name: str, tmp_path: Path) -> None:
    """In frames of three widths, and as the whole of a window."""
    text = pages()[name]
    figures, said = looked(tmp_path, text)
    assert said == []
    assert len(figures) == len(WIDTHS)
    for width, (content, window, drawings, small) in zip(WIDTHS, figures):
        assert window == width
        assert content <= window
        assert (drawings, small) == (2, 0)
    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(text)
    done = chromium(tmp_path, f"--screenshot={shot}", f"--window-size={WIDTHS[0]},1200", path.as_uri())
    assert shot.stat().st_size > 1000
    assert complaints(done) == []


def test_these_checks_can_fail(tmp_path: Path) -> None:
    bad = pages()["well"].replace("<h1>", '<div style="width:3000px">x</div><script>alert(1)</script><h1>')
    figures, said = looked(tmp_path, bad)
    assert len(said) == len(WIDTHS)
    for content, window, _drawings, _small in figures:
        assert content > window
