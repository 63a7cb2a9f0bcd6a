"""Display a page in headless Chromium, at any width, light or dark, on screen or paper."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# For each displayed text, the script returns the size, the contrast with the background, and the
# pixels outside of the element.
LOOK = r"""
const number = text => (text.match(/[\d.]+/g) || []).map(Number);
const luminance = ([r, g, b]) => [r, g, b].map(p => p / 255)
  .map(p => p <= 0.04045 ? p / 12.92 : ((p + 0.055) / 1.055) ** 2.4)
  .reduce((sum, p, i) => sum + p * [0.2126, 0.7152, 0.0722][i], 0);
const behind = e => { for (; e; e = e.parentElement) {
  const c = number(getComputedStyle(e).backgroundColor); if (c.length == 3 || c[3] > 0) return c; }
  return [255, 255, 255]; };
const texts = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, parent = node.parentElement;
  const style = getComputedStyle(parent), range = document.createRange();
  range.selectNodeContents(node);
  const shown = [...range.getClientRects()].filter(r => r.width > 0);
  if (!node.data.trim() || !shown.length || style.visibility == "hidden") continue;
  const drawn = !!parent.closest("svg"), back = behind(parent);
  const colour = number(drawn ? style.fill : style.color);
  const [dark, light] = [luminance(colour), luminance(back)].sort((a, b) => a - b);
  let box = parent;
  while (!drawn && getComputedStyle(box).display == "inline") box = box.parentElement;
  const edge = (drawn ? document.documentElement : box).getBoundingClientRect();
  texts.push({
    text: node.data.trim().slice(0, 60),
    size: parseFloat(style.fontSize) * (drawn ? parent.getScreenCTM().a : 1),
    bold: style.fontWeight >= 600,
    contrast: (light + 0.05) / (dark + 0.05),
    out: Math.max(...shown.map(r => Math.max(r.right - edge.right, edge.left - r.left)))});
}
const root = document.documentElement;
return {texts, content: root.scrollWidth, window: root.clientWidth,
  back: getComputedStyle(document.body).backgroundColor,
  drawings: [...document.querySelectorAll("figure svg")]
    .filter(s => s.getBoundingClientRect().width > 0).length,
  requests: performance.getEntriesByType("resource").length};
"""


class Browser:
    """Control Chromium with an open page."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for word in (
            "headless",
            "no-sandbox",
            "disable-gpu",
            "hide-scrollbars",
            "disable-background-networking",
        ):
            options.add_argument(f"--{word}")
        options.add_argument(f"--user-data-dir={folder / 'profile'}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))

    def open(self, page: str, width: int, *, dark: bool = False, media: str = "screen") -> None:
        path = self.folder / "page.html"
        path.write_text(page)
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": [scheme]}
        )
        self.driver.get(path.as_uri())

    def look(self) -> dict[str, Any]:
        result: dict[str, Any] = self.driver.execute_script(LOOK)
        return {**result, "console": self.driver.get_log("browser")}

    def run(self, script: str) -> Any:
        return self.driver.execute_script(script)

    @property
    def text(self) -> str:
        """Return the visible text of the page, with collapsed white space."""
        return " ".join(self.run("return document.body.innerText").split())

    def pdf(self) -> dict[str, Any]:
        result: dict[str, Any] = self.driver.execute_cdp_cmd(
            "Page.printToPDF", {"printBackground": False}
        )
        return result


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    result = Browser(tmp_path_factory.mktemp("browser"))
    yield result
    result.driver.quit()
