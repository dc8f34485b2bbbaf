from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from asyncvla_ros.sim.expert.motion import rotation_action, translation_action


def test_translation_is_proportional_and_limited() -> None:
    action = translation_action(np.zeros(3), np.array([0.01, -0.5, 0.0]))
    np.testing.assert_allclose(action, [0.24, -1.0, 0.0])


def test_rotation_turns_towards_the_goal() -> None:
    goal = Rotation.from_euler("z", 0.1).as_matrix()
    np.testing.assert_allclose(rotation_action(np.eye(3), goal), [0, 0, 0.24], atol=1e-12)
    far = Rotation.from_euler("z", 2.0).as_matrix()
    np.testing.assert_allclose(rotation_action(np.eye(3), far), [0, 0, 0.5], atol=1e-12)
