"""Reads keys from a terminal, one by one."""

from __future__ import annotations

import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable


class Keyboard:
    """Calls back for each key, in a thread of its own; use as a context manager.

    Args:
        pressed: Called with each character.
    """

    def __init__(self, pressed: Callable[[str], None]):
        self._pressed = pressed
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._read, name="keyboard", daemon=True)

    @staticmethod
    def is_there() -> bool:
        """Return whether there is a terminal to read keys from."""
        return sys.stdin is not None and sys.stdin.isatty()

    def __enter__(self) -> Keyboard:
        self._settings = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stop, b"\0")
        self._thread.join()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._settings)

    def _read(self) -> None:
        descriptor = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([descriptor, self._stopped], [], [])
            if self._stopped in ready:
                return
            text = os.read(descriptor, 64).decode("utf-8", "ignore")
            if not text:
                return
            for key in text:
                self._pressed(key)
