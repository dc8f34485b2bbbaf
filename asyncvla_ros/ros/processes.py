"""Node processes that never outlive their parent."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from asyncvla_ros.ros.exit_codes import HOPELESS
from asyncvla_ros.types import AsyncVLAError, RunError

# Grace after SIGINT, then after SIGTERM, before SIGKILL [s].
_GRACE = (12.0, 3.0)
_TAIL_LINES = 15
_PR_SET_PDEATHSIG = 1


class NodeProcesses:
    """Starts nodes as ``ros2 launch`` would, one process each; leaving the block ends all of them.

    Args:
        logs: Folder of one log file per node.
        environment: Added to this process's environment.
    """

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = {**os.environ, **environment}
        self._commands: dict[str, tuple[list[str], dict[str, str]]] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> NodeProcesses:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        module: str,
        files: Sequence[Path],
        parameters: Mapping[str, object],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``python -m module`` as node ``name`` with parameter files, then single parameters.

        ``environment``: variables for this node alone.
        """
        command = [sys.executable, "-m", module, "--ros-args", "-r", f"__node:={name}"]
        for file in files:
            command += ["--params-file", str(file)]
        for key, value in parameters.items():
            command += ["-p", f"{key}:={_yaml(value)}"]
        self._commands[name] = command, {**self._environment, **(environment or {})}
        (self._logs / f"{name}.log").unlink(missing_ok=True)
        self.restart(name)

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a node, which it may survive, such as SIGSTOP and SIGCONT."""
        _signal_group(self._running[name], number)

    def end(self, name: str, number: signal.Signals) -> int:
        """End one node by a signal; ``check`` no longer expects it to run.

        Returns:
            Its exit code, negative for the signal that killed it.

        Raises:
            RunError: It survived the signal.
        """
        process = self._running[name]
        _signal_group(process, number)
        try:
            code = process.wait(_GRACE[0])
        except subprocess.TimeoutExpired as error:
            text = f"node {name} still runs {_GRACE[0]:g} s after {number.name}\n{self.tail(name)}"
            raise RunError(text) from error
        del self._running[name]
        return code

    def restart(self, name: str) -> None:
        """Start a node that has ended once more, with the same command; append to its log."""
        command, environment = self._commands[name]
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # A group of its own: Ctrl-C reaches this process alone, which then ends the nodes in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    def check(self) -> None:
        """Check that all nodes run.

        Raises:
            RunError: One ended; with the end of its log.
            AsyncVLAError: The same, if its exit code says that starting it again cannot help.
        """
        for name, process in self._running.items():
            code = process.poll()
            if code is not None:
                error = AsyncVLAError if code in HOPELESS else RunError
                raise error(f"node {name} ended with exit code {code}\n{self.tail(name)}")

    def tail(self, name: str) -> str:
        """Return the last lines of a node's log."""
        file = self._logs / f"{name}.log"
        lines = file.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"--- {file}", *lines])

    def tails(self) -> str:
        """Return the last lines of the logs of all nodes that run."""
        return "\n".join(map(self.tail, self._running))

    def stop(self) -> None:
        """End all nodes, the last started first: SIGINT, then SIGTERM, then SIGKILL. Idempotent."""
        processes = list(reversed(self._running.values()))
        for process in processes:
            # A process that SIGSTOP has stopped would take no other signal.
            _signal_group(process, signal.SIGCONT)
        for number, grace in zip((signal.SIGINT, signal.SIGTERM), _GRACE, strict=True):
            for process in processes:
                _signal_group(process, number)
            for process in processes:
                try:
                    process.wait(grace)
                except subprocess.TimeoutExpired:
                    continue
        for process in processes:
            _signal_group(process, signal.SIGKILL)
            process.wait()
        self._running.clear()


def _yaml(value: object) -> str:
    """Quote a parameter for the command line, so that a folder named ``7`` or ``on`` stays a text."""
    return json.dumps(value if isinstance(value, bool | int | float) else str(value), ensure_ascii=False)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.poll() is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass


def _die_with_parent() -> None:
    """Have the kernel kill this child when its parent dies, however it dies; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
