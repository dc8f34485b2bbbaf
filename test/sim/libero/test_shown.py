"""What the simulator shows in each convention, beside what robosuite itself says."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from asyncvla_ros.sim.libero.conventions import CameraView, LiberoConventions
from asyncvla_ros.sim.libero.env import IDLE_ACTION, LiberoEnv

pytestmark = pytest.mark.libero

PUBLIC = LiberoConventions(
    cameras=(CameraView("image", "agentview", 256, 256), CameraView("image2", "wrist", 128, 192)),
    state="axis_angle",
    images="mirrored",
)


@pytest.fixture(scope="module")
def env() -> Iterator[LiberoEnv]:
    with LiberoEnv("libero_object", 1, render="decimated") as made:
        yield made


def test_the_public_state_is_that_of_robosuite_on_both_sides_of_pi(env: LiberoEnv) -> None:
    from robosuite.utils.transform_utils import quat2axisangle

    sensors = ("robot0_eef_pos", "robot0_eef_quat", "robot0_gripper_qpos")
    env.reset_to_init(0)
    lengths = []
    for turn in (-1.0, 1.0, 1.0):
        for _ in range(12):
            env.step(np.array([0.3, 0.2, 0.1, turn, 0, 0, turn]))
        for name in sensors:
            env._env._observables[name].set_enabled(True)
        seen = env._env._get_observations(force_update=True)
        for name in sensors:
            env._env._observables[name].set_enabled(False)
        position, quat_xyzw, fingers = (seen[name] for name in sensors)
        expected = np.concatenate([position, quat2axisangle(quat_xyzw), fingers])
        state = env.state(PUBLIC)
        assert state.shape == (8,) and state.dtype == np.float32
        np.testing.assert_allclose(state, expected, atol=1e-6)
        lengths.append(np.linalg.norm(state[3:6]))
    assert min(lengths) < np.pi < max(lengths), "one of them turned the long way round"


def robosuite_image(env: LiberoEnv, camera: str, height: int, width: int) -> np.ndarray:
    """Render an image as robosuite's own observation has it."""
    sensors, _ = env._env._create_camera_sensors(camera, width, height, cam_d=False, cam_segs=None)
    return np.array(sensors[0]({}))


def test_public_images_are_those_of_robosuite_turned_by_180_degrees(env: LiberoEnv) -> None:
    env.reset_to_init(0)
    images = env.render_images(PUBLIC)
    for key, camera, height, width in (
        ("image", "agentview", 256, 256),
        ("image2", "robot0_eye_in_hand", 128, 192),
    ):
        raw = robosuite_image(env, camera, height, width)
        assert images[key].shape == (height, width, 3) and images[key].std() > 10
        np.testing.assert_array_equal(images[key], np.rot90(raw, 2))
    upside_down = env.render_images(LiberoConventions(images="upside_down"))["agentview"]
    np.testing.assert_array_equal(upside_down, robosuite_image(env, "agentview", 224, 224))


def test_upright_images_have_things_where_the_camera_sees_them(env: LiberoEnv) -> None:
    env.reset_to_init(0)
    sim = env._env.sim
    camera = sim.model.camera_name2id("agentview")
    basket = env.scene.body_position("basket_1") - sim.data.cam_xpos[camera]
    right, up, back = sim.data.cam_xmat[camera].reshape(3, 3).T @ basket
    focal = 112 / np.tan(np.deg2rad(sim.model.cam_fovy[camera]) / 2)
    column, row = int(112 + focal * right / -back), int(112 - focal * up / -back)
    assert abs(column - 112) > 40, "the basket stands aside"

    def brightness(image: np.ndarray, column: int) -> float:
        return float(image[row - 8 : row + 8, column - 8 : column + 8].mean())

    upright = env.render_images()["agentview"]
    mirrored = env.render_images(LiberoConventions(images="mirrored"))["agentview"]
    assert brightness(upright, column) > brightness(upright, 223 - column) + 30
    assert brightness(mirrored, 223 - column) > brightness(mirrored, column) + 30


@pytest.mark.parametrize(
    ("gripper", "opened", "closed"), [("env", -1, 1), ("open_is_one", 1, 0), ("closed_is_one", 0, 1)]
)
def test_the_gripper_opens_and_closes(env: LiberoEnv, gripper: str, opened: float, closed: float) -> None:
    env.reset_to_init(0)
    conventions = LiberoConventions(gripper=gripper)
    widths = []
    for value in (closed, opened):
        action = IDLE_ACTION.copy()
        action[-1] = value
        for executed in conventions.env_actions(np.tile(action, (20, 1))):
            env.step(executed)
        left, right = env.joint_positions[7:]
        widths.append(left - right)
    assert widths[0] < 0.01 and widths[1] > 0.07


def test_an_observation_in_a_convention_has_all_of_it(env: LiberoEnv) -> None:
    env.reset_to_init(0)
    observation = env.observe(5, PUBLIC)
    assert list(observation.images) == ["image", "image2"]
    assert (observation.state.shape, observation.stamp_ns) == ((8,), 5)
