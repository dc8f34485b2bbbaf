"""Which path is to be seen now, from chunks and robot state as they arrive."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.control.chunk_path import ChunkPath
from asyncvla_ros.control.safety import Rejection, check_content
from asyncvla_ros.observe.state_trace import StateTrace
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.kinematics import Chain, load_chain
from asyncvla_ros.types import ContractError
from asyncvla_ros.view.chunk_view import ChunkView, chunk_view, is_stale

# Older robot state is not looked up: no policy answers so late [ns].
TRACE_SPAN = 10 * 10**9


class ChunkDisplay:
    """The newest chunk, drawn from where the robot was when the chunk's observation was made.

    Args:
        robot: Base frame, state, action dims and when a chunk is stale.

    Raises:
        ContractError: the actions of this robot cannot be drawn, see ``ChunkPath``.
    """

    def __init__(self, robot: RobotContract):
        self._path = ChunkPath(robot)
        self._robot = robot
        self._base_frame = robot.base_frame
        self._timeout_ns = round(1e9 * robot.chunk_timeout_s)
        self._traces = {source.topic: StateTrace(TRACE_SPAN) for source in robot.state}
        self._chain: Chain | None = None
        self._chunk: StampedChunk | None = None
        self._points: np.ndarray | None = None
        self._rejection: Rejection | None = None
        self.problem = ""

    @property
    def needs_description(self) -> bool:
        """Whether the path takes the robot's URDF: joint actions."""
        return not self._path.is_cartesian

    def describe(self, urdf: str, tip_link: str) -> None:
        """Take the URDF; ContractError if it has no chain from the base frame to ``tip_link``."""
        self._chain = load_chain(urdf, self._base_frame, tip_link)

    def observe(self, topic: str, stamp_ns: int, values: Mapping[str, float]) -> None:
        """Take the part of the robot's state that came on ``topic``, measured at ``stamp_ns`` [ns]."""
        self._traces[topic].add(stamp_ns, values)

    def show(self, chunk: StampedChunk) -> None:
        """Replace the chunk that is shown; one that is none of this robot is nothing to see."""
        self._rejection = check_content(chunk, self._robot)
        self._chunk, self._points = (None if self._rejection else chunk), None

    def chunk(self, now_ns: int) -> StampedChunk | None:
        """Return the chunk that counts at ``now_ns`` [ns]; None when there is none, it is stale or an end."""
        if self._chunk is None or self._chunk.is_end or is_stale(self._chunk, now_ns, self._timeout_ns):
            return None
        return self._chunk

    def view(self, now_ns: int) -> ChunkView | None:
        """Return what to draw at ``now_ns`` [ns]; None: nothing, and ``problem`` says why if that is an error."""
        self.problem = "" if self._rejection is None else f"chunk rejected: {self._rejection}"
        chunk = self.chunk(now_ns)
        if chunk is None:
            return None
        if self._points is None:
            measured: dict[str, float] = {}
            for trace in self._traces.values():
                measured.update(trace.at(chunk.stamp_ns) or {})
            try:
                self._points = self._path.points(chunk, measured, self._chain)
            except ContractError as error:
                self.problem = str(error)
                return None
        return chunk_view(chunk, self._points, now_ns)
