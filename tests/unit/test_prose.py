"""Test which prose `make prose` checks."""

from __future__ import annotations

from pathlib import Path

from tests.prose import extract, sample

MODULE = '''"""Do one thing; see C(path)."""

DOCUMENTATION = """
module: one
short_description: Do one thing well
"""
LIMIT = 3
"""In seconds, for each call."""


def call(name):
    # Why this comes
    # first.
    raise ValueError(f"{name}: is not set; set the name")  # noqa: TRY003
    return re.compile(r"a b c\\d")
'''

TASKS = """---
# Why this play exists.
- name: Roll this member
  ansible.builtin.debug:
    msg: "{{ item }}: rolled and healthy"
  vars: &vars
    name: one two three
- name: Use an alias
  vars: *vars
"""

PAGE = """# First heading

One sentence that
continues. A second one.

    code block here now

| One cell | Another cell of the table |
|---|---|
"""


def found(path: str, source: str) -> set[tuple[str, int, str]]:
    return {(text.kind, text.line, text.text) for text in extract.file_texts(path, source)}


def test_python_gives_docstrings_comments_messages_and_documentation() -> None:
    assert found("plugins/one.py", MODULE) == {
        ("comments", 1, "Do one thing; see `path`."),
        ("documentation", 5, "Do one thing well"),
        ("comments", 8, "In seconds, for each call."),
        ("comments", 12, "Why this comes\nfirst."),
        ("messages", 14, "X: is not set; set the name"),
    }


def test_comment_after_code_is_a_separate_text() -> None:
    source = "a = 1  # first reason\nb = 2  # second reason\n# third reason\n# continues\n"
    assert found("plugins/one.py", source) == {
        ("comments", 1, "first reason"),
        ("comments", 2, "second reason"),
        ("comments", 3, "third reason\ncontinues"),
    }
    assert ("comments", 2, "second reason") in found(
        "a.yml", "a: 1  # first reason\nb: 2  # second reason\n"
    )


def test_messages_come_only_from_code_that_users_run() -> None:
    assert "messages" not in {kind for kind, _line, _text in found("tests/one.py", MODULE)}


def test_yaml_gives_names_messages_and_comments_once() -> None:
    assert found("roles/x/tasks/main.yml", TASKS) == {
        ("comments", 2, "Why this play exists."),
        ("tasks", 3, "Roll this member"),
        ("messages", 5, "X: rolled and healthy"),
        ("tasks", 7, "one two three"),
        ("tasks", 8, "Use an alias"),
    }


def test_page_gives_paragraphs_and_cells_without_code() -> None:
    assert found("docs/x.md", PAGE) == {
        ("pages", 1, "First heading"),
        ("pages", 3, "One sentence that continues. A second one."),
        ("pages", 8, "One cell"),
        ("pages", 8, "Another cell of the table"),
    }


def test_copies_keep_the_line_numbers(tmp_path: Path) -> None:
    extract.write(tmp_path)
    page = "README.md"
    assert (tmp_path / f"pages/{page}.md").read_text() == (extract.ROOT / page).read_text()
    path = "tests/prose/sample.py"
    copied = (tmp_path / f"comments/{path}.md").read_text().split("\n")
    source = (extract.ROOT / path).read_text().split("\n")
    rows = [(number, row) for number, row in enumerate(copied) if row]
    assert len(rows) > 3
    assert all(row in source[number] for number, row in rows if "`" not in row)


def test_sample_depends_on_the_seed_and_has_every_kind() -> None:
    texts = [
        extract.Text(kind, "x", line, f"Sentence number {line} of {kind}. Another one follows it.")
        for kind in extract.KINDS
        for line in range(50)
    ]
    first = sample.sample(texts, 1, 100)
    assert first == sample.sample(texts, 1, 100) != sample.sample(texts, 2, 100)
    assert len(first) == 100
    assert {row[0] for row in first} == set(extract.KINDS)
