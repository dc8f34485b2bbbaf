"""Inferences on recorded observations, in this process or in several: none depends on another one."""

from __future__ import annotations

import resource
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from asyncvla_ros.common.worker_pool import worker_pool
from asyncvla_ros.data.robot_policy import Question
from asyncvla_ros.policy import Policy
from asyncvla_ros.types import ActionChunk, AsyncVLAError

_worker: Policy | None = None


class InferencePool:
    """A policy that is asked and answers later; use as a context manager.

    Args:
        checkpoint: Folder; None: the shipped one.
        device: torch device.
        threads: CPU threads of an inference.
        workers: Processes; 1: this one.

    Attributes:
        policy: The policy itself, for what it says of itself.
        name: Of the checkpoint.

    Raises:
        AsyncVLAError: the checkpoint, or the device, cannot be used.
    """

    def __init__(self, checkpoint: Path | None, device: str, threads: int, workers: int):
        self.policy = Policy.from_checkpoint(checkpoint, device, threads)
        self.name = str(checkpoint or "as shipped")
        self.workers = workers
        self._arguments = checkpoint, device, threads
        self._pool: ProcessPoolExecutor | None = None
        self._stack = ExitStack()

    def __enter__(self) -> InferencePool:
        if self.workers == 1:
            self.policy.warmup()
            return self
        self._pool = self._stack.enter_context(worker_pool(self.workers, _load, self._arguments))
        # Time counts from when all of them are there.
        for ready in [self._pool.submit(_warm_up) for _ in range(self.workers)]:
            ready.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, question: Question) -> Future[ActionChunk]:
        """Ask the policy; the future that is returned holds the answer, or the error it ends with."""
        if self._pool is not None:
            return self._pool.submit(_answer, question)
        future: Future[ActionChunk] = Future()
        try:
            future.set_result(question.answer(self.policy))
        except AsyncVLAError as error:
            future.set_exception(error)
        return future

    def peak_rss_mb(self) -> float:
        """Return the peak memory of this process and of the workers that have ended [MB]."""
        self._stack.close()
        own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        children = self.workers * others.ru_maxrss if self._pool is not None else 0
        return round((own.ru_maxrss + children) / 1024, 1)


def _load(checkpoint: Path | None, device: str, threads: int) -> None:
    global _worker
    _worker = Policy.from_checkpoint(checkpoint, device, threads)
    _worker.warmup()


def _warm_up() -> None:
    assert _worker is not None
    _worker.warmup(20)


def _answer(question: Question) -> ActionChunk:
    assert _worker is not None
    return question.answer(_worker)
