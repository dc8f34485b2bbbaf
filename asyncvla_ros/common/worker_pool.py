"""Processes that each hold what takes long to make: a simulator, a policy."""

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
    """A pool whose processes end when this one does, however it ends.

    An exception in the body drops what has not begun and waits for what has.

    Args:
        workers: processes.
        start: called once in each process.
        arguments: of ``start``.
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
