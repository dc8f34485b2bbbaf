r"""asyncvla_arm at a table in Gazebo, with controller, visualizer and, if wanted, policy.

    ros2 launch asyncvla_ros gazebo.launch.py
    ros2 launch asyncvla_ros gazebo.launch.py policy:=true checkpoint:=my_checkpoint \
        instruction:="lift the red box"

Order: simulator and robot description, robot, ros2_control's controllers, then the nodes of arm.launch.py.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    SetEnvironmentVariable,
)
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import (
    Command,
    FindExecutable,
    LaunchConfiguration,
    PathJoinSubstitution,
    PythonExpression,
)
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from asyncvla_ros.ros.launching import after, fixed, middleware, needs, shipped

PACKAGES = (
    "ros_gz_sim",
    "ros_gz_bridge",
    "gz_ros2_control",
    "controller_manager",
    "joint_state_broadcaster",
    "joint_trajectory_controller",
    "forward_command_controller",
    "robot_state_publisher",
    "xacro",
)


def generate_launch_description() -> LaunchDescription:
    """What ``ros2 launch`` runs."""
    sim_time = {"use_sim_time": True}
    description = Command(
        [
            FindExecutable(name="xacro"),
            " ",
            shipped("config", "gazebo", "asyncvla_arm.urdf.xacro"),
            " controllers:=",
            shipped("config", "gazebo", "controllers.yaml"),
        ]
    )
    headless = PythonExpression(
        ["'-s --headless-rendering ' if '", LaunchConfiguration("gui"), "'.lower() == 'false' else ''"]
    )
    spawned = Node(
        package="ros_gz_sim",
        executable="create",
        arguments=["-name", "asyncvla_arm", "-topic", "robot_description"],
        parameters=[sim_time],
        output="screen",
    )
    controllers = Node(
        package="controller_manager",
        executable="spawner",
        arguments=["joint_state_broadcaster", "joint_trajectory_controller", "gripper_controller"],
        parameters=[sim_time],
        output="screen",
    )
    nodes = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(shipped("launch", "arm.launch.py")),
        launch_arguments={
            "robot": "gazebo_arm",
            "use_sim_time": "true",
            "urdf_topic": "robot_description",
        }.items(),
    )
    return LaunchDescription(
        [
            *middleware(processes=5),
            # Each generation of Gazebo reads one of the two.
            SetEnvironmentVariable("GZ_SIM_SERVER_CONFIG_PATH", shipped("config", "gazebo", "server.config")),
            SetEnvironmentVariable(
                "IGN_GAZEBO_SERVER_CONFIG_PATH", shipped("config", "gazebo", "server_fortress.config")
            ),
            DeclareLaunchArgument("gui", default_value="true", description="false: server only, no window"),
            DeclareLaunchArgument(
                "world", default_value=shipped("config", "gazebo", "table.sdf"), description="SDF file"
            ),
            fixed("robot", "gazebo_arm", "the arm of this world"),
            fixed("use_sim_time", "true", "the clock is Gazebo's"),
            fixed("urdf_topic", "robot_description", "the arm's own"),
            DeclareLaunchArgument("policy", default_value="false", description="true: with policy"),
            DeclareLaunchArgument("checkpoint", default_value="", description="Folder, made for gazebo_arm"),
            DeclareLaunchArgument("device", default_value="cpu", description="torch device, such as cuda:0"),
            DeclareLaunchArgument("instruction", default_value="", description="Empty: wait for a task"),
            DeclareLaunchArgument(
                "params_file", default_value=shipped("config", "policy.yaml"), description="Tuning"
            ),
            DeclareLaunchArgument("rviz", default_value="false", description="Start rviz2, too"),
            needs(*PACKAGES),
            needs("rviz2", condition=IfCondition(LaunchConfiguration("rviz"))),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(
                    PathJoinSubstitution([FindPackageShare("ros_gz_sim"), "launch", "gz_sim.launch.py"])
                ),
                launch_arguments={
                    "gz_args": ["-r ", headless, LaunchConfiguration("world")],
                    "on_exit_shutdown": "true",
                }.items(),
            ),
            Node(
                package="ros_gz_bridge",
                executable="parameter_bridge",
                name="gazebo_bridge",
                parameters=[{"config_file": shipped("config", "gazebo", "bridge.yaml")}, sim_time],
                output="screen",
            ),
            Node(
                package="robot_state_publisher",
                executable="robot_state_publisher",
                parameters=[{"robot_description": ParameterValue(description, value_type=str)}, sim_time],
                output="screen",
            ),
            after(spawned, controllers),
            after(controllers, nodes),
            spawned,
        ]
    )
