# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Record a terminal in asciinema's format (version 2) and draw a recording as an animated SVG.

    python3 lab/record.py record drill.cast 'ansible-playbook -i .lab/inventory.yml …'
    python3 lab/record.py draw drill.cast docs/drill-recording.svg

The script needs only the standard library. The drawing supports colors and line ends, but no other
cursor movement. The recording shows the current directory as ~/scheduler.
"""

from __future__ import annotations

import argparse
import codecs
import html
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Callable
from fcntl import ioctl
from pathlib import Path

COLUMNS, ROWS = 100, 30
CHAR, LINE, FONT, EDGE = 8.0, 18, 13, 12
MAX_IDLE_S = 1.2  # a longer pause is shortened to this time in the drawing
END = 4.0  # number of seconds that the last frame remains visible
PLACE = "~/scheduler"
COLORS = ["#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#dcdfe4"]
ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[^\[]")


def record(path: Path, commands: list[str]) -> int:
    """Run the commands in turn, each after a prompt, and write the terminal output."""
    started = time.monotonic()
    with path.open("w", encoding="utf-8") as file:
        header = {
            "version": 2,
            "width": COLUMNS,
            "height": ROWS,
            "env": {"TERM": "xterm-256color", "SHELL": "/bin/sh"},
        }
        file.write(json.dumps(header) + "\n")

        def write(text: str) -> None:
            text = text.replace(os.getcwd(), PLACE)
            sys.stdout.write(text)
            sys.stdout.flush()
            file.write(
                json.dumps([round(time.monotonic() - started, 3), "o", text], ensure_ascii=False)
                + "\n"
            )

        for command in commands:
            write("\x1b[1;32m$\x1b[0m ")
            for word in re.findall(r"\S+\s*", command):
                time.sleep(0.12)
                write(word)
            write("\r\n")
            code = run(command, write)
            if code:
                return code
        write("\x1b[1;32m$\x1b[0m \r\n")
    return 0


def run(command: str, write: Callable[[str], None]) -> int:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["ANSIBLE_FORCE_COLOR"] = "1"
        os.execv("/bin/sh", ["/bin/sh", "-c", command])
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        select.select([terminal], [], [])
        try:
            data = os.read(terminal, 65536)
        except OSError:  # on Linux, this error means that the other end is closed
            data = b""
        if not data:
            break
        write(decoder.decode(data))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Screen:
    """Render terminal output as lines of styled pieces. A line that is too long wraps."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[list[tuple[str, str]]] = [[]]
        self.style = ""

    def write(self, text: str) -> None:
        at = 0
        for escape in ESCAPE.finditer(text):
            self._plain(text[at : escape.start()])
            at = escape.end()
            if escape[2] == "m":
                self._restyle(escape[1])
        self._plain(text[at:])

    def _plain(self, text: str) -> None:
        for part in re.split(r"(\r\n|\n)", text):
            if part in ("\r\n", "\n"):
                self.lines.append([])
                continue
            left = "".join(char for char in part if char.isprintable())
            while left:
                room = self.columns - sum(len(piece) for piece, _style in self.lines[-1])
                if room <= 0:
                    self.lines.append([])
                    continue
                self.lines[-1].append((left[:room], self.style))
                left = left[room:]

    def _restyle(self, codes: str) -> None:
        for code in [int(word) for word in codes.split(";") if word.isdigit()] or [0]:
            if code == 0:
                self.style = ""
            elif code == 1:
                self.style = f"{self.style} b".strip()
            elif 30 <= code <= 37 or 90 <= code <= 97:
                bold = "b " if "b" in self.style.split() else ""
                self.style = f"{bold}c{code % 10}"


def draw(source: Path, target: Path) -> int:
    """Draw all lines below one another as an SVG.

    The animation moves the visible window, so that its last line is always the newest line.
    """
    header, *events = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    screen = Screen(int(header["width"]))
    now = last = 0.0
    moments: list[tuple[float, int]] = []
    for at, kind, text in events:
        if kind != "o":
            continue
        now += min(at - last, MAX_IDLE_S)
        last = at
        screen.write(text)
        moments.append((now, len(screen.lines)))
    rows, whole = int(header["height"]), now + END
    width, height = screen.columns * CHAR + 2 * EDGE, rows * LINE + 2 * EDGE
    frames = ["0%{transform:translateY(0)}"]
    hidden = 0
    for at, count in moments:
        if count != hidden:
            hidden = count
            frames.append(f"{at / whole * 100:.3f}%{{transform:translateY({-count * LINE}px)}}")
    frames.append(f"100%{{transform:translateY({-hidden * LINE}px)}}")
    texts = []
    for number, line in enumerate(screen.lines):
        pieces = "".join(
            f'<tspan class="{style}">{html.escape(piece)}</tspan>' if style else html.escape(piece)
            for piece, style in line
        )
        if pieces:
            texts.append(f'<text x="{EDGE}" y="{(number + 1) * LINE - 4}">{pieces}</text>')
    colors = "".join(f".c{number}{{fill:{color}}}" for number, color in enumerate(COLORS))
    style = (
        f"text{{font:{FONT}px ui-monospace,Menlo,Consolas,monospace;fill:#dcdfe4;white-space:pre}}"
        f".b{{font-weight:700}}{colors}"
        f"#run{{transform:translateY({-hidden * LINE}px)}}"
        "@media (prefers-reduced-motion:no-preference)"
        f"{{#run{{animation:run {whole:.1f}s step-end infinite}}}}"
        f"@keyframes run{{{''.join(frames)}}}"
    )
    target.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}"'
        f' width="{width:g}" height="{height}" role="img">'
        f"<title>A terminal recording</title><style>{style}</style>"
        '<rect width="100%" height="100%" rx="8" fill="#21252b"/>'
        '<clipPath id="window">'
        f'<rect y="{EDGE}" width="{width:g}" height="{rows * LINE}"/></clipPath>'
        f'<g clip-path="url(#window)"><g transform="translate(0 {EDGE + rows * LINE})">'
        f'<g id="run">{"".join(texts)}</g></g></g></svg>\n',
        encoding="utf-8",
    )
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="run commands and write a .cast file")
    recording.add_argument("cast", type=Path)
    recording.add_argument("shell", nargs="+")
    drawing = commands.add_parser("draw", help="draw a .cast file as SVG")
    drawing.add_argument("cast", type=Path)
    drawing.add_argument("svg", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "record":
        return record(arguments.cast, arguments.shell)
    return draw(arguments.cast, arguments.svg)


if __name__ == "__main__":
    sys.exit(main())
