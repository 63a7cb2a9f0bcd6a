"""Find the prose of this repository: pages, task names, messages, comments, documentation.

`python3 -m tests.prose.extract DIRECTORY` writes the prose below DIRECTORY, one Markdown file per
source file and kind. Each line keeps its number, so that a report about the copy is valid for the
source.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("pages", "tasks", "messages", "comments", "documentation")
DOCUMENTATION = ("DOCUMENTATION", "RETURN", "EXAMPLES")
LICENSE = re.compile(
    r"Copyright \(c\)|GNU General Public License|SPDX-|(module util|plugin util|doc fragment) is \*\*PRIVATE"
)
DIRECTIVE = re.compile(
    r"noqa|nosec|fmt:|type:|ruff:|mypy:|pylint:|yamllint|code: language|sanity|go:build|!"
)
# These patterns match Ansible's markup and names in code. Vale does not check code spans.
MARKUP = re.compile(r"\b[BCEILMOPRUV]+\(((?:[^()]|\([^()]*\))*)\)")
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
# These literals are not prose: expressions, styles and markup of the pages that the project
# generates.
CODE = re.compile(
    r"[{}<>]\s*$|^\s*[<.#:@{]|;\s*\}|\\[sdwb(]|\(\?[:P!=]|^[a-z_.]+\(|=\"|^\[\w+\]\s|^\S+$"
)


# Each of these lines starts a new text in a page: a list item, heading, table row or comment.
BLOCK_START = re.compile(r"\s*([-*] |\d+\. |#+ |\||<)")


@dataclass(frozen=True)
class Text:
    """Hold prose of one kind.

    `line` is the line of the source on which the prose starts.
    """

    kind: str
    path: str
    line: int
    text: str


class CommentRow(NamedTuple):
    """Describe a comment on one line."""

    line: int
    text: str
    follows_code: bool


def is_prose(text: str) -> bool:
    """Return whether a literal is text for a reader: at least three words, no code."""
    return len(re.findall(r"(?<![\w.-])[A-Za-z][a-z']+(?![\w-])", text)) > 2 and not CODE.search(
        text
    )


def clean(text: str) -> str:
    """Return the text with markup as code spans and without indentation."""
    text = MARKUP.sub(lambda found: f"`{found[1].strip('`')}`", text)
    return "\n".join(row.strip() for row in text.split("\n"))


def literal(node: ast.expr) -> str | None:
    """Return the text of a literal, with X for each value of an f-string."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        parts = (part.value if isinstance(part, ast.Constant) else "X" for part in node.values)
        return "".join(map(str, parts))
    return None


def python_literals(path: str, source: str) -> Iterator[Text]:
    """Yield docstrings and, in code that users run, documentation blocks and messages."""
    pending: list[ast.AST] = [ast.parse(source)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Expr) and (text := literal(node.value)) is not None:
            yield Text("comments", path, node.lineno, clean(text))
        elif isinstance(node, ast.Assign) and is_documentation(path, node):
            text = literal(node.value) or ""
            yield from yaml_texts(path, text, node.lineno - 1, documentation=True)
        elif isinstance(node, (ast.Constant, ast.JoinedStr)):
            text = literal(node)
            if path.startswith(("plugins/", "lab/")) and text is not None and is_prose(text):
                # The text stays on one line, because the source has escapes for the line breaks of
                # a message.
                yield Text("messages", path, node.lineno, clean(text).replace("\n", " "))
        else:
            pending.extend(ast.iter_child_nodes(node))


def is_documentation(path: str, node: ast.Assign) -> bool:
    """Return whether the assigned text is a documentation block, which is YAML."""
    is_block = getattr(node.targets[0], "id", "") in DOCUMENTATION
    return is_block or path.startswith("plugins/doc_fragments/")


def python_comments(path: str, source: str) -> Iterator[Text]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from joined(
        path, (token_row(token) for token in tokens if token.type == tokenize.COMMENT)
    )


def token_row(token: tokenize.TokenInfo) -> CommentRow:
    return CommentRow(token.start[0], token.string, bool(token.line[: token.start[1]].strip()))


def other_comments(path: str, source: str, offset: int = 0) -> Iterator[Text]:
    """Yield the comments of YAML, templates, shell scripts and make rules."""
    rows = []
    for number, row in enumerate(source.split("\n"), offset + 1):
        if found := re.search(r"(?:^|\s|\{)(#(?:[-#]* ).*?)(?:[-+]?#\}.*)?$", row):
            rows.append(CommentRow(number, found[1], bool(row[: found.start(1)].strip())))
    yield from joined(path, rows)


