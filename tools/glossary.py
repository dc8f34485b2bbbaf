"""Find retired names, for which the project has a better one: ``python tools/glossary.py``.

A name goes into `RETIRED` in the commit that renames it, so that it does not come back in a page or comment.
Spelling is codespell's (pyproject.toml).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Retired name: name to use. Only names that have no other meaning.
RETIRED = {
    "answers_at_once": "allows_early_update",
    "ArmPeer": "FakeArm",
    "choose_grip": "choose_grasp",
    "CONTROL_HZ": "ACTION_HZ",
    "Decider": "ChunkSampler",
    "have_arrived": "acknowledged",
    "is_heard": "has_subscribers",
    "JUDGING": "RATING",
    "LossOfBatch": "PolicyLoss",
    "off_way": "lateral_offset",
    "onlooker": "observer",
    "PATIENCE_S": "ACK_DEADLINE_S",
    "PolicyFigures": "PolicyMetrics",
    "RobotPeer": "FakeRobot",
    "sole_writer": "exclusive_lock",
    "word_valid": "token_mask",
}
PLACES = ("README.md", "asyncvla_msgs", "asyncvla_ros", "config", "docs", "launch", "test", "tools")
SUFFIXES = {".md", ".msg", ".srv", ".action", ".py", ".sh", ".toml", ".yaml"}
OWN = {"tools/glossary.py", "test/tools/test_glossary.py"}


def main() -> int:
    """Print every use of a retired name; return the exit code."""
    problems = retired_names(ROOT, PLACES, RETIRED)
    print("\n".join(problems))
    return int(bool(problems))


def retired_names(root: Path, places: tuple[str, ...], retired: Mapping[str, str]) -> list[str]:
    """Return one line, with the name to use, for each retired name in the text files at `places`.

    Args:
        root: The checkout.
        places: Files and folders in it.
        retired: Name to use by retired name. Names match as whole words and by case.
    """
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, retired))})\b")
    problems = []
    for file in _texts(root, places):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            problems += [
                f"{file.relative_to(root)}:{number}: {name} is retired; use {retired[name]}"
                for name in pattern.findall(line)
            ]
    return problems


def _texts(root: Path, places: tuple[str, ...]) -> Iterator[Path]:
    for place in places:
        path = root / place
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.suffix in SUFFIXES and file.relative_to(root).as_posix() not in OWN:
                yield file


if __name__ == "__main__":
    sys.exit(main())
