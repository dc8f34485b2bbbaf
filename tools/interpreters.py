"""Find a Python 3.12 that runs, and uv."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

# Exits with 0 in a CPython 3.12 with the headers for building asyncvla_msgs.
CHECK = (
    "import os, sys, sysconfig; "
    "header = os.path.join(sysconfig.get_paths()['include'], 'Python.h'); "
    "sys.exit(sys.version_info[:2] != (3, 12) or not os.path.exists(header))"
)

SYSTEM_PYTHONS = (
    Path("/usr/local/bin/python3.12"),
    Path("/usr/bin/python3.12"),
    Path("/opt/python3.12/bin/python3.12"),
)


def find_python(cache: Path) -> Path | None:
    """Find a Python 3.12 with headers, or None; run each candidate, because a pyenv shim may be broken."""
    for candidate in _candidates(cache):
        if candidate.exists() and _succeeds([str(candidate), "-c", CHECK]):
            return candidate
    return None


def _candidates(cache: Path) -> Iterator[Path]:
    for directory in os.get_exec_path():
        yield Path(directory) / "python3.12"
    for root in (_pyenv_root(), Path.home() / ".pyenv"):
        if root is not None:
            # Newest patch release first.
            yield from sorted(root.glob("versions/3.12*/bin/python3.12"), key=_patch, reverse=True)
    yield from SYSTEM_PYTHONS
    # Downloads of an earlier set-up.
    yield from sorted(cache.glob("python/cpython-3.12*/bin/python3.12"))


def _patch(python: Path) -> int:
    digits = python.parts[-3].split(".")[-1]
    return int(digits) if digits.isdigit() else -1


def _pyenv_root() -> Path | None:
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return None
    result = subprocess.run([pyenv, "root"], stdout=subprocess.PIPE, text=True)
    return Path(result.stdout.strip()) if result.returncode == 0 else None


def find_uv(cache: Path, python: Path | None) -> Path | None:
    """Find uv on the PATH or in the cache, else install it there from PyPI; None if that fails.

    Args:
        cache: Cache directory of this checkout.
        python: First choice for the installation, before the interpreter that runs this.
    """
    on_path = shutil.which("uv")
    if on_path is not None and _succeeds([on_path, "--version"]):
        return Path(on_path)
    directory = cache / "uv"
    uv = directory / "bin" / "uv"
    if uv.exists() and _succeeds([str(uv), "--version"]):
        return uv
    for base in filter(None, (python, Path(sys.executable))):
        made = _succeeds([str(base), "-m", "venv", "--clear", str(directory)])
        if made and _succeeds([str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv"]):
            return uv
    return None


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False
