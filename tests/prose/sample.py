"""Print random sentences for a reader who evaluates them: `python3 -m tests.prose.sample --seed 1`.

The seed determines the sample. Each kind of text has a fixed share of the sample, regardless of its
number of sentences.
"""

from __future__ import annotations

import argparse
import random
import re
from collections import defaultdict

from tests.prose import extract

SHARES = {"pages": 30, "tasks": 10, "messages": 20, "comments": 25, "documentation": 15}
"""Percentage of the sample that each kind gets."""
WORD = re.compile(r"[A-Za-z][a-z']+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`\"(\[*])|(?<=:)\s+(?=[A-Z])")
CODE_SPAN = re.compile(r"`[^`]*`|\]\([^)]*\)")


def sentences(text: str) -> list[str]:
    """Split a text into sentences, and omit fragments with fewer than three words outside of code spans."""
    flat = " ".join(text.split())
    parts = SENTENCE_END.split(flat)
    return [part for part in parts if len(WORD.findall(CODE_SPAN.sub("", part))) > 2]


def sample(texts: list[extract.Text], seed: int, count: int) -> list[tuple[str, str, int, str]]:
    """Return (kind, path, line, sentence), by kind, path and line."""
    found: dict[str, list[tuple[str, str, int, str]]] = defaultdict(list)
    for text in texts:
        for sentence in sentences(text.text):
            found[text.kind].append((text.kind, text.path, text.line, sentence))
    chosen = random.Random(seed)
    drawn = []
    for kind, share in SHARES.items():
        drawn += chosen.sample(found[kind], min(len(found[kind]), round(count * share / 100)))
    return sorted(drawn, key=lambda row: (extract.KINDS.index(row[0]), *row[1:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    options = parser.parse_args()
    drawn = sample(list(extract.texts()), options.seed, options.count)
    for number, (kind, path, line, sentence) in enumerate(drawn, 1):
        print(f"{number:>3}. [{kind}] {path}:{line}\n     {sentence}")


if __name__ == "__main__":
    main()
