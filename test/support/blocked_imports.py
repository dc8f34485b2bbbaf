"""Imports a file in a Python that has the standard library and a few packages only."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import sys

class Blocker:
    allowed = set(sys.argv[1].split(","))

    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in self.allowed and top not in sys.stdlib_module_names:
            raise ImportError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Blocker())
exec(sys.argv[2])
"""


def run_with_only(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code where importing anything but ``packages`` and the standard library fails."""
    command = [sys.executable, "-c", _SCRIPT, ",".join(packages), code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
