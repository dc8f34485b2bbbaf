r"""Plays a bag to policy and visualizer, to see what the policy would have done.

    ros2 launch asyncvla_ros replay.launch.py bag:=my_bag robot:=ur5e checkpoint:=my_checkpoint \
        instruction:="pick up the cup" rviz:=true

No controller runs, and of the bag only observations are played: nothing here can move a robot. The chunks go
out on replayed_policy/action_chunk, so that nobody takes them for those of a running policy.
"""

from __future__ import annotations

from launch import LaunchContext, LaunchDescription
from launch.actions import ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode

from asyncvla_ros.ros.launching.arguments import argument, fixed, shared
from asyncvla_ros.ros.launching.events import bring_up, ends_launch, needs, reads_first
from asyncvla_ros.ros.launching.nodes import (
    middleware,
    node,
    policy_parameters,
    robot_parameters,
    rviz,
    tuning,
)
from asyncvla_ros.ros.launching.values import recorded_inputs, when

NAME = "replayed_policy"


def _play(context: LaunchContext) -> list[ExecuteProcess]:
    """Play what the policy observes, with the clock of the recording."""
    robot, namespace, bag, rate = (
        LaunchConfiguration(name).perform(context) for name in ("robot", "namespace", "bag", "rate")
    )
    topics = recorded_inputs(robot, namespace)
    command = ["ros2", "bag", "play", bag, "--clock", "100", "--rate", rate, "--topics", *topics]
    return [ExecuteProcess(cmd=command, output="screen", on_exit=ends_launch("the bag"))]


def generate_launch_description() -> LaunchDescription:
    """Return what ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            *middleware(processes=3),
            argument("bag", None, "Folder or file of the recording"),
            argument("rate", "1.0", "Times real time"),
            argument("robot", "libero_panda", "Name or .yaml"),
            *shared("checkpoint", "device", "instruction"),
            argument("namespace", "", "That of the recorded robot"),
            *shared("params_file"),
            fixed("use_sim_time", "true", "the clock is that of the recording"),
            *shared("rviz"),
            reads_first(robot_parameters(), policy_parameters()),
            needs("ros2bag", "rosbag2_transport"),
            needs("rviz2", condition=when("rviz")),
            # The model takes seconds to load; the recording waits for it.
            *bring_up(
                node(
                    NAME,
                    tuning(),
                    robot_parameters(),
                    policy_parameters(),
                    kind=LifecycleNode,
                    executable="policy_node",
                    on_exit=ends_launch("the policy"),
                ),
                then=OpaqueFunction(function=_play),
            ),
            node(
                "visualizer",
                tuning(),
                robot_parameters(),
                {"chunk_topic": f"{NAME}/action_chunk", "autostart": True},
            ),
            rviz(),
        ]
    )
