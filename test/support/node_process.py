"""A node in a process of its own, as ``ros2 run`` would start it, with its output kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path


class NodeProcess:
    """A child process in its own process group.

    Args:
        command: Arguments after the Python interpreter of this environment.
        env: Added to the environment of the child.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None = None):
        self.command = tuple(command)
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def output(self) -> str:
        """Everything written so far, standard error included."""
        with self._changed:
            return "".join(self._lines)

    def wait_for_output(self, text: str, timeout: float = 30.0) -> None:
        """Wait until ``text`` was written; AssertionError after ``timeout`` [s] or at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or text in "".join(self._lines), timeout)
            written = "".join(self._lines)
        assert text in written, f"{self.command} never wrote {text!r}; it wrote:\n{written}"

    def kill(self) -> None:
        """End the node at once, as a crash would (SIGKILL)."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def stop(self, timeout: float = 10.0) -> int:
        """End the node as Ctrl-C would and return its exit code; SIGKILL after ``timeout`` [s]."""
        if self.process.poll() is None:
            self._signal(signal.SIGINT)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        # Also the children the node may have left behind.
        self._signal(signal.SIGKILL)
        self._reader.join(timeout)
        return self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass


def node_command(
    module: str,
    params_file: Path | None = None,
    params: Mapping[str, object] | None = None,
    remap: Mapping[str, str] | None = None,
    name: str | None = None,
) -> list[str]:
    """Return the arguments that start ``asyncvla_ros.ros.<module>`` with parameters and remappings."""
    command = ["-m", f"asyncvla_ros.ros.{module}", "--ros-args"]
    if name is not None:
        command += ["-r", f"__node:={name}"]
    if params_file is not None:
        command += ["--params-file", str(params_file)]
    for key, value in (params or {}).items():
        # ROS reads parameter values as YAML.
        command += ["-p", f"{key}:={str(value).lower() if isinstance(value, bool) else value}"]
    for source, target in (remap or {}).items():
        command += ["-r", f"{source}:={target}"]
    return command
