"""Policy, controller and visualizer of a real arm whose drivers and cameras run already.

ros2 launch asyncvla_ros arm.launch.py robot:=ur5e checkpoint:=my_checkpoint device:=cuda:0 rviz:=true

The controller is configured, activated and holding before the policy starts. At the end the signals go out in
reverse order, and the controller's last command is a hold in any case.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from asyncvla_ros.ros.launching import (
    bring_up,
    ends_launch,
    ends_launch_if_refused,
    middleware,
    needs,
    reads_first,
    recording,
    shipped,
    value,
)


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    namespace = LaunchConfiguration("namespace")
    common = {"robot": value("robot"), "use_sim_time": value("use_sim_time", bool)}
    start = {"autostart": value("autostart", bool)}
    policy_values = {
        "checkpoint": value("checkpoint"),
        "device": value("device"),
        "instruction": value("instruction"),
    }
    controller = LifecycleNode(
        package="asyncvla_ros",
        executable="controller_node",
        name="controller",
        namespace=namespace,
        parameters=[LaunchConfiguration("params_file"), common, {"urdf_topic": value("urdf_topic")}],
        output="screen",
        on_exit=ends_launch("the controller"),
    )
    policy = Node(
        package="asyncvla_ros",
        executable="policy_node",
        name="policy",
        namespace=namespace,
        parameters=[LaunchConfiguration("params_file"), common, policy_values, start],
        output="screen",
        respawn=True,
        respawn_delay=2.0,
        on_exit=ends_launch_if_refused("the policy"),
        condition=IfCondition(LaunchConfiguration("policy")),
    )
    return LaunchDescription(
        [
            *middleware(processes=3),
            DeclareLaunchArgument("robot", description="Its contract: name or .yaml, see asyncvla check"),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder; empty: shipped"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("instruction", default_value="", description="Empty: wait for a task"),
            DeclareLaunchArgument(
                "urdf_topic",
                default_value="",
                description="robot_description: its joint limits tighten those of the contract",
            ),
            DeclareLaunchArgument("policy", default_value="true", description="false: controller only"),
            DeclareLaunchArgument("namespace", default_value="", description="One per robot"),
            DeclareLaunchArgument("use_sim_time", default_value="false", description="Follow /clock"),
            DeclareLaunchArgument(
                "params_file", default_value=shipped("config", "policy.yaml"), description="Tuning"
            ),
            DeclareLaunchArgument(
                "autostart",
                default_value="true",
                description="false: the policy starts when somebody has activated the controller",
            ),
            DeclareLaunchArgument("rviz", default_value="false", description="Start rviz2, too"),
            *recording(),
            reads_first(common, start, policy_values),
            needs("rviz2", condition=IfCondition(LaunchConfiguration("rviz"))),
            *bring_up(controller, then=policy, condition=IfCondition(LaunchConfiguration("autostart"))),
            Node(
                package="asyncvla_ros",
                executable="visualizer_node",
                name="visualizer",
                namespace=namespace,
                parameters=[LaunchConfiguration("params_file"), common, start],
                output="screen",
            ),
            Node(
                package="asyncvla_ros",
                executable="recorder_node",
                name="recorder",
                namespace=namespace,
                parameters=[
                    LaunchConfiguration("params_file"),
                    common,
                    {"out": value("record_dir"), "autostart": True},
                ],
                output="screen",
                condition=IfCondition(LaunchConfiguration("record")),
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(shipped("launch", "rviz.launch.py")),
                launch_arguments={
                    "robot": LaunchConfiguration("robot"),
                    "namespace": namespace,
                    "use_sim_time": LaunchConfiguration("use_sim_time"),
                }.items(),
                condition=IfCondition(LaunchConfiguration("rviz")),
            ),
        ]
    )
