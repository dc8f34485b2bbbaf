"""World and arm of Gazebo: valid for its parser, and in agreement with controllers, bridge and contract."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import xacro
import yaml

from asyncvla_ros.paths import robot_file, share_dir
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.robot.kinematics import load_chain

GAZEBO = share_dir() / "config" / "gazebo"
WORLD = GAZEBO / "table.sdf"
# The command has a new name in newer releases.
CHECKER = shutil.which("ign") or shutil.which("gz")
ROBOT = load_robot(robot_file("gazebo_arm"))


@pytest.fixture(scope="module")
def urdf():
    path = GAZEBO / "asyncvla_arm.urdf.xacro"
    return xacro.process_file(str(path), mappings={"controllers": "/controllers.yaml"}).toxml()


@pytest.mark.skipif(CHECKER is None, reason="no ign or gz: Debian's ignition-tools and libsdformat-dev")
@pytest.mark.parametrize("which", ["world", "arm"])
def test_is_valid_for_sdformat(which, urdf, tmp_path):
    path = tmp_path / "arm.urdf"
    path.write_text(urdf)
    checked = WORLD if which == "world" else path
    result = subprocess.run([str(CHECKER), "sdf", "-k", str(checked)], capture_output=True, text=True)
    assert result.returncode == 0 and "Valid" in result.stdout, result.stderr
    # It calls a file valid whose shapes it cannot read; converting says so.
    result = subprocess.run([str(CHECKER), "sdf", "-p", str(checked)], capture_output=True, text=True)
    problems = [line for line in result.stderr.splitlines() if not line.startswith("Library error")]
    assert result.returncode == 0 and not problems, result.stderr


def test_nothing_has_to_be_downloaded(urdf):
    for text in (WORLD.read_text(), urdf):
        assert not re.search(r"<(mesh|include|uri)\b|https?://(?!www\.ros\.org)|model://|package://", text)


def test_inertias_are_possible(urdf):
    """Positive, and none larger than the sum of the two others."""
    tensors = [i for text in (urdf, WORLD.read_text()) for i in ElementTree.fromstring(text).iter("inertia")]
    assert len(tensors) >= 12
    for tensor in tensors:
        names = ("ixx", "iyy", "izz")
        values = [float(tensor.get(name) or tensor.findtext(name)) for name in names]
        assert min(values) > 0 and 2 * max(values) <= sum(values) * (1 + 1e-6)


def test_the_kinematics_are_those_drawn(urdf):
    chain = load_chain(urdf, "base_link", "tool0")
    zero = dict.fromkeys(chain.names, 0.0)
    np.testing.assert_allclose(chain.pose(zero)[:3, 3], [0, 0, 1.22], atol=1e-12)
    bent = chain.pose(zero | {"joint_2": np.pi / 2})
    np.testing.assert_allclose(bent[:3, 3], [0.96, 0, 0.26], atol=1e-12)
    turned = chain.pose(zero | {"joint_1": np.pi / 2, "joint_2": np.pi / 2, "joint_3": -np.pi / 2})
    np.testing.assert_allclose(turned[:3, 3], [0, 0.35, 0.87], atol=1e-12)


def test_it_begins_over_the_table_with_the_tool_down(urdf):
    control = ElementTree.fromstring(urdf).find("ros2_control")
    start = {
        joint.get("name"): float(joint.findtext("state_interface/param"))
        for joint in control.findall("joint")
    }
    pose = load_chain(urdf, "world", "tool0").pose(start)
    np.testing.assert_allclose(pose[:3, 2], [0, 0, -1], atol=1e-3)
    assert 0.80 < pose[2, 3] < 1.2 and 0.3 < pose[0, 3] < 0.7


def test_no_parameter_of_one_distribution_alone_is_set():
    controllers = yaml.safe_load((GAZEBO / "controllers.yaml").read_text())
    arm = controllers["joint_trajectory_controller"]["ros__parameters"]
    # Jazzy warns of open_loop_control and Kilted has none; state_publish_rate is Humble's.
    assert not {"open_loop_control", "state_publish_rate"} & set(arm)


def test_contract_controllers_and_description_agree(urdf):
    root = ElementTree.fromstring(urdf)
    moving = {j.get("name"): j.find("limit") for j in root.findall("joint") if j.get("type") != "fixed"}
    controllers = yaml.safe_load((GAZEBO / "controllers.yaml").read_text())
    arm = controllers["joint_trajectory_controller"]["ros__parameters"]["joints"]
    gripper = controllers["gripper_controller"]["ros__parameters"]["joints"]
    driven = [joint.get("name") for joint in root.find("ros2_control").findall("joint")]
    assert [*arm, *gripper] == driven == list(moving)
    assert arm == list(ROBOT.dof_names[:-1])
    for dof in map(dataclasses.asdict, ROBOT.dofs[:-1]):
        limit = moving[dof["name"]]
        assert float(limit.get("lower")) < dof["minimum"] < dof["maximum"] < float(limit.get("upper"))
        assert dof["velocity"] <= float(limit.get("velocity"))


def test_the_bridge_carries_the_cameras_of_the_contract(urdf):
    bridged = {
        entry["ros_topic_name"]: entry for entry in yaml.safe_load((GAZEBO / "bridge.yaml").read_text())
    }
    assert set(bridged) == {"/clock", *(camera.topic for camera in ROBOT.cameras)}
    sensors = [s for text in (urdf, WORLD.read_text()) for s in ElementTree.fromstring(text).iter("sensor")]
    for topic in (sensor.findtext("topic") for sensor in sensors):
        assert bridged[topic]["gz_topic_name"] == f"/{topic}"


def test_both_server_configurations_load_the_same_systems():
    def systems(name, prefix):
        plugins = ElementTree.parse(GAZEBO / name).getroot().iter("plugin")
        return [(plugin.get("name"), plugin.get("filename").removeprefix(prefix)) for plugin in plugins]

    old = systems("server_fortress.config", "ignition-gazebo")
    new = systems("server.config", "gz-sim")
    assert [(name.replace("ignition::gazebo", "gz::sim"), file) for name, file in old] == new
    assert "gz::sim::systems::Sensors" in dict(new)
