"""A Bridge task in mani-skill. Only the simulator's process imports this: see ``process.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from asyncvla_ros.sim.simpler.bridge.tasks import BridgeTask
from asyncvla_ros.sim.simpler.bridge.vulkan import render_backend

CAMERA = "3rd_view_camera"
CONTROL_MODE = "arm_pd_ee_target_delta_pose_align2_gripper_pd_joint_pos"
_EE_LINK = "ee_gripper_link"


@dataclass(frozen=True)
class BridgeState:
    """The world after a control step, or after a reset.

    Attributes:
        image: (480, 640, 3) uint8 RGB, robot and objects in front of the photograph.
        pose_ee_in_base: (4, 4) [m].
        fingers_m: (2,) positions of the finger joints [m].
        success: Whether the task is solved now.
        pose_source_in_base: (4, 4) pose of the object to move [m]; for an expert, never for a policy.
        pose_target_in_base: (4, 4) pose of its target [m]; likewise.
    """

    image: np.ndarray
    pose_ee_in_base: np.ndarray
    fingers_m: np.ndarray
    success: bool
    pose_source_in_base: np.ndarray
    pose_target_in_base: np.ndarray


class BridgeWorld:
    """One task, driven at 5 Hz.

    Args:
        task: The task, whose files must exist, see ``require_assets``.
    """

    def __init__(self, task: BridgeTask) -> None:
        import gymnasium
        import mani_skill.envs

        del mani_skill.envs  # imported for the environments that it registers
        self._env: Any = gymnasium.make(
            task.env_id,
            obs_mode="rgb+segmentation",
            control_mode=CONTROL_MODE,
            num_envs=1,
            sim_backend="physx_cpu",
            render_backend=render_backend(),
        ).unwrapped

    def reset(self, placement: int, seed: int) -> BridgeState:
        """Rebuild the scene and place the objects, so that nothing of earlier episodes remains.

        Args:
            placement: Index of the task's placement.
            seed: Seed of mani-skill.
        """
        observation, info = self._env.reset(seed=seed, options={"episode_id": placement, "reconfigure": True})
        return self._frame(observation, info)

    def step(self, command: np.ndarray) -> BridgeState:
        """Run one control step; continue after success, which would end an episode of mani-skill.

        Args:
            command: (7,) command of ``simulator_command``.
        """
        observation, _, _, _, info = self._env.step(np.asarray(command, np.float32))
        return self._frame(observation, info)

    def close(self) -> None:
        """Release the simulator."""
        self._env.close()

    def _frame(self, observation: dict[str, Any], info: dict[str, Any]) -> BridgeState:
        env = self._env
        robot = env.agent.robot
        return BridgeState(
            image=observation["sensor_data"][CAMERA]["rgb"][0].cpu().numpy(),
            pose_ee_in_base=self._in_base(robot.links_map[_EE_LINK].pose),
            fingers_m=robot.qpos[0, -2:].cpu().numpy().astype(np.float64),
            success=bool(info["success"][0]),
            pose_source_in_base=self._in_base(env.objs[env.source_obj_name].pose),
            pose_target_in_base=self._in_base(env.objs[env.target_obj_name].pose),
        )

    def _in_base(self, pose_in_world: Any) -> np.ndarray:
        relative = self._env.agent.robot.pose.inv() * pose_in_world
        return np.asarray(relative.to_transformation_matrix()[0].cpu().numpy(), np.float64)
