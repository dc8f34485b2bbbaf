"""LIBERO as a robot, with policy and controller: what ``asyncvla demo`` runs without ``ros2 launch``.

ros2 launch asyncvla_ros libero.launch.py task:=3
"""

from __future__ import annotations

from launch import LaunchDescription
from launch.substitutions import LaunchConfiguration
from launch_ros.parameter_descriptions import ParameterFile, ParameterValue

from asyncvla_ros.ros.launching.arguments import argument, shared
from asyncvla_ros.ros.launching.events import ends_launch, reads_first
from asyncvla_ros.ros.launching.nodes import (
    controller,
    middleware,
    node,
    policy,
    policy_parameters,
    recorder,
    start_parameters,
    tuning,
)
from asyncvla_ros.ros.launching.values import ActionSteps, TaskInstruction, shipped, value


def _file(name: str) -> ParameterFile:
    """Return a parameter file of ``config/libero``."""
    return ParameterFile(shipped("config", "libero", name))


def _world() -> dict[str, ParameterValue]:
    """Return the parameters of all nodes that act in the world."""
    return {"lockstep": value("lockstep", bool), **start_parameters()}


def _steps() -> dict[str, ParameterValue]:
    """Return the number of executed actions, on which controller and simulator must agree."""
    return {"n_action_steps": ParameterValue(ActionSteps(LaunchConfiguration("checkpoint")), value_type=int)}


def _policy() -> dict[str, ParameterValue]:
    """Return the policy's parameters, with the instruction of the task."""
    text = TaskInstruction(*map(LaunchConfiguration, ("instruction", "suite", "task")))
    return {**policy_parameters(), "instruction": ParameterValue(text, value_type=str)}


def _episode() -> dict[str, ParameterValue | bool]:
    """Return the simulator's parameters; it has no simulated time, as it publishes the clock."""
    numbers = {name: value(name, int) for name in ("task", "init")}
    return {"suite": value("suite"), **numbers, "use_sim_time": False}


def generate_launch_description() -> LaunchDescription:
    """Return what ``ros2 launch`` runs."""
    return LaunchDescription(
        [
            *middleware(processes=3),
            *shared("checkpoint", "device"),
            argument("suite", "libero_object", "LIBERO suite"),
            argument("task", "0", "Task of the suite"),
            argument("init", "0", "Initial state; -1: random"),
            argument("instruction", "", "What the policy is told; empty: what the task says"),
            argument("lockstep", "true", "The world waits"),
            *shared("namespace"),
            argument(
                "params_file",
                shipped("config", "libero", "world.yaml"),
                "Overrides of the files in config/libero, for all nodes",
            ),
            *shared("autostart", "record", "record_dir"),
            reads_first(_world(), _episode(), _steps(), _policy()),
            controller(_file("world.yaml"), _file("controller.yaml"), _steps(), tuning(), _world()),
            policy(_file("world.yaml"), _file("policy.yaml"), tuning(), _world(), _policy()),
            node(
                "libero_sim",
                _file("world.yaml"),
                _file("libero_sim.yaml"),
                _steps(),
                tuning(),
                _world(),
                _episode(),
                on_exit=ends_launch("the simulator"),
            ),
            recorder(_file("world.yaml"), _file("recorder.yaml"), tuning(), start_parameters()),
        ]
    )
