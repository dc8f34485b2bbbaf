"""A lock, so that one process at a time writes to a place."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path

from asyncvla_ros.types import AsyncVLAError


@contextlib.contextmanager
def exclusive_lock(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock on the file ``lock``, which is made with its folder and deleted at the end.

    Args:
        lock: The same path for all writers of a place.
        what: The work that must not run twice, and its place, for the error.

    Raises:
        AsyncVLAError: If another process holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AsyncVLAError(
                f"another process runs {what}; wait for it, end it, or choose another place"
            ) from error
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
