"""Worker processes that each hold what is slow to make: a simulator or a policy."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any

#: Of this machine.
CPUS = os.cpu_count() or 1


@contextlib.contextmanager
def worker_pool(
    workers: int, start: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> Iterator[ProcessPoolExecutor]:
    """Return a pool of processes that end with this one, however it ends.

    An exception in the body cancels tasks that have not begun and waits for the others.

    Args:
        workers: Number of processes.
        start: Called once in each process.
        arguments: Arguments of ``start``.
    """
    # A forked process cannot use the parent's GL and torch state.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start, (start, arguments))
    try:
        yield pool
    finally:
        # The pool's own exit would take the cancellation back.
        pool.shutdown(cancel_futures=True)


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if start is not None:
        start(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
