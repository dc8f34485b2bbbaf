"""Preparation for the import of LIBERO, robosuite, numba and mujoco."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import types
from pathlib import Path

from asyncvla_ros.sim.libero.rendering import choose_gl_backend


def prepare_import() -> None:
    """Choose the GL backend and make robosuite and numba write only to places of this user. Idempotent.

    Raises:
        AsyncVLAError: headless rendering is not possible here.
    """
    choose_gl_backend()
    spec = importlib.util.find_spec("robosuite")
    if spec is None or not spec.submodule_search_locations:
        return
    folder = Path(spec.submodule_search_locations[0])
    _write_no_log(folder)
    _find_a_cache(folder)


def _write_no_log(robosuite: Path) -> None:
    """Disable robosuite's log, /tmp/robosuite.log, which only the first user of a machine can write."""
    name = "robosuite.macros_private"
    if name not in sys.modules and not (robosuite / "macros_private.py").exists():
        # robosuite's module for private settings.
        settings = types.ModuleType(name)
        settings.FILE_LOGGING_LEVEL = None  # type: ignore[attr-defined]
        sys.modules[name] = settings


def _find_a_cache(robosuite: Path) -> None:
    """Give numba a cache if neither the sources' folder nor the home directory is writable."""
    home = next(folder for folder in (Path.home(), *Path.home().parents) if folder.exists())
    if "NUMBA_CACHE_DIR" in os.environ or os.access(robosuite, os.W_OK) or os.access(home, os.W_OK):
        return
    os.environ["NUMBA_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"asyncvla-numba-{os.getuid()}")
