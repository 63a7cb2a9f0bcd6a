"""Check the prose with Vale: `python3 -m tests.prose.check VALE [PATH...]`, by default all."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.prose import extract


def alerts(vale: str, directory: Path) -> list[tuple[str, int, str]]:
    """Return the errors in the text below `directory` as sorted tuples (path, line, message)."""
    command = [vale, f"--config={extract.ROOT / '.vale.ini'}", "--no-exit", "--output=JSON", "."]
    result = subprocess.run(command, cwd=directory, capture_output=True, check=False, text=True)
    if result.returncode:
        raise SystemExit(f"prose: Vale failed: {result.stdout}{result.stderr}")
    return sorted(
        (
            file.split("/", 1)[1].removesuffix(".md"),
            alert["Line"],
            f"{alert['Message']} ({alert['Check']})",
        )
        for file, found in json.loads(result.stdout or "{}").items()
        for alert in found
    )


def main(vale: str, prefixes: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="kube-ha-prose-") as scratch:
        extract.write(Path(scratch))
        errors = [
            error
            for error in alerts(vale, Path(scratch))
            if not prefixes or error[0].startswith(tuple(prefixes))
        ]
    for path, line, message in errors:
        print(f"{path}:{line}: {message}")
    print(f"prose: {len(errors)} errors")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
