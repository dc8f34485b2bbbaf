r"""Plays a bag into policy and visualizer: what would the policy have done?

    ros2 launch asyncvla_ros replay.launch.py bag:=my_bag robot:=ur5e checkpoint:=my_checkpoint \
        instruction:="pick up the cup" rviz:=true

No controller runs, and of the bag only observations are played: nothing here can move a robot. The chunks go
out on replayed_policy/action_chunk, so that nobody takes them for those of a running policy.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from asyncvla_ros.ros.launching import (
    bring_up,
    ends_launch,
    fixed,
    middleware,
    needs,
    reads_first,
    recorded_inputs,
    shipped,
    value,
)

NAME = "replayed_policy"


def _play(context: LaunchContext) -> list[ExecuteProcess]:
    """Plays what the policy sees, with the clock of the recording."""
    robot, namespace, bag, rate = (
        LaunchConfiguration(name).perform(context) for name in ("robot", "namespace", "bag", "rate")
    )
    topics = recorded_inputs(robot, namespace)
    command = ["ros2", "bag", "play", bag, "--clock", "100", "--rate", rate, "--topics", *topics]
    return [ExecuteProcess(cmd=command, output="screen", on_exit=ends_launch("the bag"))]


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    namespace = LaunchConfiguration("namespace")
    common = {"robot": value("robot"), "use_sim_time": True}
    policy_values = {
        "checkpoint": value("checkpoint"),
        "device": value("device"),
        "instruction": value("instruction"),
    }
    policy = LifecycleNode(
        package="asyncvla_ros",
        executable="policy_node",
        name=NAME,
        namespace=namespace,
        parameters=[LaunchConfiguration("params_file"), common, policy_values],
        output="screen",
        on_exit=ends_launch("the policy"),
    )
    return LaunchDescription(
        [
            *middleware(processes=3),
            DeclareLaunchArgument("bag", description="Folder or file of the recording"),
            DeclareLaunchArgument("rate", default_value="1.0", description="Times real time"),
            DeclareLaunchArgument("robot", default_value="libero_panda", description="Name or .yaml"),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder; empty: shipped"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("instruction", default_value="", description="Empty: wait for a task"),
            DeclareLaunchArgument("namespace", default_value="", description="That of the recorded robot"),
            DeclareLaunchArgument(
                "params_file", default_value=shipped("config", "policy.yaml"), description="Tuning"
            ),
            fixed("use_sim_time", "true", "the clock is that of the recording"),
            DeclareLaunchArgument("rviz", default_value="false", description="Start rviz2, too"),
            reads_first(common, policy_values),
            needs("ros2bag", "rosbag2_transport"),
            needs("rviz2", condition=IfCondition(LaunchConfiguration("rviz"))),
            # The model takes seconds to load; the recording waits for it.
            *bring_up(policy, then=OpaqueFunction(function=_play)),
            Node(
                package="asyncvla_ros",
                executable="visualizer_node",
                name="visualizer",
                namespace=namespace,
                parameters=[
                    LaunchConfiguration("params_file"),
                    common,
                    {"chunk_topic": f"{NAME}/action_chunk", "autostart": True},
                ],
                output="screen",
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(shipped("launch", "rviz.launch.py")),
                launch_arguments={
                    "robot": LaunchConfiguration("robot"),
                    "namespace": namespace,
                    "use_sim_time": "true",
                }.items(),
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
