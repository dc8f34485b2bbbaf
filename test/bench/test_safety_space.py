from __future__ import annotations

import numpy as np
import pytest

from asyncvla_ros.bench.safety_audit import DriverAudit
from asyncvla_ros.robot.contract import GuardedFrame, Plane, ToolLimits, WorkspaceLimit
from support.motions import FULL, LATE, MS, T0, P, joint, output, robot, seen


def test_an_arm_that_changes_move_stays_in_its_workspace():
    space = WorkspaceLimit("ee_x", -0.2, 0.2)
    dx = joint("dx", is_delta=True, minimum=-0.05, maximum=0.05, workspace=space)
    made = robot(joint("other"), dx)
    one = DriverAudit(made, output("twist", "dx"))
    one.begin(T0, np.zeros(1))
    for x in (0.0, 0.2, 0.2 + 1e-11, 0.2001, 0.3, 0.29, 0.2, -0.3):
        one.place(np.array([99.0, x]))
    assert seen(one) == {"workspace": 3}
    one.suspend(T0 + P)
    one.place(np.array([0.0, 0.5]))
    one.begin(T0 + 2 * P, np.zeros(1))
    one.place(np.array([0.0, 0.4]))
    one.place(np.array([0.0, 0.41]))
    assert seen(one) == {"workspace": 4}


def links(positions: np.ndarray) -> dict[str, np.ndarray]:
    """Make a single link of 0.5 m in the plane."""
    angle = positions[:, 0]
    tip = 0.5 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return {"tool": tip, "elbow": tip / 2}


@pytest.mark.parametrize(
    ("guard", "is_left"),
    [
        (ToolLimits("tool", 1.5, ()), False),
        (ToolLimits("tool", 1.49, ()), True),
        (ToolLimits("tool", None, (GuardedFrame("elbow", ((-1, 1), (-0.3, 0.3), (-1, 1)), ()),)), False),
        (ToolLimits("tool", None, (GuardedFrame("elbow", ((-1, 1), (-0.3, 0.2), (-1, 1)), ()),)), True),
        (ToolLimits("tool", None, (GuardedFrame("tool", None, (Plane((1.0, 0.0, 0.0), 0.1),)),)), True),
        (ToolLimits("tool", None, (GuardedFrame("tool", None, (Plane((1.0, 0.0, 0.0), -0.6),)),)), False),
    ],
)
def test_the_guard_of_links_and_tool(guard, is_left):
    made = robot(joint(), guard=guard)
    one = DriverAudit(made, output("forward_position"), links=links)
    one.begin(T0, np.zeros(1))
    for now, value in zip(LATE, FULL.states(LATE)[:, 0], strict=True):
        one.add(int(now), np.array([value]))
    assert set(seen(one)) == ({"tool"} if is_left else set())


def test_the_speed_of_the_tool_can_be_limited_later():
    made = robot(joint(), guard=ToolLimits("tool", 1.5, ()))
    one = DriverAudit(made, output("forward_position"), links=links)
    one.begin(T0, np.zeros(1))
    for now, value in zip(LATE, FULL.states(LATE)[:, 0], strict=True):
        one.add(int(now), np.array([value]))
    one.limit_tool(T0 + 1200 * MS, 0.25)
    assert set(seen(one)) == {"tool"}
