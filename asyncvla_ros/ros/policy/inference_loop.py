"""The inference thread: woken by new samples, it always works on the newest consistent snapshot."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asyncvla_ros.observe.stream_sync import Snapshot, StreamSync


class InferenceLoop:
    """Callbacks only ``put`` samples; the thread takes snapshots and calls ``infer``, one at a time.

    ::

        camera callback ──put──> slot of one ─┐ notify
        joint callback  ──put──> slot of one ─┴──> thread: take newest snapshot ──> infer ──> (again)

    While ``infer`` runs, newer samples replace older ones: a slow policy skips observations and does not fall
    behind.

    Args:
        sync: The slots; from now on used under this object's lock only.
        now_ns: The node clock [ns].
        is_wanted: Whether there is something to do, such as an instruction; asked at each wake-up, under this
            object's lock.
        infer: Called in the thread with each snapshot.
        crashed: Called in the thread with the traceback of an exception that ``infer`` let through; the
            thread ends with it.
    """

    def __init__(
        self,
        sync: StreamSync[Any],
        now_ns: Callable[[], int],
        is_wanted: Callable[[], bool],
        infer: Callable[[Snapshot[Any]], None],
        crashed: Callable[[str], None],
    ):
        self._now_ns, self._is_wanted = now_ns, is_wanted
        self._infer, self._crashed = infer, crashed
        #: Guards the slots and whether to stop.
        self._changed = threading.Condition()
        self._sync = sync
        self._stopping = False
        #: Between ``start`` and ``stop``, which one thread calls: that of the executor.
        self._thread: threading.Thread | None = None

    def put(self, stream: str, stamp_ns: int, sample: Any) -> None:
        """Store the newest sample of a stream, acquired at ``stamp_ns`` [ns], and wake the thread."""
        with self._changed:
            if self._sync.put(stream, stamp_ns, sample, self._now_ns()):
                self._changed.notify_all()

    def reject(self, stream: str, reason: str) -> None:
        """Count a sample that cannot be used."""
        with self._changed:
            self._sync.reject(stream, reason)

    def wake(self) -> None:
        """Wake the thread, because ``is_wanted`` may have changed."""
        with self._changed:
            self._changed.notify_all()

    def look_again(self) -> None:
        """Have the thread infer once more on the newest observation, for another instruction."""
        with self._changed:
            self._sync.rearm()
            self._changed.notify_all()

    @contextmanager
    def locked(self) -> Iterator[StreamSync[Any]]:
        """Lock the slots, to read their counts or to reset them."""
        with self._changed:
            yield self._sync

    @property
    def is_running(self) -> bool:
        """Whether the thread lives."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread; an observation that is there already counts as new."""
        with self._changed:
            self._sync.rearm()
            self._stopping = False
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current inference. Idempotent."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            while (snapshot := self._next()) is not None:
                self._infer(snapshot)
        except Exception:
            self._crashed(traceback.format_exc())

    def _next(self) -> Snapshot[Any] | None:
        """Wait for the next snapshot; return None to end the thread."""
        with self._changed:
            while not self._stopping:
                snapshot = self._sync.take(self._now_ns()) if self._is_wanted() else None
                if snapshot is not None:
                    return snapshot
                self._changed.wait()
            return None
