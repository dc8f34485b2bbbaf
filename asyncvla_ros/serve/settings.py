"""Settings of a policy server; apart, so that the command line needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.common.options import checkpoint_option, device_option, option


@dataclass(frozen=True)
class ServeSettings:
    """What to serve, and where.

    Attributes:
        checkpoint: Folder of the policy; None for the shipped one.
        host: Address to listen at.
        port: TCP port; 0 for one that is free.
        device: torch device.
        threads: CPU threads of torch; None for its own choice.
    """

    checkpoint: Path | None = checkpoint_option()
    host: str = option("127.0.0.1", "Address to listen at.")
    port: int = option(8765, "0: one that is free.", 0, maximum=65535)
    device: str = device_option()
    threads: int | None = option(None, "CPU threads of torch; default: its own choice.", 1)
