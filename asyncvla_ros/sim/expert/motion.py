"""Common parts of the scripted expert's skills: phases and proportional control of the end effector."""

from __future__ import annotations

import enum
from typing import Protocol

import numpy as np
from scipy.spatial.transform import Rotation

#: One action unit of LIBERO's controller [m], [rad].
POSITION_UNIT_M = 0.05
ROTATION_UNIT_RAD = 0.5
#: Gripper straight down, fingers closing along world y.
DOWN = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
_GAIN = 1.2  # 1.5 overshoots
_MAX_ROTATION = 0.5
#: Time after which fingers that were told to close have closed [control steps].
CLOSING_STEPS = 20
_FINGERS_STOPPED_M_S = 0.01
_FINGER_VELOCITIES = slice(7, 9)


class Phase(enum.Enum):
    """Phase of a skill, on which the strength of disturbances depends."""

    HOVER = "hover"
    DESCEND = "descend"
    CLOSE = "close"
    LIFT = "lift"
    CARRY = "carry"
    LOWER = "lower"
    OPEN = "open"
    RETREAT = "retreat"


class Skill(Protocol):
    """A skill of the expert, nearly a function of the simulator's state."""

    @property
    def phase(self) -> Phase:
        """Phase of the skill."""

    def done(self) -> bool:
        """Return whether the skill's postcondition holds."""

    def act(self, *, drives: bool = True) -> np.ndarray:
        """Return the action for the current state, (7,) float32 in [-1, 1].

        Args:
            drives: whether it is executed, rather than that of a policy; else nothing follows from how long
                it takes.
        """


def closed_firmly(joint_velocities: np.ndarray, steps: int) -> bool:
    """Return whether closing fingers have stopped, or must have stopped after so many control steps.

    Args:
        joint_velocities: (9,), see ``Scene.joint_velocities``.
        steps: Control steps since they began to close.
    """
    speed = float(np.abs(joint_velocities[_FINGER_VELOCITIES]).max())
    return (steps > 5 and speed < _FINGERS_STOPPED_M_S) or steps > CLOSING_STEPS


def translation_action(position: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Compute the proportional step from ``position`` to ``goal``, both (3,) [m]; (3,) in action units."""
    return np.clip(_GAIN * (goal - position) / POSITION_UNIT_M, -1.0, 1.0)


def rotation_action(rotation: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Compute the proportional step between two rotations (3, 3), world axes; (3,) in action units."""
    error = Rotation.from_matrix(goal @ rotation.T).as_rotvec()
    return np.clip(_GAIN * error / ROTATION_UNIT_RAD, -_MAX_ROTATION, _MAX_ROTATION)


def motion_action(
    pose: tuple[np.ndarray, np.ndarray], goal: tuple[np.ndarray, np.ndarray], *, closed: bool
) -> np.ndarray:
    """Compute a step of the end effector from one pose towards another.

    Args:
        pose: position (3,) [m] and rotation (3, 3), in the world.
        goal: likewise.
        closed: whether the fingers close.

    Returns:
        (7,) float32 in [-1, 1].
    """
    gripper = [1.0 if closed else -1.0]
    translation, rotation = translation_action(pose[0], goal[0]), rotation_action(pose[1], goal[1])
    return np.concatenate([translation, rotation, gripper]).astype(np.float32)
