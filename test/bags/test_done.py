"""What was done, as recordings say it: by commands, chunks, outputs, or where the robot went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from asyncvla_ros.bags.done import DoneChunks, DoneCommands, find_done
from asyncvla_ros.bags.done_outputs import DoneOutputs
from asyncvla_ros.bags.done_states import DoneStates
from asyncvla_ros.bags.messages import Messages
from asyncvla_ros.bags.reader import Recorded
from asyncvla_ros.common.transforms import pose_to_state
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.robot.contract import Output
from asyncvla_ros.types import AsyncVLAError
from support.contracts import libero_panda
from support.recordings import BEGIN_NS, MS, STEP_NS, two_joints

MAKE = Messages()


def recorded(topic, message, log_ns=0):
    return Recorded(topic, message.__msgtype__, log_ns, message)


def asked(robot, stamp_ns=BEGIN_NS, length=3):
    """Make a chunk that asks for what was executed at its times."""
    actions = np.zeros((length, len(robot.dofs)), np.float32)
    return StampedChunk(1, 1, stamp_ns, STEP_NS, robot.action_space, robot.dof_names, actions)


def command(stamp_ns, values, **changes):
    given = {"source": 1, "dof_names": ["a", "b"], "action": np.array(values, np.float32), **changes}
    return MAKE.make("asyncvla_msgs/msg/ActionCommand", header=MAKE.header(stamp_ns), **given)


def test_the_command_that_is_nearest_counts_within_half_a_step():
    done = DoneCommands(two_joints(), "/c")
    done.feed(recorded("/c", command(BEGIN_NS + 20 * MS, [1, 2])))
    done.feed(recorded("/c", command(BEGIN_NS + STEP_NS - 20 * MS, [3, 4])))
    done.feed(recorded("/c", command(BEGIN_NS + STEP_NS, [9, 9], source=0)))
    done.feed(recorded("/c", command(BEGIN_NS + STEP_NS, [9, 9], dof_names=["b", "a"])))
    values = done.at(asked(two_joints()))
    assert values[:2].tolist() == [[1, 2], [3, 4]], "neither a hold nor another robot's"
    assert np.isnan(values[2]).all()


def test_what_nobody_asks_for_any_more_is_forgotten():
    done = DoneCommands(two_joints(), "/c")
    for step in range(100):
        done.feed(recorded("/c", command(BEGIN_NS + step * STEP_NS, [step, 0])))
    done.forget(BEGIN_NS + 90 * STEP_NS)
    assert len(done.series["/c"].stamps) < 15
    assert done.at(asked(two_joints(), BEGIN_NS + 90 * STEP_NS))[0, 0] == 90
    done.forget(None)
    assert done.series["/c"].stamps == []


def test_a_chunk_is_compared_action_by_action():
    done = DoneChunks(two_joints(), "/p")
    message = MAKE.make(
        "asyncvla_msgs/msg/ActionChunk",
        header=MAKE.header(BEGIN_NS),
        dof_names=["a", "b"],
        actions=np.array([1, 2, 3, 4], np.float32),
    )
    done.feed(recorded("/p", message))
    values = done.at(asked(two_joints()))
    assert values[:2].tolist() == [[1, 2], [3, 4]] and np.isnan(values[2]).all()
    assert np.isnan(done.at(asked(two_joints(), BEGIN_NS + STEP_NS))).all(), "of another observation"


def outputs(adapter, **changes):
    robot = two_joints()
    output = Output(adapter, "out", ("a", "b"), ("j1", "j2"), **changes)
    return DoneOutputs(robot, {"/out": output}), robot


def test_a_trajectory_says_where_the_joints_are_between_its_points():
    done, robot = outputs("joint_trajectory")
    points = [
        MAKE.make(
            "trajectory_msgs/msg/JointTrajectoryPoint",
            positions=np.array(positions, float),
            time_from_start=MAKE.duration(at_ns),
        )
        for at_ns, positions in ((0, [0.0, 1.0]), (2 * STEP_NS, [1.0, 0.0]))
    ]
    message = MAKE.make(
        "trajectory_msgs/msg/JointTrajectory",
        header=MAKE.header(BEGIN_NS),
        joint_names=["j2", "j1"],
        points=points,
    )
    done.feed(recorded("/out", message))
    assert done.at(asked(robot)).tolist() == [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]


def test_positions_hold_and_velocities_end():
    done, robot = outputs("forward_position")
    message = MAKE.make("std_msgs/msg/Float64MultiArray", data=np.array([0.5, -0.5]))
    done.feed(recorded("/out", message, BEGIN_NS - 10**9))
    assert done.at(asked(robot)).tolist() == [[0.5, -0.5]] * 3
    done, robot = outputs("forward_velocity")
    done.feed(recorded("/out", message, BEGIN_NS))
    values = done.at(asked(robot, length=7))
    assert values[0].tolist() == [0.025, -0.025] and np.isnan(values[6]).all()


def test_a_gripper_s_travel_is_undone():
    robot = two_joints()
    output = Output("forward_position", "out", ("a",), ("j1",), travel=(0.0, 0.08))
    done = DoneOutputs(robot, {"/out": output})
    data = np.array([0.02])
    done.feed(recorded("/out", MAKE.make("std_msgs/msg/Float64MultiArray", data=data), BEGIN_NS))
    values = done.at(asked(robot))
    assert values[0, 0] == pytest.approx(-1.0) and np.isnan(values[:, 1]).all()


def test_twist_and_pose_of_the_end_effector():
    robot = libero_panda()
    output = Output("twist", "t", robot.dof_names[:6], robot.dof_names[:6])
    done = DoneOutputs(robot, {"/t": output})
    vector = MAKE.make("geometry_msgs/msg/Vector3", x=0.2)
    twist = MAKE.make("geometry_msgs/msg/Twist", linear=vector)
    message = MAKE.make("geometry_msgs/msg/TwistStamped", header=MAKE.header(BEGIN_NS), twist=twist)
    done.feed(recorded("/t", message))
    values = done.at(asked(robot))
    assert values[0, :6] == pytest.approx([0.01, 0, 0, 0, 0, 0]) and np.isnan(values[0, 6])


def test_where_the_arm_went_as_target_and_as_change():
    robot = libero_panda()
    done = DoneStates(robot, {"/ee_pose": "ee_pose", "/joint_states": "joint_states"}, 1)
    for step in range(4):
        turn = Rotation.from_rotvec([0, 0, 0.1 * step]).as_quat()
        state = pose_to_state(np.array([0.01 * step**2, 0.0, 0.5]), turn)
        message = MAKE.pose(MAKE.header(BEGIN_NS + step * STEP_NS, "panda_link0"), state)
        done.feed(recorded("/ee_pose", message))
    values = done.at(asked(robot, length=2))
    # From one step after it was due to two.
    assert values[0, :6] == pytest.approx([0.03, 0, 0, 0, 0, 0.1], abs=1e-6)
    assert values[1, :6] == pytest.approx([0.05, 0, 0, 0, 0, 0.1], abs=1e-6)
    assert np.isnan(values[:, 6]).all(), "nobody measures a gripper of that name"


def test_a_state_that_says_nothing_of_the_dofs_is_refused():
    robot = two_joints()
    strange = replace(robot, dofs=tuple(replace(dof, name=f"{dof.name}_2") for dof in robot.dofs))
    with pytest.raises(AsyncVLAError, match="no dof of two_joints is measured"):
        find_done("state:1", {"/joint_states": {"sensor_msgs/msg/JointState"}}, strange, "")
