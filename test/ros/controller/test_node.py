"""controller_node in a process of its own; the test plays policy and robot."""

from __future__ import annotations

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_ns, to_time
from support.contracts import STEP_NS
from support.robot_peer import ChunkPeer, RobotPeer

pytestmark = pytest.mark.ros


def _mode(mode: int):
    return lambda status: status.mode == mode


@pytest.fixture
def controller(start_node, ros_client):
    """An active controller on the wall clock with a robot that reports its state."""
    node = start_node("controller_node", params={"autostart": True})
    robot = RobotPeer(ros_client, cameras=False)
    robot.wait_for_subscribers()
    robot.start()
    return node


def test_tracks_holds_with_a_reason_and_resumes(controller, ros_client):
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    diagnostics = ros_client.subscribe(DiagnosticArray, "/diagnostics", 10)
    status.wait(where=_mode(ControllerStatus.MODE_IDLE))
    policy = ChunkPeer(ros_client)
    sent = policy.send(confidence=np.full(8, 0.75, np.float32))

    command = commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_CHUNK)
    assert (command.chunk_id, command.session_id, command.confidence) == (1, 7, 0.75)
    assert to_ns(command.header.stamp) == sent.due_ns(command.index)
    assert to_ns(command.observation_stamp) == sent.stamp_ns
    assert command.action[0] == pytest.approx(sent.actions[command.index, 0], abs=2e-4), "within its limits"

    commands.wait(where=lambda c: c.source == ActionCommand.SOURCE_HOLD)
    stale = status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_CHUNK_STALE)
    assert stale.mode == ControllerStatus.MODE_HOLDING and "is the policy running?" in stale.reason
    assert stale.underruns > 0 and stale.accepted_chunks == 1
    entry = diagnostics.wait(where=lambda d: d.status[0].message.startswith("HOLDING chunk 1 was observed"))
    values = {item.key: item.value for item in entry.status[0].values}
    assert values["mode"] == "HOLDING" and values["reason"] == "CHUNK_STALE"
    controller.wait_for_output("HOLDING")

    indices = [c.index for c in commands.messages if c.source == ActionCommand.SOURCE_CHUNK]
    assert indices == sorted(set(indices)), "each action at most once, in order"
    held = [c for c in commands.messages if c.source == ActionCommand.SOURCE_HOLD]
    assert np.abs([c.action[:6] for c in held]).max() < 1e-3, "it brakes, and that is little"
    assert not np.any(held[-1].action[:6])

    status.clear()
    policy.send()
    status.wait(where=_mode(ControllerStatus.MODE_TRACKING))


def test_rejects_what_must_not_move_the_arm_and_clamps_the_rest(controller, ros_client):
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    policy = ChunkPeer(ros_client)
    now_ns = ros_client.node.get_clock().now().nanoseconds
    bad = np.zeros((8, 7), np.float32)
    bad[2, 1] = np.nan
    spoiled = [
        ({"actions": bad}, "non-finite"),
        ({"dof_names": tuple("abcdefg")}, "wrong names"),
        ({"actions": np.zeros((8, 6), np.float32)}, "wrong shape"),
        ({"action_space": "joint_position"}, "wrong action space"),
        ({"step_ns": 2 * STEP_NS}, "wrong step"),
        ({"stamp_ns": now_ns - 10**10}, "stale"),
        ({"stamp_ns": now_ns + 10**11}, "from the future"),
    ]
    for count, (changes, reason) in enumerate(spoiled, start=1):
        policy.send(**changes)
        rejected = status.wait(where=lambda s, n=count: s.rejected_chunks == n)
        assert rejected.last_rejection.startswith(reason)
        assert rejected.accepted_chunks == 0
    assert not commands.messages, "nothing was executed, and before a first chunk there is nothing to hold"

    policy.send(actions=np.full((8, 7), 9.0, np.float32))
    command = commands.wait(where=lambda c: c.action[3] > 0.2999)
    # Within a step, at the velocity limits of 1 m/s and 6 rad/s.
    np.testing.assert_allclose(command.action, [0.05] * 3 + [0.3] * 3 + [1.0], rtol=1e-4)
    clipped = status.wait(where=lambda s: sum(s.clipped) > 0)
    assert clipped.dof_names[0] == "dx" and all(clipped.clipped)


