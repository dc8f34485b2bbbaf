"""``asyncvla bench stack``: from the stamp of an image to the command that answers it, stage by stage."""

from __future__ import annotations

import bisect
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from std_msgs.msg import Header

from asyncvla_msgs.msg import ActionChunk, ActionCommand
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import COMMAND_HZ, write_contract
from asyncvla_ros.ros.bench.graph import START_S, start_graph
from asyncvla_ros.ros.bench.observer import Observer, tails
from asyncvla_ros.ros.bench.settings import StackSettings
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment
from asyncvla_ros.ros.processes import NodeProcesses

# Chunks that a command answered before the measurement: caches fill, discovery ends.
WARM_UP = 60


@dataclass
class _StackTimes:
    """Times in ns of the system clock, at the observer."""

    pictures: list[int] = field(default_factory=list)
    chunks: dict[int, tuple[int, int, float]] = field(default_factory=dict)
    answers: dict[int, int] = field(default_factory=dict)
    commands: list[int] = field(default_factory=list)

    def note_picture(self, header: Header, now_ns: int) -> None:
        """Keep the stamp of the images."""
        self.pictures.append(to_ns(header.stamp))

    def picture_of(self, observation_ns: int) -> int:
        """Return the stamp of an observation's images [ns]; it is as old as the oldest of its parts."""
        return self.pictures[bisect.bisect_left(self.pictures, observation_ns)]

    def note_chunk(self, message: ActionChunk, now_ns: int) -> None:
        """Keep the times of observation and arrival [ns], and how long inference took [ms]."""
        latency_ms = to_ns(message.inference_latency) / 1e6
        self.chunks[message.chunk_id] = (to_ns(message.header.stamp), now_ns, latency_ms)

    def note_command(self, message: ActionCommand, now_ns: int) -> None:
        """Keep the arrival of every command, and of the first one from each chunk."""
        self.commands.append(now_ns)
        if message.source == ActionCommand.SOURCE_CHUNK:
            self.answers.setdefault(message.chunk_id, now_ns)


def bench_stack(settings: StackSettings) -> dict[str, Any]:
    """Run the graph with a policy that costs nothing.

    Returns:
        p50, p95 and p99 [ms] of

        - ``camera_to_observation_ms``: stamp of the images to the begin of inference,
        - ``inference_ms``: decoding, policy, conversion,
        - ``camera_to_chunk_ms``: to the arrival of the chunk,
        - ``camera_to_command_ms``: to the arrival of the first command from it,
        - ``control_jitter_ms``: by how much later than a period a command follows the one before it.

    Raises:
        RunError: a node failed, or did not come up.
    """
    record = _StackTimes()
    with isolated_domain() as isolation, tempfile.TemporaryDirectory() as folder:
        os.environ.update({**isolation, **fastdds_environment(processes=4)})
        contract = write_contract(Path(folder), settings.transport)
        with NodeProcesses(Path(folder) / "logs", {}) as nodes, Observer(nodes) as observer:
            observer.subscribe(Header, "arm/shutter", qos.COMMAND, record.note_picture)
            observer.subscribe(ActionChunk, "policy/action_chunk", qos.CHUNK, record.note_chunk)
            observer.subscribe(ActionCommand, "controller/command", qos.COMMAND, record.note_command)
            arm = {key: value for key, value in asdict(settings).items() if key != "seconds"}
            start_graph(nodes, contract, arm)
            observer.wait(lambda: len(record.answers) >= WARM_UP, "commands that answer chunks", START_S)
            first = max(record.chunks)
            begun = len(record.commands)
            wanted = len(record.chunks) + round(settings.seconds * settings.hz)
            observer.wait(lambda: len(record.chunks) >= wanted, "chunks", 2 * settings.seconds + START_S)
    measured = {key: times for key, times in record.chunks.items() if key > first}
    pictures = {key: record.picture_of(stamp) for key, (stamp, _, _) in measured.items()}
    seen = [(arrived - pictures[key]) / 1e6 for key, (_, arrived, _) in measured.items()]
    inference = [latency for _, _, latency in measured.values()]
    answers = [(record.answers[key] - pictures[key]) / 1e6 for key in measured if key in record.answers]
    late = np.diff(record.commands[begun:]) / 1e6 - 1e3 / COMMAND_HZ
    return {
        "camera_to_observation_ms": tails([s - i for s, i in zip(seen, inference, strict=True)]),
        "inference_ms": tails(inference),
        "camera_to_chunk_ms": tails(seen),
        "camera_to_command_ms": tails(answers),
        "control_jitter_ms": tails(np.maximum(late, 0.0).tolist()),
        "chunks": len(measured),
        "commands": len(record.commands) - begun,
        "settings": asdict(settings),
    }
