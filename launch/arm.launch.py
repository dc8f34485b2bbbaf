"""Policy, controller and visualizer of a real arm whose drivers and cameras run already.

ros2 launch asyncvla_ros arm.launch.py robot:=ur5e checkpoint:=my_checkpoint device:=cuda:0 rviz:=true

The controller is configured, activated and holding before the policy starts. At the end the signals go out in
reverse order, and the controller's last command is a hold in any case.
"""

from __future__ import annotations

from launch import LaunchDescription
from launch_ros.actions import LifecycleNode

from asyncvla_ros.ros.launching.arguments import argument, shared
from asyncvla_ros.ros.launching.events import bring_up, needs, reads_first
from asyncvla_ros.ros.launching.nodes import (
    controller,
    middleware,
    node,
    policy,
    policy_parameters,
    recorder,
    robot_parameters,
    rviz,
    start_parameters,
    tuning,
)
from asyncvla_ros.ros.launching.values import value, when


def generate_launch_description() -> LaunchDescription:
    """Return what ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            *middleware(processes=3),
            *shared("robot", "checkpoint", "device", "instruction"),
            argument("urdf_topic", "", "robot_description: its joint limits tighten those of the contract"),
            argument("policy", "true", "false: controller only"),
            *shared("namespace", "use_sim_time", "params_file"),
            argument(
                "autostart", "true", "false: the policy starts when somebody has activated the controller"
            ),
            *shared("rviz", "record", "record_dir"),
            reads_first(robot_parameters(), start_parameters(), policy_parameters()),
            needs("rviz2", condition=when("rviz")),
            *bring_up(
                controller(
                    tuning(), robot_parameters(), {"urdf_topic": value("urdf_topic")}, kind=LifecycleNode
                ),
                then=policy(
                    tuning(),
                    robot_parameters(),
                    policy_parameters(),
                    start_parameters(),
                    condition=when("policy"),
                ),
                condition=when("autostart"),
            ),
            node("visualizer", tuning(), robot_parameters(), start_parameters()),
            recorder(tuning(), robot_parameters(), {"autostart": True}),
            rviz(),
        ]
    )