def test_stop_is_latched_and_the_last_command_is_a_hold(controller, ros_client):
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 1000)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    policy = ChunkPeer(ros_client)
    policy.send()
    status.wait(where=_mode(ControllerStatus.MODE_TRACKING))
    assert ros_client.call(Trigger, "/controller/estop", Trigger.Request()).success
    status.wait(where=_mode(ControllerStatus.MODE_ESTOP))
    status.clear()
    policy.send()
    accepted = status.wait(where=lambda s: s.accepted_chunks == 2)
    assert accepted.mode == ControllerStatus.MODE_ESTOP
    assert ros_client.call(Trigger, "/controller/reset", Trigger.Request()).success
    assert not ros_client.call(Trigger, "/controller/reset", Trigger.Request()).success
    status.clear()
    policy.send()
    status.wait(where=_mode(ControllerStatus.MODE_TRACKING))
    assert controller.stop() == 0
    status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_INACTIVE)
    assert commands.messages[-1].source == ActionCommand.SOURCE_HOLD


def test_lockstep_answers_each_tick_with_the_due_action(start_node, ros_client):
    params = {"autostart": True, "lockstep": True, "execute_steps": 3, "use_sim_time": True}
    params |= {"silence_timeout_s": 1.0, "sensor_reliability": "reliable"}
    start_node("controller_node", params=params)
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 100)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    robot = RobotPeer(ros_client, cameras=False)
    robot.wait_for_subscribers()
    policy = ChunkPeer(ros_client)
    clock = ros_client.publisher(Clock, "/clock", qos.LOCKSTEP_CLOCK)
    ros_client.wait_until(
        lambda: clock.get_subscription_count() >= 2, "the controller's own clock subscription"
    )

    begin = 20 * STEP_NS
    for decision in range(5):
        stamp = begin + decision * 3 * STEP_NS
        robot.publish(stamp)
        # Chunk and tick come on different topics: either may arrive first.
        if decision % 2:
            clock.publish(Clock(clock=to_time(stamp)))
            policy.send(stamp)
        else:
            policy.send(stamp)
            clock.publish(Clock(clock=to_time(stamp)))
        for index in range(3):
            command = commands.wait(count=decision * 3 + index + 1)
            assert to_ns(command.header.stamp) == stamp + index * STEP_NS
            assert (command.chunk_id, command.index) == (decision + 1, index)
            if index < 2:
                clock.publish(Clock(clock=to_time(stamp + (index + 1) * STEP_NS)))
    clock.publish(Clock(clock=to_time(begin + 15 * STEP_NS)))
    held = status.wait(where=_mode(ControllerStatus.MODE_HOLDING))
    assert held.reason_code == ControllerStatus.REASON_UNDERRUN
    assert "of wall time; is the policy running?" in held.reason
    assert len(commands.messages) == 15, "in lockstep a hold is not a command: the world stands still"
    assert held.underruns == 0


TRACKED = """
name: tracked
control_hz: 20.0
command_hz: 100.0
base_frame: panda_link0
cameras: [{key: top, topic: top/image_raw, transport: raw}]
state:
  - {type: PoseStamped, topic: ee_pose, names: [x, y, z, r11, r21, r31, r12, r22, r32]}
  - {type: JointState, topic: joint_states, joints: [panda_joint1], names: [j1]}
action:
  space: joint_position
  dofs:
    - {name: j1, unit: rad, scale: 1.0, limits: {position: [-1, 1], velocity: 2, acceleration: 2, jerk: 50}}
outputs: [{adapter: action_command, topic: ~/command}]
timeouts: {chunk_s: 0.5, observation_s: 2.0}
"""
URDF = """<robot name="panda">
  <link name="panda_link0"/><link name="panda_link1"/>
  <joint name="panda_joint1" type="revolute">
    <parent link="panda_link0"/><child link="panda_link1"/>
    <limit lower="-3" upper="3" velocity="0.5" effort="1"/>
  </joint>
</robot>"""


