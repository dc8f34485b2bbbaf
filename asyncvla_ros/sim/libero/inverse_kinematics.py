"""Inverse kinematics that puts the arm at a pose without motion, for images of it there."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

_ITERATIONS = 30
#: Tolerance of the hand's pose, and damping of the steps towards it.
_NEAR_M, _NEAR_RAD, _DAMPING = 0.005, 0.05, 1e-3
#: Greatest step of a joint [rad].
_STEP_RAD = 0.3


def put_hand(env: Any, position: np.ndarray, rotation: np.ndarray, opening: float) -> bool:
    """Put the point between the fingertips at a pose, without regard to collisions.

    Args:
        env: The robosuite environment.
        position: (3,) in the world [m].
        rotation: (3, 3) in the world.
        opening: Distance of each finger from the middle [m].

    Returns:
        Whether the arm reaches the pose; if not, it has not moved.
    """
    robot, model, data = env.robots[0], env.sim.model._model, env.sim.data._data
    before, site, jacobian = data.qpos.copy(), robot.eef_site_id, np.zeros((6, model.nv))
    for _ in range(_ITERATIONS):
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        error = _error(data.site_xpos[site], data.site_xmat[site].reshape(3, 3), position, rotation)
        if np.linalg.norm(error[:3]) < _NEAR_M and np.linalg.norm(error[3:]) < _NEAR_RAD:
            data.qpos[robot._ref_gripper_joint_pos_indexes] = opening, -opening
            env.sim.forward()
            return True
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
        arm = jacobian[:, robot._ref_joint_vel_indexes]
        step = arm.T @ np.linalg.solve(arm @ arm.T + _DAMPING * np.eye(6), error)
        data.qpos[robot._ref_joint_pos_indexes] += np.clip(step, -_STEP_RAD, _STEP_RAD)
    data.qpos[:] = before
    env.sim.forward()
    return False


def _error(at: np.ndarray, turned: np.ndarray, position: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return the difference (6,) of two poses: translation [m] and rotation vector [rad]."""
    return np.concatenate([position - at, Rotation.from_matrix(rotation @ turned.T).as_rotvec()])
