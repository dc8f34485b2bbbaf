from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from asyncvla_ros.sim.simpler.bridge.tasks import TASKS, get_task, require_assets
from asyncvla_ros.types import AsyncVLAError
from support.bridge_assets import made_assets


def test_missing_files_are_one_line_that_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_ASSET_DIR", str(tmp_path))
    with pytest.raises(AsyncVLAError) as raised:
        require_assets(get_task("carrot"))
    message = str(raised.value)
    assert "\n" not in message
    for part in (
        str(tmp_path / "data"),
        "robots/widowx/wx250s.urdf",
        "models/bridge_plate_objaverse_larger/collision.obj",
        "python -m mani_skill.utils.download_asset widowx250s",
        "download_asset bridge_v2_real2sim",
        "python tools/bridge_assets.py FROM TO",
    ):
        assert part in message, part
    assert (Path(__file__).parents[4] / "tools" / "bridge_assets.py").is_file()


def test_only_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MS_ASSET_DIR", str(made_assets(tmp_path)))
    for task in TASKS.values():
        require_assets(task)
    model = next(tmp_path.rglob("models/eggplant"))
    shutil.copy(model / "textured.glb", model / "textured.dae")
    (model / "textured.glb").unlink()
    require_assets(get_task("eggplant"))
    (model / "textured.dae").unlink()
    with pytest.raises(AsyncVLAError) as raised:
        require_assets(get_task("eggplant"))
    message = str(raised.value)
    assert "models/eggplant/textured.obj" in message and "collision.obj" not in message
    assert "bridge_v2_real2sim" in message and "widowx250s" not in message
    require_assets(get_task("stack"))


def test_an_unknown_task_lists_the_choices():
    with pytest.raises(AsyncVLAError, match="'banana', choose one of carrot, spoon, stack, eggplant"):
        get_task("banana")
