"""Asks a running policy for its parameters and its checkpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from rcl_interfaces.srv import GetParameters
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python

from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError

# Parameters of policy_node that are recorded.
NAMES = (
    *("checkpoint", "device", "commit", "seed", "max_observation_age_s", "max_skew_s"),
    *(field.name for field in fields(Strategy)),
)


class AskedPolicy:
    """Asks a policy's node for its parameters.

    Threads: the executor's; ``_identify`` runs in another one and hands its result to the executor's.

    Args:
        node: Owner of the client.
        policy: Name of the policy's node.
    """

    def __init__(self, node: Node, policy: str):
        self._node = node
        self._client: Any = node.create_client(GetParameters, f"{policy}/get_parameters")

    def ask(self, describe: Callable[..., None]) -> None:
        """Send the request; the answer comes later, or never.

        Args:
            describe: Called with ``policy``, its parameters, and later with ``checkpoint``, its fingerprint.
        """
        if self._client.service_is_ready():
            future = self._client.call_async(GetParameters.Request(names=list(NAMES)))
            future.add_done_callback(partial(self._answered, describe))

    def close(self) -> None:
        """Destroy the client."""
        self._node.destroy_client(self._client)

    def _answered(self, describe: Callable[..., None], future: Any) -> None:
        values = [parameter_value_to_python(value) for value in future.result().values]
        if len(values) != len(NAMES):
            # Another policy node, with other parameters.
            return
        known: dict[str, Any] = dict(zip(NAMES, values, strict=True))
        describe(policy=known)
        # Reading a checkpoint of gigabytes takes seconds, in which the executor would take no message.
        threading.Thread(
            target=self._identify, args=(known["checkpoint"], describe), name="fingerprint", daemon=True
        ).start()

    def _identify(self, checkpoint: str, describe: Callable[..., None]) -> None:
        try:
            known = fingerprint(Path(checkpoint or shipped_checkpoint()).expanduser())
        except (AsyncVLAError, OSError):
            return
        if self._node.executor is not None:
            self._node.executor.create_task(partial(describe, checkpoint=known))
