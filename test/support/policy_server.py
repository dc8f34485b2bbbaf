"""A policy server in a process of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.node_process import NodeProcess


@contextmanager
def policy_server(checkpoint: Path) -> Iterator[tuple[NodeProcess, str]]:
    """Start ``asyncvla serve`` at a free port; yield the process and its address once it answers."""
    process = NodeProcess(
        ("-m", "asyncvla_ros.cli", "serve", "--checkpoint", str(checkpoint), "--port", "0", "--threads", "1")
    )
    try:
        process.wait_for_output("serving ", timeout=120)
        match = re.search(r"ws://127\.0\.0\.1:\d+", process.output)
        assert match, process.output
        yield process, match[0]
    finally:
        process.stop()
