"""The path to display now, from chunks and robot state as they arrive."""

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

# Age up to which robot state is stored [ns]; no policy answers later.
TRACE_SPAN = 10 * 10**9


class ChunkDisplay:
    """The newest chunk as a path from the robot's pose at the chunk's observation.

    Args:
        robot: Base frame, state, action dims and timeout of chunks.

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
        """Whether the path needs the robot's URDF, as joint actions do."""
        return not self._path.is_cartesian

    def describe(self, urdf: str, tip_link: str) -> None:
        """Set the URDF; ContractError if it has no chain from the base frame to ``tip_link``."""
        self._chain = load_chain(urdf, self._base_frame, tip_link)

    def observe(self, topic: str, stamp_ns: int, values: Mapping[str, float]) -> None:
        """Note the part of the robot's state on ``topic``, measured at ``stamp_ns`` [ns]."""
        self._traces[topic].add(stamp_ns, values)

    def show(self, chunk: StampedChunk) -> None:
        """Replace the displayed chunk; a chunk that does not fit this robot is not displayed."""
        self._rejection = check_content(chunk, self._robot)
        self._chunk, self._points = (None if self._rejection else chunk), None

    def chunk(self, now_ns: int) -> StampedChunk | None:
        """Return the valid chunk at ``now_ns`` [ns]; None without one, or if it is stale or an end."""
        if self._chunk is None or self._chunk.is_end or is_stale(self._chunk, now_ns, self._timeout_ns):
            return None
        return self._chunk

    def view(self, now_ns: int) -> ChunkView | None:
        """Return the view at ``now_ns`` [ns]; None: nothing to draw, with an error in ``problem``."""
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
