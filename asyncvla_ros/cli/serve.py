"""The ``asyncvla serve`` command."""

from __future__ import annotations

import asyncio
import ipaddress
import sys
from typing import Annotated

import typer

from asyncvla_ros.cli.options import CheckpointOption, DeviceOption


def serve(
    checkpoint: CheckpointOption = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: one that is free.")] = 8765,
    device: DeviceOption = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of torch; default: its own choice.")
    ] = None,
) -> None:
    """Let other programs ask a policy for actions, over a WebSocket; see docs/serve.md."""
    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.model.checkpoint import fingerprint
    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.serve.server import run_server

    policy = Policy.from_checkpoint(checkpoint, device, threads)
    about = {"checkpoint": fingerprint(checkpoint or shipped_checkpoint()), "device": device, **provenance()}
    if not _is_loopback(host):
        print(
            f"asyncvla: --host {host}: there is no authentication; "
            "whoever reaches this address can use the policy",
            file=sys.stderr,
        )

    def ready(bound: int) -> None:
        name = f"[{host}]" if ":" in host else host
        print(f"serving {about['checkpoint']} at ws://{name}:{bound}", flush=True)

    asyncio.run(run_server(policy, host, port, about=about, on_ready=ready))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
