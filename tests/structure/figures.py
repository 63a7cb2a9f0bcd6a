# Copyright (c) 2026, the kube_ha.scheduler authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print figures about names and size of the Python files in a directory.

Run `python tests/structure/figures.py [-v] DIRECTORY...`. `make figures` runs the script on the
shipped code. You can compare the figures with other projects. With -v, the script lists the items
of each figure.
"""

from __future__ import annotations

import argparse
import ast
import collections
import io
import itertools
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from radon.complexity import cc_visit
from radon.visitors import Class

MAX_COMPLEXITY = 12
MAX_LINES = 60
MAX_PARAMETERS = 6
MAX_COLUMNS = 100
DOCUMENTATION_BLOCKS = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
# Every plugin defines these names for Ansible. Vars is the type of the task_vars that Ansible
# passes.
REQUIRED_NAMES = DOCUMENTATION_BLOCKS | {
    *("main", "ActionModule", "ModuleDocFragment", "Vars"),
    *("FilterModule", "InventoryModule", "LookupModule", "TestModule"),
}
# Most projects rename these imports in the same way, so they do not count as renamed.
USUAL_RENAMES = {("typing", "t"), ("constants", "C")}
NOT_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    *(tokenize.ENCODING, tokenize.ENDMARKER),
}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Figure:
    """Hold the counted items, one line each, and the number of candidates."""

    title: str
    items: list[str]
    total: int | None = None

    def __str__(self) -> str:
        share = f" of {self.total} ({len(self.items) / self.total:.1%})" if self.total else ""
        return f"{self.title}: {len(self.items)}{share}"


class Source:
    """Hold a parsed file."""

    def __init__(self, path: Path, directory: Path) -> None:
        self.name = str(path.relative_to(directory))
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.nodes = list(ast.walk(self.tree))
        self.functions = [node for node in self.nodes if isinstance(node, FUNCTIONS)]
        self.imports = [
            alias
            for node in self.nodes
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        ]

    def public_names(self) -> set[str]:
        """Return the public top-level names that the file defines, without its imports."""
        names: set[str] = set()
        for statement in top_level(self.tree.body):
            if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
                names.add(statement.name)
            elif isinstance(statement, ast.AnnAssign):
                names |= assigned_names(statement.target)
            elif isinstance(statement, ast.Assign):
                names.update(*map(assigned_names, statement.targets))
        return {name for name in names if not name.startswith("_")} - REQUIRED_NAMES

    def shadowing_locals(self) -> list[str]:
        shared = {alias.asname or alias.name.partition(".")[0] for alias in self.imports}
        shared |= {node.name for node in top_level(self.tree.body) if isinstance(node, FUNCTIONS)}
        return sorted(
            {
                f"{self.name}: {function.name}: {name}"
                for function in self.functions
                for name in local_names(function) & shared
            }
        )

    def renamed_imports(self) -> list[str]:
        return [
            f"{self.name}: {alias.name} as {alias.asname}"
            for alias in self.imports
            if alias.asname not in (None, alias.name.rpartition(".")[2])
            and (alias.name, alias.asname) not in USUAL_RENAMES
        ]

    def code_lines(self) -> list[int]:
        """Return the line numbers of code, without comments, docstrings and documentation."""
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in NOT_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in self.nodes:
            if is_docstring(node) or is_documentation(node):
                lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
        return sorted(lines)


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the top-level statements, including those in `if` and `try` blocks."""
    for statement in body:
        yield statement
        if isinstance(statement, (ast.If, ast.Try)):
            yield from top_level([*statement.body, *statement.orelse])
            for handler in getattr(statement, "handlers", []):
                yield from top_level(handler.body)


def assigned_names(node: ast.AST) -> set[str]:
    return {
        name.id
        for name in ast.walk(node)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }


def is_docstring(node: ast.AST) -> TypeGuard[ast.Expr]:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def is_documentation(node: ast.AST) -> TypeGuard[ast.Assign]:
    return isinstance(node, ast.Assign) and bool(assigned_names(node) & DOCUMENTATION_BLOCKS)


def parameters(function: Function) -> list[str]:
    spec = function.args
    listed = [*spec.posonlyargs, *spec.args, spec.vararg, *spec.kwonlyargs, spec.kwarg]
    return [parameter.arg for parameter in listed if parameter]


def local_names(function: Function) -> set[str]:
    not_local = {
        name
        for node in ast.walk(function)
        if isinstance(node, (ast.Global, ast.Nonlocal))
        for name in node.names
    }
    return {*parameters(function), *assigned_names(function)} - not_local


def names_in_several_files(sources: list[Source]) -> Figure:
    files: dict[str, list[str]] = collections.defaultdict(list)
    for source in sources:
        for name in source.public_names():
            files[name].append(source.name)
    repeated = sorted(name for name, where in files.items() if len(where) > 1)
    return Figure(
        "public top-level names in two or more files",
        [f"{name}: {', '.join(files[name])}" for name in repeated],
        len(files),
    )


def complex_functions(sources: list[Source]) -> list[str]:
    return [
        f"{source.name}: {block.fullname}: {block.complexity}"
        for source in sources
        for block in cc_visit(source.text)
        if not isinstance(block, Class) and block.complexity > MAX_COMPLEXITY
    ]


def function_figures(sources: list[Source]) -> Iterator[Figure]:
    lines, arguments = [], []
    pairs = [(source, function) for source in sources for function in source.functions]
    for source, function in pairs:
        where = f"{source.name}: {function.name}"
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        if length > MAX_LINES:
            lines.append(f"{where}: {length}")
        count = len([name for name in parameters(function) if name not in ("self", "cls")])
        if count > MAX_PARAMETERS:
            arguments.append(f"{where}: {count}")
    yield Figure(f"functions above {MAX_LINES} lines", lines, len(pairs))
    yield Figure(
        f"functions above {MAX_PARAMETERS} parameters (without self)", arguments, len(pairs)
    )
    title = f"functions above complexity {MAX_COMPLEXITY} (radon)"
    yield Figure(title, complex_functions(sources), len(pairs))


def long_lines(sources: list[Source]) -> Figure:
    items, total = [], 0
    for source in sources:
        text = source.text.splitlines()
        for number in source.code_lines():
            total += 1
            if len(text[number - 1]) > MAX_COLUMNS:
                items.append(f"{source.name}:{number}: {len(text[number - 1])}")
    return Figure(f"code lines above {MAX_COLUMNS} columns", items, total)


def figures(directory: Path) -> list[Figure]:
    sources = [Source(path, directory) for path in sorted(directory.rglob("*.py"))]
    shadows = [source.shadowing_locals() for source in sources]
    renames = [source.renamed_imports() for source in sources]
    return [
        names_in_several_files(sources),
        Figure("locals that shadow an import or function", list(itertools.chain(*shadows))),
        Figure("imports renamed", list(itertools.chain(*renames))),
        *function_figures(sources),
        long_lines(sources),
    ]


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-v", "--verbose", action="store_true", help="list the counted items")
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIRECTORY")
    options = parser.parse_args(words)
    for directory in options.directories:
        print(directory)
        for figure in figures(directory):
            print(f"  {figure}")
            for item in figure.items if options.verbose else []:
                print(f"    {item}")
    renames = ", ".join(f"{name} as {usual}" for name, usual in sorted(USUAL_RENAMES))
    print(f"Not counted: names that Ansible requires ({', '.join(sorted(REQUIRED_NAMES))});")
    print(f"the usual renames ({renames}); comments, docstrings and documentation blocks as code.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
