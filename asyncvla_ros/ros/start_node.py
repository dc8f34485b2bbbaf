"""How the executables of this package start. Whoever presses Ctrl-C while they load sees no traceback."""

from __future__ import annotations

import importlib
import os
import signal


def start_node(package: str) -> None:
    """Load and run ``asyncvla_ros.ros.PACKAGE.node``."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Nothing has begun; the node has handlers of its own once it is there.
        signal.signal(number, lambda *_: os._exit(0))
    importlib.import_module(f"asyncvla_ros.ros.{package}.node").main()
