"""State and action of BridgeData, and their conversion for mani-skill's WidowX.

state  = x y z, euler xyz of R_ee_in_base · Rᵀ, 0, openness          (R: default orientation of the gripper)
action = dx dy dz, droll dpitch dyaw, open (1) or closed (0)
command of mani-skill = dx dy dz, rotation vector, 1 (open) or -1 (closed)
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.types import ContractError, FeatureContract

ACTION_HZ = 5.0
STATE_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "pad", "gripper")
ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
ACTION_SPACE = "delta_ee_pose"
#: Default rotation in BridgeData: the gripper points down, so that its angles are small.
DEFAULT_ROTATION = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
#: Positions of a closed and of an open finger [m].
FINGER_CLOSED_M, FINGER_OPEN_M = 0.015, 0.037


def bridge_state(pose_ee_in_base: np.ndarray, fingers_m: np.ndarray) -> np.ndarray:
    """Compute the state for a policy trained on BridgeData.

    Args:
        pose_ee_in_base: (4, 4) pose of ``ee_gripper_link`` [m].
        fingers_m: (2,) positions of the finger joints [m].

    Returns:
        (8,) float32 in the order of STATE_NAMES; openness is from 0 (closed) to 1 (open).
    """
    rotation = Rotation.from_matrix(pose_ee_in_base[:3, :3] @ DEFAULT_ROTATION.T)
    openness = np.mean((fingers_m - FINGER_CLOSED_M) / (FINGER_OPEN_M - FINGER_CLOSED_M))
    angles = rotation.as_euler("xyz", suppress_warnings=True)
    return np.array([*pose_ee_in_base[:3, 3], *angles, 0.0, np.clip(openness, 0.0, 1.0)], dtype=np.float32)


def simulator_command(action: np.ndarray) -> np.ndarray:
    """Convert an action of a policy to a command of mani-skill's controller.

    The rotation is a vector, as in SimplerEnv's clients. mani-skill 3 reads its three numbers as successive
    turns about the axes, which differs by at most 0.2 degrees for 0.1 rad.

    Args:
        action: (7,) in the order of ACTION_NAMES [m, rad].

    Returns:
        (7,) float64: translation [m], rotation vector [rad], gripper -1 or 1.
    """
    action = np.asarray(action, np.float64)
    rotation = Rotation.from_euler("xyz", action[3:6]).as_rotvec()
    return np.array([*action[:3], *rotation, 1.0 if action[6] > 0.5 else -1.0])


def require_bridge_policy(features: FeatureContract) -> None:
    """Check before the simulator starts that a policy can act in it.

    Raises:
        ContractError: If it cannot; the message says what was found and expected.
    """
    found = {
        "cameras": len(features.cameras),
        "state dims": len(features.state_names),
        "action dims": len(features.action_names),
        "action_space": features.action_space,
        "action_hz": features.action_hz,
    }
    expected = {
        "cameras": 1,
        "state dims": len(STATE_NAMES),
        "action dims": len(ACTION_NAMES),
        "action_space": ACTION_SPACE,
        "action_hz": ACTION_HZ,
    }
    wrong = [
        f"{name} {found[name]}, expected {expected[name]}" for name in found if found[name] != expected[name]
    ]
    if wrong:
        raise ContractError(
            f"the policy is not one for Bridge: {'; '.join(wrong)} (state {' '.join(STATE_NAMES)}, action "
            f"{' '.join(ACTION_NAMES)})"
        )
