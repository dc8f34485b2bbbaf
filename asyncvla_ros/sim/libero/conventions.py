"""Conventions of a policy's observations and actions in LIBERO: cameras, images, state, gripper.

Datasets of the same demonstrations differ in them. They follow from a dataset's feature contract where that
is unambiguous; otherwise they are stated under ``conventions`` in the checkpoint's features.json or on the
command line.

robosuite renders images bottom row first. Public datasets store them rotated by 180 degrees: upright, but
with left and right swapped::

    upside_down   L  R  (as robosuite)   upright   base     mirrored   base
                  base                             L  R                R  L
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from asyncvla_ros.types import AsyncVLAError, FeatureContract

IMAGE_SIZE = 224
STATE_NAMES = (
    *("ee_x", "ee_y", "ee_z"),
    *("ee_r11", "ee_r21", "ee_r31", "ee_r12", "ee_r22", "ee_r32"),
    *("finger_left", "finger_right"),
)
ACTION_NAMES = ("dx", "dy", "dz", "drx", "dry", "drz", "gripper")

#: Keys of datasets by LIBERO's camera.
CAMERA_KEYS = {
    "agentview": ("agentview", "image"),
    "wrist": ("wrist", "wrist_image", "image2"),
}
#: State names of public datasets: none, or names of Euler angles although it is an axis-angle vector.
_PUBLIC_STATE_SIZE = 8
_PUBLIC_STATE_BEGINS = ("x", "y", "z", "roll", "pitch", "yaw")
STATES = ("own", "axis_angle")
IMAGES = ("upright", "mirrored", "upside_down")
#: Factor and offset by gripper convention, which convert it to LIBERO's: -1 opens, +1 closes.
_GRIPPERS = {"env": (1.0, 0.0), "open_is_one": (-2.0, 1.0), "closed_is_one": (2.0, -1.0)}
#: Rates that public datasets state for frames 1/20 s apart [Hz].
_RATES_HZ = (10.0, 20.0)
#: Distance from 0 below which hardly any gripper action in LIBERO's convention lies.
_NEAR_ZERO = 0.25


@dataclass(frozen=True)
class CameraView:
    """One camera of a policy: LIBERO's ``camera`` under ``key``, ``height`` x ``width`` [px]."""

    key: str
    camera: str
    height: int
    width: int


@dataclass(frozen=True)
class LiberoConventions:
    """Conventions of observations and actions; by default those of ``asyncvla collect``.

    Attributes:
        cameras: in the order of the policy.
        state: ``own`` (STATE_NAMES) or ``axis_angle``: position in the world [m], rotation vector of the hand
            [rad], both finger joints [m], as in public datasets.
        images: ``upright``, ``mirrored`` (as public datasets) or ``upside_down`` (as robosuite).
        gripper: ``env`` (-1 opens, +1 closes), ``open_is_one`` or ``closed_is_one`` (the other is 0).
    """

    cameras: tuple[CameraView, ...] = tuple(
        CameraView(key, key, IMAGE_SIZE, IMAGE_SIZE) for key in CAMERA_KEYS
    )
    state: str = "own"
    images: str = "upright"
    gripper: str = "env"

    def oriented(self, bottom_up: np.ndarray) -> np.ndarray:
        """Return an image in the policy's orientation.

        Args:
            bottom_up: (h, w, 3) uint8, as robosuite renders it.
        """
        if self.images == "upside_down":
            return np.ascontiguousarray(bottom_up)
        columns = -1 if self.images == "mirrored" else 1
        return np.ascontiguousarray(bottom_up[::-1, ::columns])

    def env_actions(self, actions: np.ndarray) -> np.ndarray:
        """Convert actions (l, 7) of the policy to LIBERO's."""
        if self.gripper == "env":
            return actions
        factor, offset = _GRIPPERS[self.gripper]
        converted = np.array(actions)
        converted[:, -1] = factor * converted[:, -1] + offset
        return converted


OWN = LiberoConventions()


