"""The four Bridge tasks of SimplerEnv, with their files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from asyncvla_ros.types import AsyncVLAError

_DATASET = Path("tasks/bridge_v2_real2sim_dataset")
_ROBOT = Path("robots/widowx")
_MESHES = ("textured.obj", "textured.dae", "textured.glb")
#: Names in mani-skill's own download.
_DOWNLOADS = {_ROBOT: "widowx250s", _DATASET: "bridge_v2_real2sim"}


@dataclass(frozen=True)
class BridgeTask:
    """One task.

    Attributes:
        name: Name for users.
        env_id: Name in mani-skill.
        instruction: Instruction for the policy.
        max_steps: Control steps per episode.
        placements: Number of initial placements; mani-skill calls their numbers ``episode_id``.
        models: Folders of the objects: the object to move, its target, and others.
        listing: File that describes the models.
        overlay: Photograph behind robot and objects.
        table: Mesh of the table.
    """

    name: str
    env_id: str
    instruction: str
    max_steps: int
    placements: int
    models: tuple[str, ...]
    listing: str = "info_bridge_custom_v0.json"
    overlay: str = "bridge_real_eval_1.png"
    table: str = "bridge_table_1_v1.glb"


TASKS = {
    task.name: task
    for task in (
        BridgeTask(
            "carrot",
            "PutCarrotOnPlateInScene-v1",
            "put carrot on plate",
            60,
            placements=24,
            models=("bridge_carrot_generated_modified", "bridge_plate_objaverse_larger"),
        ),
        BridgeTask(
            "spoon",
            "PutSpoonOnTableClothInScene-v1",
            "put the spoon on the towel",
            60,
            placements=24,
            models=("bridge_spoon_generated_modified", "table_cloth_generated_shorter"),
        ),
        BridgeTask(
            "stack",
            "StackGreenCubeOnYellowCubeBakedTexInScene-v1",
            "stack the green block on the yellow block",
            60,
            placements=24,
            models=("baked_green_cube_3cm", "baked_yellow_cube_3cm"),
            listing="info_bridge_custom_baked_tex_v0.json",
        ),
        BridgeTask(
            "eggplant",
            "PutEggplantInBasketScene-v1",
            "put eggplant into yellow basket",
            120,
            placements=64,
            models=("eggplant", "dummy_sink_target_plane", "sink"),
            overlay="bridge_sink.png",
            table="bridge_table_1_v2.glb",
        ),
    )
}


def get_task(name: str) -> BridgeTask:
    """Return the task with a name.

    Raises:
        AsyncVLAError: The name is unknown; the message lists the tasks.
    """
    if name not in TASKS:
        raise AsyncVLAError(f"Bridge task is {name!r}, choose one of {', '.join(TASKS)}")
    return TASKS[name]


def asset_folder() -> Path:
    """Return the folder of mani-skill's files: ``data`` in MS_ASSET_DIR, or in ``~/.maniskill``."""
    return Path(os.environ.get("MS_ASSET_DIR") or Path.home() / ".maniskill").expanduser() / "data"


def require_assets(task: BridgeTask) -> None:
    """Check before the simulator starts that its files exist.

    Raises:
        AsyncVLAError: If files are missing; the message lists them and says how to get them.
    """
    folder = asset_folder()
    missing = [path for path in needed_files(task) if not any((folder / choice).is_file() for choice in path)]
    if not missing:
        return
    names = ", ".join(str(choices[0]) for choices in missing)
    downloads = [uid for part, uid in _DOWNLOADS.items() if any(c[0].is_relative_to(part) for c in missing)]
    raise AsyncVLAError(
        f"files of Bridge task {task.name!r} are missing in {folder} (MS_ASSET_DIR): {names}; download them: "
        + " && ".join(f"python -m mani_skill.utils.download_asset {uid}" for uid in downloads)
        + ", or take them from a copy of ManiSkill2_real2sim: python tools/bridge_assets.py FROM TO"
    )


def needed_files(task: BridgeTask) -> list[tuple[Path, ...]]:
    """Return the needed files below ``asset_folder``; one of alternatives suffices."""
    custom = _DATASET / "custom"
    return [
        (_ROBOT / "wx250s.urdf",),
        (custom / task.listing,),
        (_DATASET / "real_inpainting" / task.overlay,),
        (_DATASET / "stages" / task.table,),
        *((custom / "models" / model / "collision.obj",) for model in task.models),
        *(tuple(custom / "models" / model / mesh for mesh in _MESHES) for model in task.models),
    ]
