"""Logs a warning at once, and then less and less often while it stays true."""

from __future__ import annotations

import re
import time

from rclpy.node import Node

# Shortest and longest time between two log lines of a warning, and the silence after which it is new [s].
FIRST_S, LAST_S, QUIET_S = 2.0, 60.0, 10.0
_NUMBER = re.compile(r"\d[\d.]*")


class RepeatedWarning:
    """Writes warnings to the log of a node; texts that differ in numbers only are the same warning.

    ::

        said   x x x x x x x x x x x x x x x x x        every time something goes wrong
        log    x . x . . . x . . . . . . . x . .        after 2, 4, 8, ... up to 60 s

    Args:
        node: The node whose log it is.
    """

    def __init__(self, node: Node):
        self._node = node
        self._text = ""
        self._said_s = self._due_s = self._wait_s = 0.0

    def say(self, text: str) -> bool:
        """Write the warning unless it was written lately; return whether it was written now."""
        now_s, form = time.monotonic(), _NUMBER.sub("#", text)
        if form != self._text or now_s - self._said_s > QUIET_S + self._wait_s:
            self._text, self._wait_s, self._due_s = form, FIRST_S, now_s
        self._said_s = now_s
        if now_s < self._due_s:
            return False
        self._due_s, self._wait_s = now_s + self._wait_s, min(2 * self._wait_s, LAST_S)
        self._node.get_logger().warning(text)
        return True
