r"""asyncvla_arm at a table in Gazebo, with controller, visualizer and, if wanted, policy.

    ros2 launch asyncvla_ros gazebo.launch.py
    ros2 launch asyncvla_ros gazebo.launch.py policy:=true checkpoint:=my_checkpoint \
        instruction:="lift the red box"

Order: simulator and robot description, robot, ros2_control's controllers, then the nodes of arm.launch.py.
"""

from __future__ import annotations

from launch import Action, LaunchDescription
from launch.actions import IncludeLaunchDescription, SetEnvironmentVariable
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

from asyncvla_ros.ros.launching.arguments import argument, fixed, shared
from asyncvla_ros.ros.launching.events import in_order, needs
from asyncvla_ros.ros.launching.nodes import middleware
from asyncvla_ros.ros.launching.values import shipped, when

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
CONTROLLERS = ["joint_state_broadcaster", "joint_trajectory_controller", "gripper_controller"]
SIM_TIME = {"use_sim_time": True}
FIXED = {"robot": "gazebo_arm", "use_sim_time": "true", "urdf_topic": "robot_description"}


def _description() -> ParameterValue:
    """Return the arm's URDF."""
    arm = shipped("config", "gazebo", "asyncvla_arm.urdf.xacro")
    controllers = shipped("config", "gazebo", "controllers.yaml")
    command = Command([FindExecutable(name="xacro"), " ", arm, " controllers:=", controllers])
    return ParameterValue(command, value_type=str)


def _headless() -> PythonExpression:
    """Return the options of a Gazebo without a window, if ``gui`` is false."""
    return PythonExpression(
        ["'-s --headless-rendering ' if '", LaunchConfiguration("gui"), "'.lower() == 'false' else ''"]
    )


def _simulator() -> list[Action]:
    """Start Gazebo, the bridge of its topics, and the publisher of the robot description."""
    return [
        # Each generation of Gazebo reads one of the two.
        SetEnvironmentVariable("GZ_SIM_SERVER_CONFIG_PATH", shipped("config", "gazebo", "server.config")),
        SetEnvironmentVariable(
            "IGN_GAZEBO_SERVER_CONFIG_PATH", shipped("config", "gazebo", "server_fortress.config")
        ),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(
                PathJoinSubstitution([FindPackageShare("ros_gz_sim"), "launch", "gz_sim.launch.py"])
            ),
            launch_arguments={
                "gz_args": ["-r ", _headless(), LaunchConfiguration("world")],
                "on_exit_shutdown": "true",
            }.items(),
        ),
        Node(
            package="ros_gz_bridge",
            executable="parameter_bridge",
            name="gazebo_bridge",
            parameters=[{"config_file": shipped("config", "gazebo", "bridge.yaml")}, SIM_TIME],
            output="screen",
        ),
        Node(
            package="robot_state_publisher",
            executable="robot_state_publisher",
            parameters=[{"robot_description": _description()}, SIM_TIME],
            output="screen",
        ),
    ]


def _robot() -> list[Action]:
    """Spawn the arm, then start its controllers, then the nodes of arm.launch.py."""
    return in_order(
        Node(
            package="ros_gz_sim",
            executable="create",
            arguments=["-name", "asyncvla_arm", "-topic", "robot_description"],
            parameters=[SIM_TIME],
            output="screen",
        ),
        Node(
            package="controller_manager",
            executable="spawner",
            arguments=CONTROLLERS,
            parameters=[SIM_TIME],
            output="screen",
        ),
        IncludeLaunchDescription(
            PythonLaunchDescriptionSource(shipped("launch", "arm.launch.py")),
            launch_arguments=FIXED.items(),
        ),
    )


def generate_launch_description() -> LaunchDescription:
    """Return what ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            *middleware(processes=5),
            argument("gui", "true", "false: server only, no window"),
            argument("world", shipped("config", "gazebo", "table.sdf"), "SDF file"),
            fixed("robot", FIXED["robot"], "the arm of this world"),
            fixed("use_sim_time", FIXED["use_sim_time"], "the clock is Gazebo's"),
            fixed("urdf_topic", FIXED["urdf_topic"], "the arm's own"),
            argument("policy", "false", "true: with policy"),
            argument("checkpoint", "", "Folder, made for gazebo_arm"),
            *shared("device", "instruction", "params_file", "rviz"),
            needs(*PACKAGES),
            needs("rviz2", condition=when("rviz")),
            *_simulator(),
            *_robot(),
        ]
    )
