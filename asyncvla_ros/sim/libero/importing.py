"""What must be true before LIBERO, robosuite, numba and mujoco are imported."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import types
from pathlib import Path

from asyncvla_ros.sim.libero.rendering import choose_gl_backend


def prepare_import() -> None:
    """Choose the GL backend, and keeps robosuite to what this user may write. Idempotent.

    Raises:
        AsyncVLAError: nothing can be rendered headless here.
    """
    choose_gl_backend()
    spec = importlib.util.find_spec("robosuite")
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0])
    _write_no_log(folder)
    _find_a_cache(folder)


def _write_no_log(robosuite: Path) -> None:
    """Its log is /tmp/robosuite.log, which belongs to the first user of a machine; others could not start."""
    name = "robosuite.macros_private"
    if name not in sys.modules and not (robosuite / "macros_private.py").exists():
        # robosuite's own place for such settings.
        settings = types.ModuleType(name)
        settings.FILE_LOGGING_LEVEL = None  # type: ignore[attr-defined]
        sys.modules[name] = settings


def _find_a_cache(robosuite: Path) -> None:
    """numba caches beside the sources, else below the home directory; else it fails."""
    home = next(folder for folder in (Path.home(), *Path.home().parents) if folder.exists())
    if "NUMBA_CACHE_DIR" in os.environ or os.access(robosuite, os.W_OK) or os.access(home, os.W_OK):
        return
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"asyncvla-numba-{os.getuid()}")
