"""The policy and the controller of one robot whose cameras and driver run already.

ros2 launch asyncvla_ros policy.launch.py robot:=my_robot.yaml checkpoint:=my_checkpoint
"""

from __future__ import annotations

from launch import LaunchDescription

from asyncvla_ros.ros.launching.arguments import shared
from asyncvla_ros.ros.launching.events import reads_first
from asyncvla_ros.ros.launching.nodes import (
    controller,
    middleware,
    policy,
    policy_parameters,
    robot_parameters,
    start_parameters,
    tuning,
)


def generate_launch_description() -> LaunchDescription:
    """Return what ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            *middleware(processes=2),
            *shared("checkpoint", "robot", "device", "instruction"),
            *shared("namespace", "use_sim_time", "params_file", "autostart"),
            reads_first(robot_parameters(), start_parameters(), policy_parameters()),
            # The controller needs no model, so it is active and holds before the policy acts.
            controller(tuning(), robot_parameters(), start_parameters()),
            policy(tuning(), robot_parameters(), start_parameters(), policy_parameters()),
        ]
    )
