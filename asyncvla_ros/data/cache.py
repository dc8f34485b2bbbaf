"""What is derived from a dataset and kept on disk: made by one process at a time, whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path


def cache_key(*what: object, files: Iterable[Path] = ()) -> str:
    """Return a name that changes with anything in ``what``, and with path, size and time of each file."""
    stamps = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr((what, stamps)).encode()).hexdigest()[:20]


def cached_folder(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return the folder, which is filled by ``build`` unless it is there already.

    Args:
        folder: In a folder of the cache, which is made.
        build: Fills a new folder, given as its argument.

    Other processes that want the same meanwhile wait for it.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.parent, os.O_RDONLY)
    partial = folder.with_name(f"{folder.name}.{os.getpid()}.partial")
    try:
        # Held until the descriptor is closed, also by a kill; a file for it would have to be cleared away.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            partial.mkdir()
            build(partial)
            partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)
    return folder
