"""Cache of data derived from a dataset: built by one process at a time, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


def cache_key(*what: object, files: Iterable[Path] = ()) -> str:
    """Return a name that depends on ``what`` and on path, size and time of each file."""
    stamps = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr((what, stamps)).encode()).hexdigest()[:20]


def cached_folder(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return a folder of the cache; let ``build`` fill it if it does not exist.

    Args:
        folder: Path in the cache; its parents are made.
        build: Called with a new folder, which it fills.

    Other processes that need the same folder wait meanwhile.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.parent, os.O_RDONLY)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        # A lock on the folder ends with the descriptor, also after a kill; a lock file would stay.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial.mkdir()
            build(partial)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)
    return folder
