"""Start the processes of a training run, which average their gradients."""

from __future__ import annotations

import math
import os
import signal
import socket
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any

import torch
from torch.multiprocessing import ProcessRaisedException

from asyncvla_ros.types import AsyncVLAError


def spawn_workers(worker: Callable[..., None], processes: int, *args: object) -> None:
    """Run ``worker(*args)`` in this process, or in several that average their gradients.

    On a CPU one process per core beats one process with many threads, whose barriers wait for whatever
    else the machine does. Under ``accelerate launch`` or ``torchrun`` the processes exist already.

    Raises:
        AsyncVLAError: As ``worker`` does, in whichever process.
    """
    if processes <= 1 or "RANK" in os.environ:
        worker(*args)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    refusals = torch.multiprocessing.get_context("spawn").SimpleQueue()
    try:
        torch.multiprocessing.spawn(_run_rank, (processes, port, refusals, worker, args), nprocs=processes)
    except ProcessRaisedException as error:
        if refusals.empty():
            raise
        raise AsyncVLAError(refusals.get()) from error


def _run_rank(
    rank: int,
    processes: int,
    port: int,
    refusals: SimpleQueue[str],
    worker: Callable[..., None],
    args: tuple[Any, ...],
) -> None:
    """Run one of several workers; its refusals go to the process that began it."""
    # torch ends orphans by SIGINT, which a shell's background jobs ignore unless told otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(processes),
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        # accelerate would set its own number of threads otherwise.
        OMP_NUM_THREADS=str(max(1, (os.cpu_count() or 1) // processes)),
    )
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    try:
        worker(*args)
    except AsyncVLAError as error:
        refusals.put(str(error))
        raise


def default_processes(batch: int) -> int:
    """Choose as many as there are GPUs, or CPUs, that share a batch equally."""
    return math.gcd(batch, torch.cuda.device_count() or os.cpu_count() or 1)


def per_process_batch(batch: int, processes: int) -> int:
    """Divide a batch, in observations, among processes.

    Raises:
        AsyncVLAError: If the parts are not equal.
    """
    if batch % processes:
        raise AsyncVLAError(
            f"--batch is {batch}, expected a multiple of the {processes} processes; choose another --batch "
            "or --processes"
        )
    return batch // processes
