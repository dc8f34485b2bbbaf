from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree

import pytest
import trimesh

import bridge_assets

JOINTS = (("waist", "base", "shoulder"), ("elbow", "shoulder", "arm"), ("wrist", "arm", "hand"))
SOLID = ("base", "shoulder", "arm", "hand")


def urdf() -> str:
    links = "".join(
        f'<link name="{name}"><collision/></link>' for name in ("base", "shoulder", "arm", "hand")
    )
    joints = "".join(
        f'<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>'
        '<mimic joint="waist"/></joint>'
        for name, parent, child in JOINTS
    )
    return f'<robot name="arm">{links}<link name="tip"/>{joints}</robot>'


def test_the_robot_loses_its_mimic_tags_and_the_collisions_of_its_own_links():
    text, srdf = bridge_assets.for_maniskill(urdf())
    assert "mimic" not in text and text.count("<joint") == 3
    pairs = {(pair.get("link1"), pair.get("link2")) for pair in ElementTree.fromstring(srdf)}
    # Neighbors never collide in SAPIEN; what has no shape neither.
    assert pairs == {("base", "arm"), ("base", "hand"), ("shoulder", "hand")}


def test_no_more_pairs_than_sapien_takes_the_nearest_first(monkeypatch):
    monkeypatch.setattr(bridge_assets, "MAX_PAIRS", 2)
    _, srdf = bridge_assets.for_maniskill(urdf())
    pairs = {(pair.get("link1"), pair.get("link2")) for pair in ElementTree.fromstring(srdf)}
    assert pairs == {("base", "arm"), ("shoulder", "hand")}


def test_files_get_where_mani_skill_looks_and_a_box_replaces_a_missing_table(tmp_path, monkeypatch, capsys):
    source, target = tmp_path / "from", tmp_path / "to"
    dataset, robot = source / bridge_assets.DATASET, source / bridge_assets.DESCRIPTION
    (dataset / "stages").mkdir(parents=True)
    (dataset / "stages" / "bridge_table_1_v2.glb").write_text("a table")
    (robot / "meshes").mkdir(parents=True)
    (robot / "meshes" / "hand.stl").write_text("a hand")
    monkeypatch.setattr(sys, "argv", ["bridge_assets.py", str(source), str(target)])
    assert bridge_assets.main() == 2
    assert "lacks widowx_description/wx250s.urdf" in capsys.readouterr().err and not target.exists()
    (robot / "wx250s.urdf").write_text(urdf())
    robot.chmod(0o555)
    assert bridge_assets.main() == 0
    robot.chmod(0o755)
    assert f"MS_ASSET_DIR={target}" in capsys.readouterr().out
    assert (target / "data/robots/widowx/meshes/hand.stl").read_text() == "a hand"
    assert (target / "data/robots/widowx/wx250s.srdf").is_file()
    stages = target / "data" / bridge_assets.DATASET / "stages"
    assert (stages / "bridge_table_1_v2.glb").read_text() == "a table"
    table = trimesh.load(stages / "bridge_table_1_v1.glb")
    assert table.bounds[:, 1].tolist() == pytest.approx([0, bridge_assets.TABLE_TOP_M])
