"""Turns launch arguments, files, contracts and checkpoints into values of parameters."""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, SomeSubstitutionsType, Substitution
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

from asyncvla_ros.model.config import load_config
from asyncvla_ros.paths import robot_file, shipped_checkpoint
from asyncvla_ros.robot.contract_file import load_robot


def value(name: str, kind: type = str) -> ParameterValue:
    """Return a launch argument as a parameter of a fixed type: a text such as "on" stays a text."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def when(name: str) -> IfCondition:
    """Return the condition that a launch argument is true."""
    return IfCondition(LaunchConfiguration(name))


def shipped(*names: str) -> PathJoinSubstitution:
    """Return the path of a file of this package, such as ``shipped("config", "policy.yaml")``."""
    return PathJoinSubstitution([FindPackageShare("asyncvla_ros"), *names])


class BaseFrame(Substitution):
    """The base frame of a robot contract.

    Args:
        robot: Name of the contract, or its path.
    """

    def __init__(self, robot: SomeSubstitutionsType):
        super().__init__()
        self._robot = normalize_to_list_of_substitutions(robot)

    def perform(self, context: LaunchContext) -> str:
        """Read the base frame from the contract."""
        return load_robot(robot_file(perform_substitutions(context, self._robot))).base_frame


class ActionSteps(Substitution):
    """How many actions of each chunk are executed, as a checkpoint says.

    Args:
        checkpoint: Its folder; empty: the shipped one.
    """

    def __init__(self, checkpoint: SomeSubstitutionsType):
        super().__init__()
        self._checkpoint = normalize_to_list_of_substitutions(checkpoint)

    def perform(self, context: LaunchContext) -> str:
        """Read the number from the checkpoint's configuration."""
        folder = perform_substitutions(context, self._checkpoint)
        return str(load_config(Path(folder) if folder else shipped_checkpoint()).n_action_steps)


class TaskInstruction(Substitution):
    """What a LIBERO task tells the policy, unless something else is given.

    Args:
        given: An instruction; empty: that of the task.
        suite: Of the task.
        task: Its number.
    """

    def __init__(
        self, given: SomeSubstitutionsType, suite: SomeSubstitutionsType, task: SomeSubstitutionsType
    ):
        super().__init__()
        self._texts = [normalize_to_list_of_substitutions(text) for text in (given, suite, task)]

    def perform(self, context: LaunchContext) -> str:
        """Return the given instruction, or look up that of the task."""
        given, suite, task = (perform_substitutions(context, text) for text in self._texts)
        if given.strip():
            return given
        # Imported late: only LIBERO's own launch file needs LIBERO.
        from asyncvla_ros.sim.libero.tasks import get_task

        return get_task(suite, int(task)).instruction


def recorded_inputs(robot: str, namespace: str) -> list[str]:
    """Return the absolute names of the topics that a replay takes from a bag; none of them can move a robot.

    Args:
        robot: Contract, name or path.
        namespace: Namespace of the recorded nodes; empty: none.
    """
    contract = load_robot(robot_file(robot))
    names = [*contract.topics.values(), "controller/status", "robot_description", "/tf", "/tf_static"]
    prefix = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    return [name if name.startswith("/") else f"{prefix}/{name}" for name in names]
