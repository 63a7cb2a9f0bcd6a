# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Render the common parts of the HTML pages of the collection.

A page is self-contained HTML without scripts, fonts or requests. All text is escaped, because a
hostile host can supply text.
"""

from __future__ import annotations

import html
import typing as t

esc = html.escape
Look = t.Literal["good", "warn", "bad"]
SYMBOLS: dict[Look, str] = {"good": "✔", "warn": "▲", "bad": "✘"}

# Only screens use the dark colors. In both color schemes, banners have white text on one color.
BASE_STYLE = """
:root { color-scheme: light dark; --back: #fff; --text: #1c2430; --dim: #56606f; --line: #d5dbe3; --panel: #f4f6f9;
  --good: #1a7740; --warn: #855000; --bad: #b92b2b; }
@media screen and (prefers-color-scheme: dark) { :root { --back: #12161c; --text: #e4e8ee; --dim: #9aa5b4; --line: #333c49; --panel: #1b212a;
  --good: #4cc081; --warn: #e3a53a; --bad: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; font: 1rem/1.45 system-ui, sans-serif; background: var(--back); color: var(--text);
  overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; color: var(--dim); } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
.banner { margin: .6rem 0 1rem; padding: .9rem 1.1rem; border-radius: .6rem; color: #fff; background: #1a7740; print-color-adjust: exact; }
.warn .banner { background: #855000; } .bad .banner { background: #b92b2b; }
.banner p { margin: .2rem 0 0; font-size: 1.1rem; } .banner .verdict { margin: 0; font-size: 1.7rem; font-weight: 700; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; margin: 0; }
.tiles div { background: var(--panel); border-radius: .5rem; padding: .6rem .8rem; }
.tiles dt { color: var(--dim); font-size: .85rem; } .tiles dd { margin: 0; font-size: 1.5rem; font-weight: 650; }
.tiles small { display: block; font-size: .85rem; font-weight: 400; color: var(--dim); } .tiles .wrong dd { color: var(--bad); }
ul { padding-left: 1.2rem; margin: .3rem 0; } .errors { color: var(--bad); font-weight: 600; }
pre { white-space: pre-wrap; font-size: .8rem; background: var(--panel); padding: .7rem; border-radius: .5rem; margin: .4rem 0; }
table { border-collapse: collapse; } th, td { text-align: left; vertical-align: top; padding: .15rem 1rem .15rem 0; }
th { color: var(--dim); font-weight: 400; }
footer { margin-top: 1.6rem; color: var(--dim); font-size: .85rem; }
@media print { :root { font-size: 12px; } body { padding: 0; max-width: none; } .tiles div, li, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } }
"""


class Tile(t.NamedTuple):
    """A figure of a page, with its name and a note."""

    name: str
    value: str
    more: str = ""
    wrong: bool = False


def render_page(title: str, body: t.Iterable[str], *, look: Look, style: str = "") -> str:
    """Return a complete page. `body` contains HTML, `title` is plain text."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src'
        " 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="icon" href="data:,">\n'
        f"<title>{esc(title)}</title>\n<style>{BASE_STYLE}{style}</style></head>\n"
        f'<body class="{look}">\n' + "\n".join(filter(None, body)) + "\n</body></html>\n"
    )


def banner(look: Look, verdict: str, lines: t.Iterable[str] = ()) -> str:
    """Return the banner with the verdict at the top of a page."""
    paragraphs = "".join(f"<p>{esc(line)}</p>" for line in lines)
    return f'<div class="banner"><p class="verdict">{SYMBOLS[look]} {esc(verdict)}</p>{paragraphs}</div>'


def bullets(name: str, lines: t.Sequence[str]) -> str:
    """Return the lines as an HTML list with the CSS class `name`; "" without lines."""
    return (
        f'<ul class="{name}">{"".join(f"<li>{esc(line)}</li>" for line in lines)}</ul>'
        if lines
        else ""
    )


def tiles(items: t.Iterable[Tile]) -> str:
    """Return the tiles as a grid."""
    cells = [
        f"<div{' class=wrong' if tile.wrong else ''}><dt>{esc(tile.name)}</dt>"
        f"<dd>{esc(tile.value)}<small>{esc(tile.more)}</small></dd></div>"
        for tile in items
    ]
    return f'<dl class="tiles">{"".join(cells)}</dl>'
