"""Files for mani-skill's Bridge tasks made in code: an arm of boxes with the WidowX's joints, a photo."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import trimesh
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from asyncvla_ros.sim.simpler.bridge.tasks import TASKS
from bridge_assets import DATASET, ROBOT, for_maniskill, write_table

#: What the photo shows, everywhere.
GRAY = 128

Vector = tuple[float, float, float]

#: Size and center of the box that is a link [m]; the others have none.
_BOXES: dict[str, tuple[Vector, Vector]] = {
    "base_link": ((0.1, 0.1, 0.06), (0, 0, 0.03)),
    "shoulder_link": ((0.06, 0.06, 0.06), (0, 0, 0)),
    "upper_arm_link": ((0.05, 0.05, 0.24), (0.02, 0, 0.12)),
    "upper_forearm_link": ((0.17, 0.05, 0.05), (0.09, 0, 0)),
    "lower_forearm_link": ((0.07, 0.04, 0.04), (0.035, 0, 0)),
    "wrist_link": ((0.06, 0.04, 0.04), (0.03, 0, 0)),
    "gripper_link": ((0.03, 0.09, 0.03), (0.03, 0, 0)),
    "left_finger_link": ((0.055, 0.016, 0.029), (0.0156, -0.003, 0)),
    "right_finger_link": ((0.055, 0.016, 0.029), (0.0156, 0.003, 0)),
}
#: Name, parent, child, axis, origin in the parent [m], limits; the origins and limits are the WidowX's.
_JOINTS: tuple[tuple[str, str, str, Vector, Vector, float, float], ...] = (
    ("waist", "base_link", "shoulder_link", (0, 0, 1), (0, 0, 0.072), -3.14, 3.14),
    ("shoulder", "shoulder_link", "upper_arm_link", (0, 1, 0), (0, 0, 0.03865), -1.88, 1.99),
    ("elbow", "upper_arm_link", "upper_forearm_link", (0, 1, 0), (0.04975, 0, 0.25), -2.14, 1.6),
    ("forearm_roll", "upper_forearm_link", "lower_forearm_link", (1, 0, 0), (0.175, 0, 0), -3.14, 3.14),
    ("wrist_angle", "lower_forearm_link", "wrist_link", (0, 1, 0), (0.075, 0, 0), -1.74, 2.14),
    ("wrist_rotate", "wrist_link", "gripper_link", (1, 0, 0), (0.065, 0, 0), -3.14, 3.14),
    ("ee_bar", "gripper_link", "fingers_link", (0, 0, 0), (0.066, 0, 0), 0, 0),
    ("left_finger", "fingers_link", "left_finger_link", (0, 1, 0), (0, 0, 0), 0.015, 0.037),
    ("right_finger", "fingers_link", "right_finger_link", (0, -1, 0), (0, 0, 0), 0.015, 0.037),
    ("ee_gripper", "fingers_link", "ee_gripper_link", (0, 0, 0), (0.027575, 0, 0), 0, 0),
)
#: mani-skill puts this one's origin onto the table, the others' above it.
_PLATE = "bridge_plate_objaverse_larger"
#: Sizes of the objects [m] and their colors.
_OBJECTS: dict[str, tuple[Vector, tuple[int, int, int]]] = {
    "bridge_carrot_generated_modified": ((0.115, 0.032, 0.038), (240, 120, 20)),
    _PLATE: ((0.11, 0.11, 0.006), (230, 240, 160)),
    "bridge_spoon_generated_modified": ((0.14, 0.03, 0.02), (40, 160, 60)),
    "table_cloth_generated_shorter": ((0.1, 0.1, 0.006), (40, 60, 200)),
    "baked_green_cube_3cm": ((0.03, 0.03, 0.03), (20, 200, 40)),
    "baked_yellow_cube_3cm": ((0.03, 0.03, 0.03), (240, 220, 20)),
    "eggplant": ((0.1, 0.045, 0.045), (90, 30, 110)),
    "dummy_sink_target_plane": ((0.2, 0.2, 0.01), (250, 220, 30)),
    "sink": ((0.3, 0.3, 0.01), (180, 180, 180)),
}


def made_assets(folder: Path) -> Path:
    """Write all files of the four tasks; returns what MS_ASSET_DIR has to be."""
    robot, dataset = folder / "data" / ROBOT, folder / "data" / DATASET
    robot.mkdir(parents=True)
    urdf, srdf = for_maniskill(_urdf())
    (robot / "wx250s.urdf").write_text(urdf)
    (robot / "wx250s.srdf").write_text(srdf)
    for model, (size, color) in _OBJECTS.items():
        box = trimesh.creation.box(extents=size)
        box.visual = TextureVisuals(material=PBRMaterial(baseColorFactor=[*color, 255], metallicFactor=0.0))
        box.apply_translation((0, 0, size[2] / 2 if model == _PLATE else 0))
        place = dataset / "custom" / "models" / model
        place.mkdir(parents=True)
        box.export(place / "collision.obj")
        box.export(place / "textured.glb")
    photos = dataset / "real_inpainting"
    photos.mkdir()
    for task in TASKS.values():
        listing = {model: _described(_OBJECTS[model][0]) for model in task.models}
        file = dataset / "custom" / task.listing
        before = json.loads(file.read_text()) if file.exists() else {}
        file.write_text(json.dumps({**before, **listing}))
        cv2.imwrite(str(photos / task.overlay), np.full((480, 640, 3), GRAY, np.uint8))
        write_table(dataset / "stages" / task.table)
    return folder


def _described(size: Vector) -> dict[str, object]:
    half = [edge / 2 for edge in size]
    return {"bbox": {"min": [-edge for edge in half], "max": half}, "scales": [1.0], "density": 700}


def _urdf() -> str:
    links = dict.fromkeys(["base_link", *(child for _, _, child, *_ in _JOINTS)])
    parts = "".join(map(_link, links)) + "".join(map(_joint, _JOINTS))
    return f'<robot name="wx250s">{parts}</robot>'


def _link(name: str) -> str:
    mass, inertia = (0.016, 1e-5) if "finger" in name else (0.3, 1e-3)
    inertial = (
        f'<inertial><mass value="{mass}"/><inertia ixx="{inertia}" iyy="{inertia}" izz="{inertia}" ixy="0" '
        'ixz="0" iyz="0"/></inertial>'
    )
    if name not in _BOXES:
        return f'<link name="{name}">{inertial}</link>'
    size, center = (" ".join(map(str, vector)) for vector in _BOXES[name])
    shape = f'<origin xyz="{center}" rpy="0 0 0"/><geometry><box size="{size}"/></geometry>'
    return f'<link name="{name}"><visual>{shape}</visual><collision>{shape}</collision>{inertial}</link>'


def _joint(joint: tuple[str, str, str, Vector, Vector, float, float]) -> str:
    name, parent, child, axis, origin, lower, upper = joint
    kind = "fixed" if not any(axis) else "prismatic" if "finger" in name else "revolute"
    mimic = '<mimic joint="left_finger"/>' if name == "right_finger" else ""
    return (
        f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{" ".join(map(str, origin))}" rpy="0 0 0"/><axis xyz="{" ".join(map(str, axis))}"/>'
        f'<limit lower="{lower}" upper="{upper}" effort="20" velocity="3"/>{mimic}</joint>'
    )
