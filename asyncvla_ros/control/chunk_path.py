"""The path of the end effector that a chunk describes: one point per action, in the base frame."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.robot.contract import JointStateSource, PoseSource, RobotContract
from asyncvla_ros.robot.kinematics import Chain
from asyncvla_ros.types import ContractError


class ChunkPath:
    """Predict end-effector positions from chunks.

    ::

        delta_ee_pose         p_i = p_{i-1} + a_i                p_0 measured
        ee_pose               p_i = a_i                          p_0 measured
        joint_position        p_i = FK(a_i)                      p_0 = FK(q_0), q_0 measured
        delta_joint_position  p_i = FK(q_i), q_i = q_{i-1} + a_i

    A joint that is no action dim, such as a torso joint, stays as measured.

    Args:
        robot: Defines the action dims.

    Raises:
        ContractError: a Cartesian action space whose first three dims are no lengths, or a robot that
            measures no pose.
    """

    def __init__(self, robot: RobotContract):
        self.is_cartesian = robot.action_space.endswith("ee_pose")
        self._is_delta = robot.action_space.startswith("delta_")
        self._space, self._dofs = robot.action_space, robot.dof_names
        poses = [source for source in robot.state if isinstance(source, PoseSource)]
        if self.is_cartesian:
            units = [dof.unit for dof in robot.dofs[:3]]
            if units != ["m"] * 3 or not poses:
                raise ContractError(
                    f"robot {robot.name}: to draw {robot.action_space}, the first three dofs must be a "
                    f"position [m] and the state must contain a PoseStamped; found units "
                    f"{', '.join(units)} and {len(poses)} poses"
                )
        self._position = poses[0].names[:3] if poses else ()
        sources = [source for source in robot.state if isinstance(source, JointStateSource)]
        self._joints = {
            name: joint for source in sources for name, joint in zip(source.names, source.joints, strict=True)
        }

    def points(
        self, chunk: StampedChunk, measured: Mapping[str, float], chain: Chain | None = None
    ) -> np.ndarray:
        """Compute the path of a chunk.

        Args:
            chunk: Actions (l, d), physical units.
            measured: State name to value when the observation was made.
            chain: Base to end effector, for joint actions.

        Returns:
            (l + 1, 3) float64 [m]: the measured position, then one position per action.

        Raises:
            ContractError: the chunk does not fit this robot, or a measured value or the chain is missing.
        """
        if chunk.action_space != self._space or chunk.dof_names != self._dofs or chunk.actions.ndim != 2:
            raise ContractError(
                f"chunk {chunk.chunk_id}: expected {self._space} of {', '.join(self._dofs)}, found "
                f"{chunk.action_space} of {', '.join(chunk.dof_names)} with shape {chunk.actions.shape}"
            )
        if not np.isfinite(chunk.actions).all():
            raise ContractError(f"chunk {chunk.chunk_id}: not all actions are finite")
        actions = chunk.actions.astype(np.float64)
        if self.is_cartesian:
            if not set(self._position) <= set(measured):
                raise ContractError("no pose of the end effector was measured")
            return self._cartesian(actions[:, :3], measured)
        if chain is None:
            raise ContractError("joint actions cannot be drawn without a robot description")
        return self._joint(actions, measured, chain)

    def _cartesian(self, actions: np.ndarray, measured: Mapping[str, float]) -> np.ndarray:
        start = np.array([[measured[name] for name in self._position]])
        moved = start + np.cumsum(actions, axis=0) if self._is_delta else actions
        return np.concatenate([start, moved])

    def _joint(self, actions: np.ndarray, measured: Mapping[str, float], chain: Chain) -> np.ndarray:
        positions = {self._joints.get(name, name): value for name, value in measured.items()}
        driven = [self._joints.get(name, name) for name in self._dofs]
        poses = [chain.pose(positions)]
        for action in actions:
            for joint, value in zip(driven, action.tolist(), strict=True):
                positions[joint] = positions.get(joint, 0.0) * self._is_delta + value
            poses.append(chain.pose(positions))
        return np.array([pose[:3, 3] for pose in poses])
