"""The ``asyncvla serve`` command."""

from __future__ import annotations

import asyncio
import ipaddress
import sys

from asyncvla_ros.cli.settings_command import with_settings
from asyncvla_ros.serve.settings import ServeSettings


@with_settings
def serve(settings: ServeSettings) -> None:
    """Let other programs ask a policy for actions, over a WebSocket; see docs/serve.md."""
    from asyncvla_ros.common.provenance import provenance
    from asyncvla_ros.model.checkpoint_files import fingerprint
    from asyncvla_ros.paths import shipped_checkpoint
    from asyncvla_ros.policy import Policy
    from asyncvla_ros.serve.server import run_server

    policy = Policy.from_checkpoint(settings.checkpoint, settings.device, settings.threads)
    name = fingerprint(settings.checkpoint or shipped_checkpoint())
    about = {"checkpoint": name, "device": settings.device, **provenance()}
    host = settings.host
    if not _is_loopback(host):
        print(
            f"asyncvla: --host {host}: there is no authentication; "
            "whoever reaches this address can use the policy",
            file=sys.stderr,
        )

    def ready(bound: int) -> None:
        address = f"[{host}]" if ":" in host else host
        print(f"serving {name} at ws://{address}:{bound}", flush=True)

    asyncio.run(run_server(policy, host, settings.port, about=about, on_ready=ready))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