def test_a_tracked_arm_comes_to_rest_before_deactivation(start_node, ros_client, tmp_path):
    robot, urdf = tmp_path / "tracked.yaml", tmp_path / "panda.urdf"
    robot.write_text(TRACKED)
    urdf.write_text(URDF)
    node = start_node("controller_node", params={"autostart": True, "robot": str(robot), "urdf": str(urdf)})
    peer = RobotPeer(ros_client, cameras=False)
    peer.wait_for_subscribers()
    peer.start()
    commands = ros_client.subscribe(ActionCommand, "/controller/command", 1000)
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    commands.wait(count=5)
    policy = ChunkPeer(ros_client)
    far = {"actions": np.ones((8, 1), np.float32), "dof_names": ("j1",), "action_space": "joint_position"}
    while not commands.messages or commands.messages[-1].action[0] < 0.2:
        policy.send(**far)
        commands.wait(count=len(commands.messages) + 20)
    assert node.stop() == 0
    status.wait(where=lambda s: s.reason_code == ControllerStatus.REASON_INACTIVE)

    def at_rest() -> bool:
        last, before = (command.action[0] for command in commands.messages[-2:])
        return abs(last - before) < 1e-4

    ros_client.wait_until(at_rest, "the end of the stop")
    path = np.array([command.action[0] for command in commands.messages], float)
    stamps = np.array([to_ns(command.header.stamp) for command in commands.messages])
    # A tick of the timer moves the arm by a whole period, also after one that came late; chunks are answered
    # at once, in between, by a motion for the time that has passed: they must not add up to more.
    elapsed = np.diff(stamps) / 1e9
    speed = np.diff(path) / np.maximum(elapsed, 0.01)
    assert 0.4 < speed.max() < 0.51, "the URDF permits less than the contract"
    assert speed.min() > -1e-3
    assert (path[10:] - path[:-10] < 0.5 * (stamps[10:] - stamps[:-10]) / 1e9 + 0.015).all()
    assert commands.messages[-1].source == ActionCommand.SOURCE_HOLD


def test_the_description_on_a_topic_counts_as_a_urdf(start_node, ros_client, tmp_path):
    robot = tmp_path / "tracked.yaml"
    robot.write_text(TRACKED)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    description = ros_client.node.create_publisher(String, "robot_description", latched)
    description.publish(String(data=URDF.replace("panda_joint1", "another_joint")))
    node = start_node("controller_node", params={"robot": robot, "urdf_topic": "robot_description"})
    assert not ros_client.transition("controller", "configure")
    node.wait_for_output("is joint panda_joint1, which the URDF does not move; its joints are another_joint")
    description.publish(String(data=URDF))
    assert ros_client.transition("controller", "configure")


def test_nothing_moves_before_a_command_has_reached_the_robot(start_node, ros_client, tmp_path):
    robot = tmp_path / "tracked.yaml"
    robot.write_text(TRACKED)
    node = start_node("controller_node", params={"autostart": True, "robot": str(robot)})
    status = ros_client.subscribe(ControllerStatus, "/controller/status", qos.STATUS)
    peer = RobotPeer(ros_client, cameras=False)
    peer.wait_for_subscribers()
    peer.start()
    policy = ChunkPeer(ros_client)
    far = {"actions": np.ones((8, 1), np.float32), "dof_names": ("j1",), "action_space": "joint_position"}
    policy.send(**far)
    node.wait_for_output("commands reach nobody on ~/command")
    status.clear()
    waiting = status.wait()
    assert (waiting.mode, waiting.reason_code) == (
        ControllerStatus.MODE_IDLE,
        ControllerStatus.REASON_NOT_HEARD,
    )

    commands = ros_client.subscribe(ActionCommand, "/controller/command", 1000)
    commands.wait()
    while commands.messages[-1].source == ActionCommand.SOURCE_HOLD:
        policy.send(**far)
        commands.wait(count=len(commands.messages) + 5)
    first = commands.messages[0]
    assert first.source == ActionCommand.SOURCE_HOLD
    assert first.action[0] == pytest.approx(0.0, abs=1e-6), "held where it is measured"


def test_a_missing_robot_contract_fails_configure_with_the_choices(start_node, ros_client):
    node = start_node("controller_node", params={"robot": "ur17"})
    assert not ros_client.transition("controller", "configure")
    assert ros_client.state("controller") == "unconfigured"
    node.wait_for_output("cannot configure: no robot contract 'ur17'")
    node.wait_for_output("libero_panda")


def test_lifecycle_can_go_round(start_node, ros_client):
    start_node("controller_node")
    for _ in range(2):
        for name in ("configure", "activate", "deactivate", "cleanup"):
            assert ros_client.transition("controller", name), name
    assert ros_client.state("controller") == "unconfigured"
