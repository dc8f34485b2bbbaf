"""Processes that each hold a simulator."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import Any


def simulator_pool(
    workers: int, start: Callable[..., None] | None = None, arguments: tuple[Any, ...] = ()
) -> ProcessPoolExecutor:
    """A pool whose processes end when this one does, however it ends.

    Args:
        workers: processes.
        start: called once in each process.
        arguments: of ``start``.
    """
    # A forked process cannot use the parent's GL and torch state.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, context, _start, (start, arguments))


def _start(start: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    if start is not None:
        start(*arguments)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