def conventions_of(features: FeatureContract, stated: Mapping[str, str] | None = None) -> LiberoConventions:
    """Return the conventions of a policy's training data.

    Args:
        features: its feature contract, whose ``conventions`` decide what the rest leaves open.
        stated: conventions of the command line, which take precedence: ``state``, ``images``, ``gripper``,
        and ``camera.KEY`` for a camera of any name.

    Raises:
        AsyncVLAError: a convention, camera, state, action or rate that LIBERO does not offer.
    """
    said = {**features.conventions, **(stated or {})}
    _require_known(said, features)
    _require_actions(features)
    state = said.get("state") or _state_of(features.state_names)
    return LiberoConventions(
        cameras=tuple(
            CameraView(c.key, said.get(f"camera.{c.key}") or _camera_of(c.key), c.height, c.width)
            for c in features.cameras
        ),
        state=state,
        images=said.get("images") or ("upright" if state == "own" else "mirrored"),
        gripper=said.get("gripper", "env"),
    )


def require_gripper_range(conventions: LiberoConventions, lowest: float) -> None:
    """Refuse a gripper convention that contradicts the training data.

    Args:
        conventions: conventions of the policy.
        lowest: first percentile of the gripper's actions in the training data.

    Raises:
        AsyncVLAError: the values belong to another convention.
    """
    if conventions.gripper == "env" and abs(lowest) < _NEAR_ZERO:
        raise AsyncVLAError(
            f"gripper actions in the training data begin at {lowest:.2g}, but LIBERO opens at -1 and closes "
            "at +1; say --convention gripper=open_is_one (as IPEC-COMMUNITY's data) or gripper=closed_is_one"
        )
    if conventions.gripper != "env" and lowest < -_NEAR_ZERO:
        raise AsyncVLAError(
            f"gripper actions in the training data begin at {lowest:.2g}, but gripper={conventions.gripper} "
            "means 0 to 1; they are LIBERO's own already: say gripper=env"
        )


def _require_known(said: Mapping[str, str], features: FeatureContract) -> None:
    choices = {"state": STATES, "images": IMAGES, "gripper": tuple(_GRIPPERS)}
    choices |= {f"camera.{camera.key}": tuple(CAMERA_KEYS) for camera in features.cameras}
    for key, value in said.items():
        if key not in choices:
            raise AsyncVLAError(f"unknown convention {key!r}, expected one of: {', '.join(choices)}")
        if value not in choices[key]:
            raise AsyncVLAError(f"convention {key} is {value!r}, choose one of {', '.join(choices[key])}")
    size = {"own": len(STATE_NAMES), "axis_angle": _PUBLIC_STATE_SIZE}.get(said.get("state", ""))
    if size not in (None, len(features.state_names)):
        raise AsyncVLAError(
            f"convention state={said['state']} has {size} dims, but the policy has "
            f"{len(features.state_names)}: {list(features.state_names)}"
        )


def _require_actions(features: FeatureContract) -> None:
    names = features.action_names
    if features.action_space != "delta_ee_pose" or len(names) != len(ACTION_NAMES):
        raise AsyncVLAError(
            f"the policy has {len(names)} {features.action_space} actions {list(names)}, LIBERO obeys "
            f"{len(ACTION_NAMES)} of delta_ee_pose: three translations, three rotations, gripper"
        )
    if features.action_hz not in _RATES_HZ:
        raise AsyncVLAError(
            f"the policy acts {features.action_hz:g} times a second, LIBERO 20 times "
            "(public data of the same frames say 10)"
        )


def _state_of(names: tuple[str, ...]) -> str:
    if names == STATE_NAMES:
        return "own"
    unnamed = tuple(f"state_{place}" for place in range(_PUBLIC_STATE_SIZE))
    if len(names) == _PUBLIC_STATE_SIZE and (names == unnamed or names[:6] == _PUBLIC_STATE_BEGINS):
        return "axis_angle"
    raise AsyncVLAError(
        f"the policy's state {list(names)} is none that LIBERO offers: {list(STATE_NAMES)} (own), or "
        f"{_PUBLIC_STATE_SIZE} dims, position, axis-angle vector and two finger joints (axis_angle); if it "
        "is one of them under other names, say --convention state=own or state=axis_angle"
    )


def _camera_of(key: str) -> str:
    for camera, keys in CAMERA_KEYS.items():
        if key in keys:
            return camera
    known = "; ".join(f"{camera}: {', '.join(keys)}" for camera, keys in CAMERA_KEYS.items())
    raise AsyncVLAError(
        f"the policy has a camera {key!r} that LIBERO does not know ({known}); say --convention "
        f"camera.{key}=agentview or camera.{key}=wrist"
    )
