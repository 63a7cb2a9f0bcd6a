"""The page of a drill's report in a real browser: it fits a phone and a screen, and the browser has nothing to complain of."""

from __future__ import annotations

import html
import re
import subprocess
from pathlib import Path

import pytest
from ansible_collections.kube_ha.scheduler.plugins.module_utils._scheduler import drill, drill_page

from tests.unit.plugins.module_utils.test__scheduler_drill import CRASH, TAKEOVER, chosen, report, saw
from tests.unit.plugins.module_utils.test__scheduler_drill_page import HOSTILE, PODS

WIDTHS = (400, 800, 1400)
LONG = "a-hostname-of-a-master-that-is-as-long-as-one-may-be." * 4
# A page of the test's own has the other one in a frame of that width, and says how wide its content is.
FRAME = """<!DOCTYPE html><iframe style="border:0;width:{width}px;height:800px" srcdoc="{page}"></iframe><p id=said></p><script>
onload = () => {{ const d = document.querySelector("iframe").contentDocument, e = d.documentElement;
  const shown = [...d.querySelectorAll("svg")].filter(s => s.getBoundingClientRect().width > 0);
  const small = shown.flatMap(s => [...s.querySelectorAll("text")]).filter(x => x.getBoundingClientRect().height < 9);
  said.textContent = `said ${{e.scrollWidth}} ${{e.clientWidth}} ${{shown.length}} ${{small.length}}`; }}
</script>"""


def chromium(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    own = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}"]
    own += ["--enable-logging=stderr", "--disable-background-networking", "--disable-component-update"]
    done = subprocess.run(
        ["chromium", *own, *words], capture_output=True, text=True, errors="replace", check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done


def measured(folder: Path, text: str, width: int) -> tuple[int, int, int, int]:
    """Width of the content and of the window, drawings that are shown, texts in them that are too small to read."""
    path = folder / "frame.html"
    path.write_text(FRAME.format(width=width, page=html.escape(text)))
    said = re.search(r"said (\d+) (\d+) (\d+) (\d+)", chromium(folder, "--dump-dom", path.as_uri()).stdout)
    assert said
    content, window, drawings, small = map(int, said.groups())
    return content, window, drawings, small


def complaints(folder: Path, text: str, width: int) -> list[str]:
    path = folder / "page.html"
    path.write_text(text)
    shot = f"--screenshot={folder / 'page.png'}"
    done = chromium(folder, shot, f"--window-size={width},1200", path.as_uri())
    assert (folder / "page.png").stat().st_size > 1000
    return [line for line in done.stderr.splitlines() if ":CONSOLE" in line]


def pages() -> dict[str, str]:
    well = report(saw(TAKEOVER, PODS), journal={"m1": ["a line of a journal " * 20]})
    choice = chosen("kill")
    choice["hostnames"] = {"m1": LONG}
    long = drill.evaluate(choice, saw(CRASH, PODS), time="t", sick={LONG: HOSTILE}, journal={LONG: [LONG * 3]})
    return {"well": drill_page.page(well), "long and hostile": drill_page.page(long)}


@pytest.mark.parametrize("name", list(pages()))
@pytest.mark.parametrize("width", WIDTHS)
def test_it_fits_and_nothing_is_wrong(name: str, width: int, tmp_path: Path) -> None:
    text = pages()[name]
    content, window, drawings, small = measured(tmp_path, text, width)
    assert window == width
    assert content <= window
    assert (drawings, small) == (2, 0)
    assert complaints(tmp_path, text, width) == []


def test_these_checks_can_fail(tmp_path: Path) -> None:
    bad = pages()["well"].replace("<h1>", '<div style="width:3000px">x</div><script>alert(1)</script><h1>')
    content, window, _drawings, _small = measured(tmp_path, bad, 400)
    assert content > window
    assert complaints(tmp_path, bad, 400)
