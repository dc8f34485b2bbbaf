"""Run the linters and then all tests, cheap ones first: ``python tools/check.py [--lint]``.

All of them run even after a failure; the exit code is 1 if any failed. With tests, the last line is pytest's
summary.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

LINTERS = (
    ("ruff check", [str(BIN / "ruff"), "check"]),
    ("ruff format", [str(BIN / "ruff"), "format", "--check"]),
    ("mypy", [str(BIN / "mypy")]),
    ("positional arguments", [sys.executable, str(ROOT / "tools" / "positional.py")]),
    ("import-linter", [str(BIN / "lint-imports")]),
    ("codespell", [str(BIN / "codespell")]),
    ("glossary", [sys.executable, "tools/glossary.py"]),
    ("lengths", [sys.executable, "tools/lengths.py"]),
)
PYTEST = [sys.executable, "-m", "pytest", "--durations=15"]


def main() -> int:
    """Run everything and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lint", action="store_true", help="linters only")
    options = parser.parse_args()
    failed = [title for title, command in LINTERS if not _passes(title, command)]
    if failed:
        print(f"FAILED: {', '.join(failed)}", flush=True)
    if options.lint:
        return int(bool(failed))
    code = subprocess.call(PYTEST, cwd=ROOT)
    return code or int(bool(failed))


def _passes(title: str, command: list[str]) -> bool:
    begin = time.monotonic()
    print(f"{title} ...", end=" ", flush=True)
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ok = result.returncode == 0
    print(f"{'ok' if ok else 'failed'} ({time.monotonic() - begin:.1f} s)", flush=True)
    if not ok:
        print(result.stdout, flush=True)
    return ok


if __name__ == "__main__":
    sys.exit(main())
