"""A Bridge task in a separate process, the only one that imports mani-skill and loads its Vulkan."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import numpy as np

from asyncvla_ros.paths import PACKAGE
from asyncvla_ros.sim.simpler.bridge.tasks import BridgeTask, require_assets
from asyncvla_ros.sim.simpler.bridge.vulkan import REMEDY, vulkan_environment
from asyncvla_ros.sim.simpler.bridge.world import BridgeState
from asyncvla_ros.types import AsyncVLAError, RunError

_SERVER = "asyncvla_ros.sim.simpler.bridge.server"
#: Time for the process to end before it is killed [s].
_END_S = 10.0
_LAST_LINES = 5
#: Message of SAPIEN without a device to render with.
_NO_VULKAN = ("rendering device", "ErrorIncompatibleDriver", "Vulkan", "vk::")


class BridgeSim:
    """The handle of the simulator's process: ``reset``, then ``step``.

    Args:
        task: The task.

    Raises:
        AsyncVLAError: Files of the task or a Vulkan driver are missing.
        RunError: The simulator cannot start; from any method, if it has ended.
    """

    def __init__(self, task: BridgeTask) -> None:
        require_assets(task)
        self.task = task
        self._output = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115  closed by close()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _SERVER, str(theirs.fileno()), task.name],
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                pass_fds=[theirs.fileno()],
                env=_environment(),
            )
        self._connection = Connection(ours.detach())
        try:
            self._receive()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> BridgeSim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Process id of the simulator."""
        return self._process.pid

    def reset(self, placement: int, seed: int) -> BridgeState:
        """Begin an episode from one of the task's placements.

        Raises:
            AsyncVLAError: The placement does not exist.
        """
        if not 0 <= placement < self.task.placements:
            raise AsyncVLAError(
                f"Bridge task {self.task.name!r} has placements 0 to {self.task.placements - 1}, "
                f"got {placement}"
            )
        return self._ask("reset", placement, seed)

    def step(self, command: np.ndarray) -> BridgeState:
        """Run one control step (1/5 s) with a command (7,) of ``simulator_command``."""
        return self._ask("step", command)

    def close(self) -> None:
        """End the process; idempotent."""
        self._connection.close()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    def _ask(self, *request: Any) -> BridgeState:
        try:
            self._connection.send(request)
        except OSError as error:
            raise self._ended() from error
        frame = self._receive()
        assert frame is not None, "only the first answer has no frame"
        return frame

    def _receive(self) -> BridgeState | None:
        try:
            done, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        if done:
            return answer
        if any(word in answer for word in _NO_VULKAN):
            raise AsyncVLAError(f"the simulator finds nothing to render with ({answer}); {REMEDY}")
        raise RunError(f"the simulator of Bridge task {self.task.name!r} failed: {answer}")

    def _ended(self) -> RunError:
        code = self._process.wait()
        self._output.seek(0)
        last = " | ".join(self._output.read().splitlines()[-_LAST_LINES:])
        return RunError(
            f"the simulator of Bridge task {self.task.name!r} ended with exit code {code}; its last words: "
            f"{last or 'none'}"
        )


def _environment() -> dict[str, str]:
    """Return the environment of the simulator's process, with this package on its path."""
    variables = vulkan_environment(os.environ)
    path = [str(PACKAGE.parent), *filter(None, [variables.get("PYTHONPATH")])]
    return {**variables, "PYTHONPATH": os.pathsep.join(path)}
