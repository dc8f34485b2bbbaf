"""A callback group whose callbacks begin in the order of their messages, and may then run in parallel."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.callback_groups import CallbackGroup


class OrderedGroup(CallbackGroup):
    """Excludes other callbacks from the take of a message until its callback calls ``let_next`` or returns.

    ::

        callback 1   take  begin  let_next  wait ............ return
        callback 2                          take  begin  ...

    In a reentrant group two callbacks of a multi-threaded executor may overtake each other between their
    takes and their first lines: 2 of 1,259 pairs of requests while other threads computed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        #: The thread between its take and ``let_next``; exchanged under the lock, read without.
        self._thread: int | None = None

    def can_execute(self, entity: Any) -> bool:
        """Return whether no callback is between its take and ``let_next``."""
        return self._thread is None

    def beginning_execution(self, entity: Any) -> bool:
        """Let the calling thread go first; return False while another one does."""
        with self._lock:
            if self._thread is not None:
                return False
            self._thread = threading.get_ident()
            return True

    def ending_execution(self, entity: Any) -> None:
        """Let the next callback begin, if the calling thread has not done so already."""
        self.let_next()

    def let_next(self) -> None:
        """Let the next callback begin; the executor must be woken to notice. The callback calls it."""
        with self._lock:
            if self._thread == threading.get_ident():
                self._thread = None
