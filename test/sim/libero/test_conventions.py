"""Contracts of public datasets, as a policy trained on each would have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.robot.feature_file import load_features
from asyncvla_ros.sim.libero.conventions import (
    OWN,
    CameraView,
    LiberoConventions,
    conventions_of,
    require_gripper_range,
)
from asyncvla_ros.types import AsyncVLAError, CameraFeature, FeatureContract
from support.policies import LIBERO_FEATURES

IPEC_STATE = ("x", "y", "z", "roll", "pitch", "yaw", "gripper_0", "gripper_1")
NUMBERED = tuple(f"state_{place}" for place in range(8))


def contract(*cameras: str, **changes: Any) -> FeatureContract:
    """Of a public dataset with these cameras of 256 x 256 pixels."""
    values = {
        "cameras": tuple(CameraFeature(key, 256, 256) for key in cameras),
        "state_names": NUMBERED,
        "action_names": tuple(f"action_{place}" for place in range(7)),
        **changes,
    }
    return replace(LIBERO_FEATURES, **values)


def test_our_own_policies_see_what_was_recorded() -> None:
    assert conventions_of(LIBERO_FEATURES) == OWN
    assert conventions_of(load_features(shipped_checkpoint())) == OWN


@pytest.mark.parametrize(
    ("features", "wrist"),
    [
        (contract("image", "wrist_image", action_hz=10.0), "wrist_image"),  # physical-intelligence/libero
        (contract("image", "image2", action_hz=10.0), "image2"),  # HuggingFaceVLA/libero
        (contract("image", "wrist_image", state_names=IPEC_STATE), "wrist_image"),  # IPEC-COMMUNITY
    ],
)
def test_public_datasets_say_themselves_what_they_are(features: FeatureContract, wrist: str) -> None:
    assert conventions_of(features) == LiberoConventions(
        cameras=(CameraView("image", "agentview", 256, 256), CameraView(wrist, "wrist", 256, 256)),
        state="axis_angle",
        images="mirrored",
        gripper="env",
    )


def test_cameras_keep_the_order_and_sizes_of_the_policy() -> None:
    features = contract("wrist_image", "image")
    features = replace(features, cameras=(*features.cameras, CameraFeature("agentview", 480, 640)))
    views = conventions_of(features).cameras
    assert [(view.key, view.camera) for view in views] == [
        ("wrist_image", "wrist"),
        ("image", "agentview"),
        ("agentview", "agentview"),
    ]
    assert (views[2].height, views[2].width) == (480, 640)


def test_a_camera_of_another_name_must_be_explained() -> None:
    features = contract("image", "cam_high")
    message = r"camera 'cam_high' .*agentview: agentview, image; wrist: wrist, .*camera.cam_high=wrist"
    with pytest.raises(AsyncVLAError, match=message):
        conventions_of(features)
    assert conventions_of(features, {"camera.cam_high": "wrist"}).cameras[1].camera == "wrist"


def test_the_command_line_counts_more_than_the_checkpoint_and_that_more_than_the_names() -> None:
    features = contract("image", conventions={"gripper": "open_is_one", "images": "upright"})
    found = conventions_of(features)
    assert (found.gripper, found.images) == ("open_is_one", "upright")
    found = conventions_of(features, {"images": "upside_down"})
    assert (found.gripper, found.images) == ("open_is_one", "upside_down")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"gripper": "inverted"}, "gripper is 'inverted', choose one of env, open_is_one, closed_is_one"),
        ({"images": "raw"}, "images is 'raw', choose one of upright, mirrored, upside_down"),
        (
            {"rotate": "180"},
            "unknown convention 'rotate', expected one of: state, images, gripper, camera.image",
        ),
        ({"camera.top": "wrist"}, r"unknown convention 'camera\.top'"),
        ({"camera.image": "front"}, "is 'front', choose one of agentview, wrist"),
        ({"state": "own"}, "state=own has 11 dims, but the policy has 8"),
    ],
)
def test_a_convention_that_does_not_exist_lists_the_choices(said: dict[str, str], message: str) -> None:
    with pytest.raises(AsyncVLAError, match=message):
        conventions_of(contract("image"), said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_names": ("joint_0", *NUMBERED[1:])}, r"is none that LIBERO offers.*state=axis_angle"),
        ({"state_names": NUMBERED[:7]}, "is none that LIBERO offers"),
        ({"action_names": ("dx", "dy")}, "2 delta_ee_pose actions .* LIBERO obeys 7"),
        ({"action_space": "joint_position"}, "7 joint_position actions"),
        ({"action_hz": 30.0}, "acts 30 times a second, LIBERO 20 times"),
    ],
)
def test_what_libero_cannot_do_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(AsyncVLAError, match=message):
        conventions_of(contract("image", **changes))


def test_states_under_other_names_can_be_explained() -> None:
    features = contract("image", state_names=tuple("abcdefgh"))
    assert conventions_of(features, {"state": "axis_angle"}).state == "axis_angle"


@pytest.mark.parametrize(
    ("gripper", "opened", "closed"), [("env", -1, 1), ("open_is_one", 1, 0), ("closed_is_one", 0, 1)]
)
def test_the_gripper_is_converted_once_and_nothing_else(gripper: str, opened: float, closed: float) -> None:
    actions = np.tile(np.linspace(-1, 1, 7, dtype=np.float32), (2, 1))
    actions[:, -1] = opened, closed
    converted = LiberoConventions(gripper=gripper).env_actions(actions)
    np.testing.assert_array_equal(converted[:, -1], [-1, 1])
    np.testing.assert_array_equal(converted[:, :-1], actions[:, :-1])
    assert list(actions[:, -1]) == [opened, closed], "the chunk itself stays"


def test_training_data_of_the_other_kind_contradict_a_gripper_convention() -> None:
    zero_to_one, minus_to_one = 0.0, -1.0
    require_gripper_range(OWN, minus_to_one)
    require_gripper_range(LiberoConventions(gripper="open_is_one"), zero_to_one)
    with pytest.raises(AsyncVLAError, match=r"begin at 0, .* say --convention gripper=open_is_one"):
        require_gripper_range(OWN, zero_to_one)
    for gripper in ("open_is_one", "closed_is_one"):
        with pytest.raises(AsyncVLAError, match="LIBERO's own already: say gripper=env"):
            require_gripper_range(LiberoConventions(gripper=gripper), minus_to_one)


def test_conventions_are_kept_in_a_checkpoint(tmp_path: Path) -> None:
    from support.checkpoints import tiny_checkpoint

    folder = tiny_checkpoint(tmp_path / "tiny", conventions={"gripper": "open_is_one"})
    assert load_features(folder).conventions == {"gripper": "open_is_one"}
    assert load_features(folder) == load_features(shipped_checkpoint()), "the same robot"
