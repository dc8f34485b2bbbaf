from __future__ import annotations

from dataclasses import replace

import pytest

from asyncvla_ros.robot.contract import Dof, JointStateSource, RobotContract, WorkspaceLimit
from asyncvla_ros.robot.urdf import read_urdf
from asyncvla_ros.robot.urdf_limits import tighten
from asyncvla_ros.types import ContractError
from support.contracts import libero_panda

URDF = """<robot name="r">
  <link name="base"/><link name="a"/><link name="b"/><link name="c"/><link name="d"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="a"/><limit lower="-1.5" upper="2.0" velocity="3.0" effort="1"/>
  </joint>
  <joint name="elbow" type="revolute">
    <parent link="a"/><child link="b"/><limit lower="-1" upper="1" velocity="0.5" effort="1"/>
    <safety_controller soft_lower_limit="-0.9" soft_upper_limit="0.8" k_velocity="1"/>
  </joint>
  <joint name="wrist" type="continuous"><parent link="b"/><child link="c"/></joint>
  <joint name="tool" type="fixed"><parent link="c"/><child link="d"/></joint>
</robot>"""


def _tighten(robot: RobotContract, text: str = URDF) -> RobotContract:
    return tighten(robot, read_urdf(text, "arm.urdf"))


def _robot(*, is_delta: bool = False):
    dof = Dof("j1", "rad", 1.0, is_delta=is_delta, minimum=-1.0, maximum=3.0, velocity=2.0)
    dofs = (dof, replace(dof, name="j2", velocity=None), replace(dof, name="wrist"))
    grip = Dof("grip", "normalized", 1.0, is_delta=False, minimum=0.0, maximum=1.0)
    source = JointStateSource("joint_states", ("shoulder", "elbow", "wrist"), ("j1", "j2", "wrist"))
    space = "delta_joint_position" if is_delta else "joint_position"
    return replace(libero_panda(), action_space=space, dofs=(*dofs, grip), state=(source,))


def test_the_tighter_bound_wins():
    first, second, wrist, grip = _tighten(_robot()).dofs
    assert (first.minimum, first.maximum, first.velocity) == (-1.0, 2.0, 2.0)
    assert (second.minimum, second.maximum, second.velocity) == (-0.9, 0.8, 0.5)
    assert (wrist, grip) == _robot().dofs[2:]


def test_a_velocity_that_nobody_filled_in_leaves_the_contracts():
    assert _tighten(_robot(), URDF.replace('velocity="3.0"', 'velocity="0"')).dofs[0].velocity == 2.0


def test_of_a_change_the_range_limits_where_it_may_lead():
    dof = _tighten(_robot(is_delta=True)).dofs[1]
    assert (dof.minimum, dof.maximum, dof.velocity) == (-1.0, 3.0, 0.5)
    assert dof.workspace == WorkspaceLimit("j2", -0.9, 0.8)


@pytest.mark.parametrize(
    ("urdf", "message"),
    [
        (URDF.replace("elbow", "knee"), "dof j2 is joint elbow, .*; its joints are shoulder, knee, wrist"),
        (URDF.replace('lower="-1.5"', 'lower="2.5"'), "joint shoulder has no range in the URDF"),
        (URDF.replace('upper="2.0"', 'upper="nan"'), "upper of shoulder is nan"),
        (URDF.replace('lower="-1.5" upper="2.0"', 'lower="-9" upper="-8"'), "nothing in common"),
        ("<!DOCTYPE a><robot/>", "document type"),
    ],
)
def test_mistakes_are_named(urdf, message):
    with pytest.raises(ContractError, match=message):
        _tighten(_robot(), urdf)


@pytest.mark.parametrize("kind", ["prismatic", "revolute"])
def test_a_joint_that_moves_in_another_unit_is_refused(kind):
    urdf = URDF.replace('name="shoulder" type="revolute"', f'name="shoulder" type="{kind}"')
    robot, unit = _robot(), {"prismatic": "rad", "revolute": "m"}[kind]
    robot = replace(robot, dofs=(replace(robot.dofs[0], unit=unit), *robot.dofs[1:]))
    with pytest.raises(ContractError, match=f"shoulder moves in .* in the URDF .*, but dof j1 is in {unit}"):
        _tighten(robot, urdf)


def test_a_prismatic_joint_of_a_dof_in_m_is_tightened():
    robot = _robot()
    robot = replace(robot, dofs=(replace(robot.dofs[0], unit="m"), *robot.dofs[1:]))
    urdf = URDF.replace('name="shoulder" type="revolute"', 'name="shoulder" type="prismatic"')
    assert _tighten(robot, urdf).dofs[0].maximum == 2.0


def test_only_joint_spaces_can_be_tightened():
    with pytest.raises(ContractError, match="found delta_ee_pose"):
        _tighten(libero_panda())


def test_a_change_without_a_state_cannot_be_kept_in_range():
    robot = _robot(is_delta=True)
    source = JointStateSource("joint_states", ("shoulder",), ("j1",))
    dof = replace(robot.dofs[1], name="elbow")
    with pytest.raises(ContractError, match="only be kept in its range if dof elbow names a state"):
        _tighten(replace(robot, dofs=(dof,), state=(source,)))
