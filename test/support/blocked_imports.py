"""Runs code as in a Python that has few packages installed."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import importlib.machinery
import sys

class Blocker:
    allowed = set(sys.argv[1].split(","))

    def find_spec(self, name, path=None, target=None):
        if path is None and name not in self.allowed:
            spec = importlib.machinery.PathFinder.find_spec(name)
            places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
            if any("site-packages" in (place or "") for place in places):
                raise ImportError(f"{name} is not installed here", name=name)

sys.meta_path.insert(0, Blocker())
exec(sys.argv[2])
"""


def run_with_only(packages: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run code where, of all that is installed, only ``packages`` can be imported."""
    command = [sys.executable, "-c", _SCRIPT, ",".join(packages), code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
