"""Other programs, asked in processes of their own: they may end, or take what is not given back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

# Importing torch from a cold disk takes its time [s].
ASK_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class ProgramOutput:
    """What a program printed, or why it failed."""

    text: str
    is_good: bool


def python(code: str) -> list[str]:
    """Return the command that runs a line of Python as this program is run."""
    return [sys.executable, "-c", code]


def ask(command: Sequence[str]) -> ProgramOutput:
    """Run a program and return its output, or the last line of one that fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=ASK_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return ProgramOutput(str(error), is_good=False)
    if result.returncode == 0:
        return ProgramOutput(result.stdout.strip(), is_good=True)
    said = (result.stderr + result.stdout).strip().splitlines()
    last = said[-1] if said else f"{command[0]} ended with exit code {result.returncode}"
    return ProgramOutput(last, is_good=False)
