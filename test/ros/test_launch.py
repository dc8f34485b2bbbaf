"""The shipped launch files under the real launch_ros, as far as they go without other people's packages."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
import xacro
from rcl_interfaces.srv import GetParameters
from std_msgs.msg import String

from asyncvla_msgs.srv import StartEpisode
from asyncvla_ros.bags.episode import read_note
from asyncvla_ros.paths import share_dir
from asyncvla_ros.ros import qos
from support.checkpoints import tiny_checkpoint
from support.stand_ins import StandIns

pytestmark = [pytest.mark.ros, pytest.mark.launch]

PEER = Path(__file__).parents[1] / "support" / "launch_peer.py"
# A launch with torch in it on a busy machine [s].
PATIENCE = 180.0
FILES = sorted((share_dir() / "launch").glob("*.launch.py"))
DEPLOYMENT = {"checkpoint", "device", "params_file"}
ARGUMENTS = {
    "arm": DEPLOYMENT | {"robot", "urdf_topic", "namespace", "policy", "autostart", "rviz", "use_sim_time"},
    "gazebo": DEPLOYMENT | {"gui", "world", "policy", "rviz"},
    "libero": DEPLOYMENT | {"namespace", "autostart", "suite", "task"},
    "policy": DEPLOYMENT | {"robot", "namespace", "autostart", "use_sim_time"},
    "replay": DEPLOYMENT | {"bag", "robot", "namespace", "rate", "rviz"},
    "rviz": {"robot", "namespace", "use_sim_time"},
}
REQUIRED = {"replay": {"bag"}, "arm": {"robot"}, "policy": {"robot"}}
OURS = {"policy_node", "controller_node"}
NODES = {
    "arm": OURS | {"visualizer_node", "recorder_node"},
    "gazebo": {"parameter_bridge", "robot_state_publisher", "create"},
    "libero": OURS | {"libero_sim_node", "recorder_node"},
    "policy": OURS,
    "replay": {"policy_node", "visualizer_node"},
    "rviz": {"rviz2"},
}


def _description(path):
    from launch import LaunchContext
    from launch.launch_description_sources import PythonLaunchDescriptionSource

    return PythonLaunchDescriptionSource(str(path)).get_launch_description(LaunchContext())


def _nodes(entities):
    """Collect the nodes of a description, also those that wait for an event, without included files."""
    from launch.actions import IncludeLaunchDescription
    from launch_ros.actions import Node

    for entity in entities:
        if isinstance(entity, Node):
            yield entity
        elif not isinstance(entity, IncludeLaunchDescription):
            yield from _nodes(entity.describe_sub_entities())
            for _, conditional in entity.describe_conditional_sub_entities():
                yield from _nodes(conditional)


def _launch(start_process, name, *arguments, env=None):
    return start_process(str(PEER), str(share_dir() / "launch" / f"{name}.launch.py"), *arguments, env=env)


def _name(path):
    return path.name.removesuffix(".launch.py")


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_arguments_and_nodes(path):
    name, description = _name(path), _description(path)
    arguments = {argument.name: argument for argument in description.get_launch_arguments()}
    assert ARGUMENTS[name] <= set(arguments)
    assert all(argument.description for argument in arguments.values())
    required = {key for key, argument in arguments.items() if argument.default_value is None}
    assert required == REQUIRED.get(name, set())
    assert {node.node_executable for node in _nodes(description.entities)} == NODES[name]


@pytest.mark.parametrize(
    ("name", "arguments", "package"),
    [
        ("gazebo", [], "ros_gz_sim"),
        ("rviz", [], "rviz2"),
        ("replay", ["bag:=recording"], "ros2bag"),
        ("arm", ["robot:=libero_panda", "rviz:=true"], "rviz2"),
    ],
)
def test_a_missing_package_is_named_in_one_line_and_nothing_starts(start_process, name, arguments, package):
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix

    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        pass
    else:
        pytest.skip(f"{package} is installed")
    started = _launch(start_process, name, *arguments)
    assert started.process.wait(PATIENCE) == 1
    started.wait_for_output("missing ROS package")
    errors = [line for line in started.output.splitlines() if "[INFO]" not in line]
    assert len(errors) == 1 and package in errors[0] and "apt-get install" in errors[0]
    assert "process started" not in started.output


def test_the_controller_of_an_arm_is_active_before_the_policy_starts(start_process, ros_client):
    started = _launch(start_process, "arm", "robot:=libero_panda", "namespace:=left")
    started.wait_for_output("[policy_node-3]: process started", PATIENCE)
    assert ros_client.state("left/controller") == "active"
    started.stop()
    assert "process has finished cleanly" in started.output
    assert "Caught exception" not in started.output


@pytest.mark.libero
def test_controller_and_simulator_execute_what_the_checkpoint_says(start_process, ros_client, tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "tiny", n_action_steps=3)
    _launch(start_process, "libero", f"checkpoint:={checkpoint}", "autostart:=false")
    request = GetParameters.Request(names=["n_action_steps"])
    for node in ("controller", "libero_sim"):
        answer = ros_client.call(GetParameters, f"/{node}/get_parameters", request, timeout=PATIENCE)
        assert answer.values[0].integer_value == 3


def test_an_arm_that_cannot_be_configured_ends_the_launch(start_process):
    started = _launch(start_process, "arm", "robot:=nobody")
    assert started.process.wait(PATIENCE) == 1
    started.wait_for_output("[controller]: cannot configure: no robot contract 'nobody'")
    assert "policy_node" not in started.output


@pytest.mark.parametrize("name", ["policy", "arm"])
def test_a_checkpoint_that_is_not_there_is_tried_once(start_process, name):
    started = _launch(start_process, name, "robot:=libero_panda", "checkpoint:=/nowhere/my run #3")
    assert started.process.wait(PATIENCE) == 1
    started.wait_for_output("[policy]: cannot configure: /nowhere/my run #3")
    assert len(re.findall(r"\[policy_node-\d\]: process started", started.output)) == 1
    assert "the policy ended with exit code 3" in started.output


@pytest.mark.libero
@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("task:=abc", "abc"),
        ("task:=10", "libero_object has no task 10, expected 0 to 9"),
        ("suite:=libero_objects", "unknown LIBERO suite 'libero_objects', expected one of"),
        ("checkpoint:=/nowhere", "/nowhere"),
        ("lockstep:=perhaps", "lockstep"),
    ],
)
def test_nothing_starts_before_all_values_are_read(start_process, argument, words):
    started = _launch(start_process, "libero", argument)
    assert started.process.wait(PATIENCE) == 1
    started.wait_for_output(words)
    assert "process started" not in started.output


@pytest.mark.parametrize(
    ("name", "argument"), [("replay", "use_sim_time:=false"), ("gazebo", "use_sim_time:=false")]
)
def test_what_cannot_be_chosen_is_refused_rather_than_ignored(start_process, name, argument):
    started = _launch(start_process, name, "bag:=recording", argument)
    assert started.process.wait(PATIENCE) == 1
    started.wait_for_output("Valid options are: ")
    assert "process started" not in started.output


def test_a_controller_that_was_killed_ends_the_launch_with_an_error(start_process):
    started = _launch(start_process, "arm", "robot:=libero_panda", "policy:=false")
    started.wait_for_output("[controller]: IDLE", PATIENCE)
    pid = re.search(r"\[controller_node-\d\]: process started with pid \[(\d+)\]", started.output)
    assert pid is not None
    os.kill(int(pid[1]), signal.SIGKILL)
    assert started.process.wait(PATIENCE) == 1
    assert "the controller ended with exit code -9" in started.output


def test_an_arm_is_recorded_if_that_is_asked_for(start_process, ros_client, tmp_path):
    started = _launch(
        start_process, "arm", "robot:=libero_panda", "record:=true", f"record_dir:={tmp_path}/episodes"
    )
    started.wait_for_output(f"[recorder]: ready: episodes go to {tmp_path}/episodes", PATIENCE)
    answer = ros_client.call(StartEpisode, "recorder/start", StartEpisode.Request(instruction="lift it"))
    assert answer.accepted and answer.message == f"{tmp_path}/episodes/episode_000000"
    started.stop()
    assert read_note(tmp_path / "episodes" / "episode_000000").outcome == "unknown"


@pytest.mark.libero
def test_a_task_of_libero_says_what_is_to_be_done(start_process):
    started = _launch(start_process, "libero", "task:=3", "autostart:=false")
    started.wait_for_output("instruction: 'pick up the bbq sauce and place it in the basket'", PATIENCE)


@pytest.fixture
def stand_ins(tmp_path):
    return StandIns(tmp_path / "stand_ins")


def _environment(stand_ins):
    return stand_ins.environment(os.environ["AMENT_PREFIX_PATH"], os.environ["PATH"])


def test_gazebo_goes_on_step_by_step(start_process, ros_client, stand_ins):
    stand_ins.gazebo()
    # As robot_state_publisher would: the controller takes limits from it.
    arm = share_dir() / "config" / "gazebo" / "asyncvla_arm.urdf.xacro"
    urdf = xacro.process_file(str(arm), mappings={"controllers": "/controllers.yaml"}).toxml()
    ros_client.node.create_publisher(String, "/robot_description", qos.STATUS).publish(String(data=urdf))
    started = _launch(start_process, "gazebo", "gui:=false", env=_environment(stand_ins))
    started.wait_for_output("[controller]: IDLE", PATIENCE)
    assert ros_client.state("controller") == "active"
    output = started.output
    steps = (
        "STAND-IN create -name asyncvla_arm -topic robot_description",
        "STAND-IN spawner joint_state_broadcaster joint_trajectory_controller gripper_controller",
        "[controller_node-6]: process started",
    )
    places = [output.index(step) for step in steps]
    assert places == sorted(places)
    assert re.search(r"STAND-IN gz sim -r -s --headless-rendering /\S+/config/gazebo/table.sdf\n", output)
    assert "STAND-IN parameter_bridge" in output and "STAND-IN robot_state_publisher" in output
    assert "policy_node" not in output


def test_gazebo_ends_if_the_robot_cannot_be_spawned(start_process, stand_ins):
    stand_ins.gazebo(create="echo no world; exit 3")
    started = _launch(start_process, "gazebo", env=_environment(stand_ins))
    assert started.process.wait(PATIENCE) == 1
    started.wait_for_output("no world")
    assert "STAND-IN spawner" not in started.output and "controller_node" not in started.output


@pytest.mark.slow
def test_a_replay_plays_when_the_policy_is_ready_and_ends_with_the_bag(start_process, stand_ins):
    stand_ins.command("ros2")
    stand_ins.package("ros2bag")
    stand_ins.package("rosbag2_transport")
    started = _launch(start_process, "replay", "bag:=recording", env=_environment(stand_ins))
    assert started.process.wait(PATIENCE) == 0
    played = "STAND-IN ros2 bag play recording --clock 100 --rate 1.0 --topics /agentview/image_raw "
    started.wait_for_output(played)
    assert started.output.index("[replayed_policy]: ready") < started.output.index(played)
    assert "Caught exception" not in started.output and "controller_node" not in started.output


def test_a_replay_takes_observations_from_the_bag_and_nothing_that_moves_a_robot():
    from asyncvla_ros.ros.launching.values import recorded_inputs

    observed = ["agentview/image_raw", "wrist/image_raw", "ee_pose", "joint_states", "controller/status"]
    described = ["robot_description", "/tf", "/tf_static"]
    expected = [*(f"/{name}" for name in [*observed, described[0]]), *described[1:]]
    assert recorded_inputs("libero_panda", "") == expected
    assert recorded_inputs("libero_panda", "/left/")[:2] == [
        "/left/agentview/image_raw",
        "/left/wrist/image_raw",
    ]
