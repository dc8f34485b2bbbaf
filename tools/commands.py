"""Running commands of the set-up, with logs of their output."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"


class SetupError(Exception):
    """The set-up cannot continue; the message says what the user can do."""


def run(command: list[str], name: str, env: dict[str, str] | None = None) -> None:
    """Run a command, logged to ``.cache/setup/<name>.log``; SetupError with the log's end if it fails."""
    log = CACHE / "setup" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    full_env = {**os.environ, **(env or {})}
    with log.open("w") as output:
        code = subprocess.call(command, stdout=output, stderr=output, env=full_env, cwd=ROOT)
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise SetupError(f"{tail}\nExit code {code} of: {' '.join(command)}\nThe whole output is in {log}")