def joined(path: str, rows: Iterable[CommentRow]) -> Iterator[Text]:
    """Yield comments, those on successive lines as one text.

    A comment after code is a separate text.
    """
    start, previous, block = 0, -1, ""
    for number, comment, follows_code in rows:
        text = comment.lstrip("#- ").split(" # ")[0]
        if LICENSE.search(text) or DIRECTIVE.match(text):
            continue
        if number == previous + 1 and not follows_code:
            block += "\n" + clean(text)
        else:
            if block:
                yield Text("comments", path, start, block)
            start, block = number, clean(text)
        previous = -1 if follows_code else number
    if block:
        yield Text("comments", path, start, block)


def yaml_texts(
    path: str, source: str, offset: int = 0, *, documentation: bool = False
) -> Iterator[Text]:
    """Yield task names and messages of YAML, or all text of a documentation block, and comments."""
    for comment in other_comments(path, source, offset):
        kind = "documentation" if documentation else comment.kind
        yield Text(kind, path, comment.line, comment.text)
    for key, node in yaml_scalars(source):
        text = JINJA.sub("X", str(node.value))
        kind = "documentation" if documentation else kind_of(path, key)
        if kind and " " in text and (kind == "tasks" or is_prose(text)):
            # The text of a block scalar starts on the line after the key.
            line = offset + node.start_mark.line + 1 + (node.style in ("|", ">"))
            yield Text(kind, path, line, clean(text))


def yaml_scalars(source: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Yield each scalar with the key of its mapping.

    A scalar with aliases is yielded once.
    """
    pending: list[tuple[str, yaml.Node]] = [
        ("", node) for node in yaml.compose_all(source, yaml.SafeLoader) if node is not None
    ]
    visited: set[int] = set()
    while pending:
        key, node = pending.pop()
        if id(node) in visited:
            continue
        visited.add(id(node))
        if isinstance(node, yaml.MappingNode):
            pending.extend((str(name.value), value) for name, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            pending.extend((key, value) for value in node.value)
        elif isinstance(node, yaml.ScalarNode):
            yield key, node


def kind_of(path: str, key: str) -> str:
    """Return the kind of the value of a YAML key, or an empty string if the value is not prose."""
    if path.startswith("changelogs/fragments/"):
        return "pages"
    if key in ("description", "short_description", "summary"):
        return "documentation"
    if key in ("msg", "fail_msg", "success_msg", "prompt"):
        return "messages"
    return "tasks" if key == "name" else ""


def markdown(path: str, source: str) -> Iterator[Text]:
    """Yield paragraphs, list items, headings and table cells, without code blocks."""
    source = re.sub(
        r"^( *)```.*?^ *```",
        lambda found: "\n" * found[0].count("\n"),
        source,
        flags=re.DOTALL | re.MULTILINE,
    )
    start, block = 0, ""
    for number, row in enumerate([*source.split("\n"), ""], 1):
        is_code = re.match(r" {4,}\S", row) and not block
        if block and (not row.strip() or BLOCK_START.match(row)):
            yield Text("pages", path, start, block)
            block = ""
        if row.startswith("|"):
            yield from table_cells(path, number, row)
        elif row.strip() and not is_code and not row.startswith("<"):
            text = re.sub(r"^\s*([-*] |\d+\. |#+ )?", "", row).rstrip()
            start, block = (start, f"{block} {text}") if block else (number, text)


def table_cells(path: str, line: int, row: str) -> Iterator[Text]:
    for cell in re.split(r"(?<!\\)\|", row.strip("|")):
        if " " in cell.strip():
            yield Text("pages", path, line, cell.strip())


def texts(root: Path = ROOT) -> Iterator[Text]:
    """Yield all prose of the files that git tracks."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True, text=True
    ).stdout
    for path in sorted(filter(None, listed.split("\0"))):
        file = root / path
        if path.startswith((".collections/", "LICENSE", "styles/")) or not file.is_file():
            continue
        if path.endswith((".py", ".md", ".yml", ".j2", ".rst")) or path in (
            "Makefile",
            "lab/demo",
            "lab/bootstrap",
            "tests/simulated/master",
        ):
            yield from file_texts(path, file.read_text())


def file_texts(path: str, source: str) -> Iterator[Text]:
    if path.endswith(".py"):
        yield from python_literals(path, source)
        yield from python_comments(path, source)
    elif path.endswith((".md", ".rst")):
        yield from markdown(path, source)
    elif path.endswith(".yml"):
        yield from yaml_texts(path, source)
    else:
        yield from other_comments(path, source)


def write(directory: Path, root: Path = ROOT) -> None:
    """Write DIRECTORY/KIND/PATH.md for each source file and kind.

    A page is copied unchanged.
    """
    found: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for text in texts(root):
        rows = found[text.kind, text.path]
        for number, row in enumerate(text.text.split("\n"), text.line):
            rows[number] = f"{rows[number]} {row}" if number in rows else row
    for (kind, path), rows in found.items():
        target = directory / kind / f"{path}.md"
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            target.write_text((root / path).read_text())
        else:
            lines = (rows.get(number, "") for number in range(1, max(rows) + 1))
            target.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
