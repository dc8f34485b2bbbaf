from __future__ import annotations

from dataclasses import replace

import pytest

from asyncvla_ros.robot.contract import EnableSwitch, GuardedFrame, Plane, ToolLimits
from asyncvla_ros.robot.listing import Listing, listings
from support.contracts import shipped_robot, untracked_panda


def _tables(robot) -> dict[str, Listing]:
    return {listing.title: listing for listing in listings(robot)}


def test_stops_following_errors_and_driver_states():
    tables = _tables(shipped_robot("ur5e"))
    row = tables["stops from full velocity, at most"].rows[0]
    limits = "5 rad/s², 100 rad/s³"
    assert row == (
        "shoulder_pan_joint",
        "3.1415 rad/s",
        "1.21 s",
        "2.05 rad (118°)",
        "0.69 s",
        "1.10 rad (63°)",
        limits,
    )
    assert tables["following error"].rows[-1] == ("wrist_3_joint", "0.2 rad")
    assert [row[-1] for row in tables["driver states"].rows] == ["true", "1, 2", "7"]
    assert tables["robot ur5e"].columns[3] == "lag" and tables["robot ur5e"].rows[0][3] == "0.25 s"


def test_enable_switch_and_guard():
    box = ((-0.8, 0.8), (-0.8, 0.8), (0.0, 1.2))
    guard = ToolLimits("tool0", 0.25, (GuardedFrame("wrist", box, (Plane((0.0, 0.6, 0.8), 0.1),)),))
    tables = _tables(replace(shipped_robot("so101"), enable=EnableSwitch("~/enable", 0.5), guard=guard))
    assert tables["enable switch"].rows == (("~/enable", "0.5 s"),)
    assert tables["guard"].rows == (
        ("tool0", "tool: 0.25 m/s at most"),
        ("wrist", "box: -0.8 <= x <= 0.8, -0.8 <= y <= 0.8, 0 <= z <= 1.2 m"),
        ("wrist", "plane: (0, 0.6, 0.8) . p >= 0.1 m"),
    )


@pytest.mark.parametrize("title", ["driver states", "enable switch", "guard", "following error"])
def test_what_a_contract_has_not_is_not_listed(title):
    assert title not in _tables(untracked_panda())
    assert "stops from full velocity, at most" not in _tables(untracked_panda())
