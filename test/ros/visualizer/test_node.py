"""visualizer_node in a process of its own; the test plays policy, controller, robot and camera."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from visualization_msgs.msg import Marker, MarkerArray

from asyncvla_msgs.msg import ControllerStatus
from asyncvla_ros.paths import robot_file
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.exit_codes import REFUSED
from asyncvla_ros.view.overlay import MIN_WIDTH, PANEL
from support.contracts import STEP_NS
from support.fake_robot import START_TIMEOUT, ChunkPeer, FakeRobot
from support.urdf import PLANAR

pytestmark = pytest.mark.ros


def _path(message):
    """Return the path marker of an array, or None."""
    return next((m for m in message.markers if m.ns == "path" and m.action == Marker.ADD), None)


def _is_deletion(message):
    return [marker.action for marker in message.markers] == [Marker.DELETEALL]


def test_shows_the_chunk_the_caption_and_takes_stale_markers_away(start_node, ros_client, tmp_path):
    contract = yaml.safe_load(robot_file("libero_panda").read_text())
    contract["timeouts"]["chunk_s"] = 3.0
    (tmp_path / "patient.yaml").write_text(yaml.safe_dump(contract))
    params = {"autostart": True, "robot": tmp_path / "patient.yaml"}
    node = start_node("visualizer_node", params=params)
    robot = FakeRobot(ros_client)
    markers = ros_client.subscribe(MarkerArray, "/visualizer/markers", 100)
    overlays = ros_client.subscribe(Image, "/visualizer/overlay", 10)
    robot.wait_for_subscribers("agentview/image_raw", "ee_pose")
    robot.start()
    status = ros_client.publisher(ControllerStatus, "controller/status", qos.STATUS)
    status.publish(ControllerStatus(mode=ControllerStatus.MODE_TRACKING))
    refined = np.zeros(8, bool)
    refined[5] = True
    plain = overlays.wait()
    policy = ChunkPeer(ros_client)
    policy.send(confidence=np.full(8, 0.75, np.float32), refined=refined, instruction="lift")

    shown = markers.wait(where=lambda m: _path(m) is not None)
    path = _path(shown)
    assert path.header.frame_id == "panda_link0" and len(path.points) == len(path.colors) == 16
    assert (path.points[0].x, path.points[0].y, path.points[0].z) == pytest.approx((0.1, 0.2, 0.3))
    assert path.points[-1].x == pytest.approx(0.1 + sum(0.001 + 0.0001 * i for i in range(8)), abs=1e-6)
    by_name = {marker.ns: marker for marker in shown.markers}
    assert len(by_name["refined"].points) == 1 and len(by_name["actions"].points) == 7
    assert (plain.height, plain.width) == (round(224 * MIN_WIDTH / 224) + PANEL, MIN_WIDTH)
    overlays.wait(where=lambda image: image.data != plain.data)

    markers.wait(where=lambda m: _path(m) is not None and _path(m).colors[0].a < 0.5)
    before = next(i for i, message in enumerate(markers.messages) if message is shown)
    deletions = sum(map(_is_deletion, markers.messages[:before]))
    markers.wait(deletions + 1, where=_is_deletion)

    markers.clear()
    policy.send()
    markers.wait(where=lambda m: _path(m) is not None)
    policy.send(length=0)
    markers.wait(where=_is_deletion)
    robot.stop()
    assert node.stop() == 0


def test_draws_joint_actions_from_the_robot_description(start_node, ros_client, tmp_path):
    contract = yaml.safe_load(robot_file("libero_panda").read_text())
    contract["base_frame"] = "base"
    joints = ["shoulder", "elbow", "lift"]
    contract["state"] = [{"type": "JointState", "topic": "joint_states", "joints": joints, "names": joints}]
    dof = {"unit": "rad", "scale": 1.0, "limits": {"position": [-3.0, 3.0]}}
    contract["action"] = {"space": "joint_position", "dofs": [{"name": name, **dof} for name in joints]}
    contract["timeouts"]["chunk_s"] = 60.0
    (tmp_path / "planar.yaml").write_text(yaml.safe_dump(contract))
    params = {"autostart": True, "robot": tmp_path / "planar.yaml", "tip_link": "tip"}
    params["sensor_reliability"] = "reliable"
    node = start_node("visualizer_node", params=params)
    markers = ros_client.subscribe(MarkerArray, "/visualizer/markers", 100)
    # Again and again, as a robot does: the first may come before the node has heard of its publisher.
    measured = ros_client.publisher(JointState, "joint_states", timeout=START_TIMEOUT)
    state = JointState(name=joints, position=[0.0] * 3)
    ros_client.node.create_timer(0.05, lambda: measured.publish(state))
    actions = np.array([[np.pi / 2, 0, 0], [np.pi / 2, -np.pi / 2, 0.05]], np.float32)
    ChunkPeer(ros_client).send(
        action_space="joint_position", dof_names=tuple(joints), actions=actions, action_period_ns=STEP_NS
    )
    node.wait_for_output("joint actions cannot be drawn without a robot description")

    ros_client.publisher(String, "robot_description", qos.STATUS).publish(String(data=PLANAR))
    path = _path(markers.wait(where=lambda m: _path(m) is not None))
    points = np.array([[p.x, p.y, p.z] for p in path.points])
    np.testing.assert_allclose(points[[0, 1, 3]], [[0.9, 0, 0.1], [0, 0.9, 0.1], [0.4, 0.5, 0.15]], atol=1e-6)


def test_an_unknown_camera_is_refused(start_node):
    node = start_node("visualizer_node", params={"autostart": True, "camera": "front"})
    assert node.process.wait(60) == REFUSED
    node.wait_for_output("parameter camera is 'front', expected one of agentview, wrist, or none")
