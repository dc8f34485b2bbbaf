"""What the launch files share. Needs launch and launch_ros, which come with a ROS distribution."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, Condition, LaunchContext, SomeSubstitutionsType, Substitution
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare
from lifecycle_msgs.msg import Transition

from asyncvla_ros.model.config import load_config
from asyncvla_ros.paths import robot_file, shipped_checkpoint
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.exit_codes import HOPELESS
from asyncvla_ros.ros.middleware import fastdds_environment, has_own_profile
from asyncvla_ros.types import AsyncVLAError


def value(name: str, kind: type = str) -> ParameterValue:
    """A launch argument as a parameter of a fixed type: a text such as "on" stays a text."""
    return ParameterValue(LaunchConfiguration(name), value_type=kind)


def shipped(*names: str) -> PathJoinSubstitution:
    """The path of a file of this package, such as ``shipped("config", "policy.yaml")``."""
    return PathJoinSubstitution([FindPackageShare("asyncvla_ros"), *names])


def middleware(processes: int) -> list[SetEnvironmentVariable]:
    """The Fast DDS profile for so many processes, where it fits and the user has set no other."""
    profile = {} if has_own_profile() else fastdds_environment(processes)
    return [SetEnvironmentVariable(name, text) for name, text in profile.items()]


def needs(*packages: str, condition: Condition | None = None) -> OpaqueFunction:
    """Ends the launch with one line unless these ROS packages are installed; first in a list, for that."""

    def check(context: LaunchContext) -> None:
        missing = [package for package in packages if not _is_installed(package)]
        if missing:
            distribution = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
            names = " ".join(f"ros-{distribution}-{package.replace('_', '-')}" for package in missing)
            raise RuntimeError(
                f"missing ROS package {', '.join(missing)}; to install: sudo apt-get install {names}"
            )

    return OpaqueFunction(function=check, condition=condition)


def after(first: ExecuteProcess, then: Action) -> RegisterEventHandler:
    """Runs ``then`` when the process ``first`` has done its work; ends the launch if it failed."""

    def go_on(event: ProcessExited, context: LaunchContext) -> Action | None:
        if context.is_shutdown:
            return None
        _require_success(event.process_name, event)
        return then

    return RegisterEventHandler(OnProcessExit(target_action=first, on_exit=go_on))


def ends_launch(what: str) -> Callable[[ProcessExited, LaunchContext], Shutdown | None]:
    """For ``on_exit`` of a process without which the others make no sense; its failure is the launch's."""

    def shut_down(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
        # A second shutdown would be an error.
        if context.is_shutdown:
            return None
        _require_success(what, event)
        return Shutdown(reason=f"{what} ended")

    return shut_down


def ends_launch_if_refused(what: str) -> Callable[[ProcessExited, LaunchContext], None]:
    """For ``on_exit`` of a node that is started again: not if what it was given cannot work."""

    def fail(event: ProcessExited, context: LaunchContext) -> None:
        if not context.is_shutdown and event.returncode in HOPELESS:
            _require_success(what, event)

    return fail


def _require_success(what: str, event: ProcessExited) -> None:
    """An exception in a handler is what gives ``ros2 launch`` another exit code than 0."""
    if event.returncode:
        raise RuntimeError(f"{what} ended with exit code {event.returncode}")


def fixed(name: str, text: str, why: str) -> DeclareLaunchArgument:
    """An argument of an included file that cannot be chosen here."""
    return DeclareLaunchArgument(name, default_value=text, choices=[text], description=f"Fixed: {why}")


def recording() -> list[DeclareLaunchArgument]:
    """Arguments of a launch file that can record episodes."""
    return [
        DeclareLaunchArgument("record", default_value="false", description="Record episodes, too"),
        DeclareLaunchArgument(
            "record_dir", default_value="episodes", description="Receives a folder for each episode"
        ),
    ]


def reads_first(*parameters: Mapping[str, object]) -> OpaqueFunction:
    """Ends the launch with one line unless all these parameters can be read; before anything is started."""

    def read(context: LaunchContext) -> None:
        for name, text in (item for some in parameters for item in some.items()):
            if isinstance(text, ParameterValue):
                try:
                    text.evaluate(context)
                except (AsyncVLAError, ValueError, TypeError) as error:
                    raise RuntimeError(f"{name}: {error}") from error

    return OpaqueFunction(function=read)


def bring_up(node: LifecycleNode, then: Action, condition: Condition | None = None) -> list[Action]:
    """Starts a lifecycle node and runs ``then`` once it is active; ends the launch if it cannot configure.

    Launch asks for the transitions itself: when a request arrives, both sides know each other, so its news of
    the transition arrive, too. A node that starts on its own may be faster than its discovery.

    Args:
        node: Must not start on its own.
        then: What waits for it.
        condition: Whether to configure and activate it; without, ``then`` waits for someone who does.
    """
    activated = OnStateTransition(
        target_lifecycle_node=node, goal_state="active", entities=[then], handle_once=True
    )
    configured = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="inactive",
        entities=[_change(node, Transition.TRANSITION_ACTIVATE)],
        handle_once=True,
    )
    failed = OnStateTransition(
        target_lifecycle_node=node,
        start_state="configuring",
        goal_state="unconfigured",
        entities=[OpaqueFunction(function=_fail_to_configure)],
    )
    return [
        RegisterEventHandler(activated),
        RegisterEventHandler(configured, condition=condition),
        RegisterEventHandler(failed, condition=condition),
        node,
        _change(node, Transition.TRANSITION_CONFIGURE, condition),
    ]


def _fail_to_configure(context: LaunchContext) -> None:
    if not context.is_shutdown:
        raise RuntimeError("a node could not be configured")


def _change(node: LifecycleNode, transition: int, condition: Condition | None = None) -> EmitEvent:
    event = ChangeState(lifecycle_node_matcher=matches_action(node), transition_id=transition)
    return EmitEvent(event=event, condition=condition)


class BaseFrame(Substitution):
    """The base frame of a robot contract.

    Args:
        robot: Name of the contract, or its path.
    """

    def __init__(self, robot: SomeSubstitutionsType):
        super().__init__()
        self._robot = normalize_to_list_of_substitutions(robot)

    def perform(self, context: LaunchContext) -> str:
        """Reads the contract."""
        return load_robot(robot_file(perform_substitutions(context, self._robot))).base_frame


class ExecuteSteps(Substitution):
    """How many actions of each chunk are executed, as a checkpoint says.

    Args:
        checkpoint: Its folder; empty: the shipped one.
    """

    def __init__(self, checkpoint: SomeSubstitutionsType):
        super().__init__()
        self._checkpoint = normalize_to_list_of_substitutions(checkpoint)

    def perform(self, context: LaunchContext) -> str:
        """Reads the checkpoint's configuration."""
        folder = perform_substitutions(context, self._checkpoint)
        return str(load_config(Path(folder) if folder else shipped_checkpoint()).execute_steps)


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
        """Looks it up."""
        given, suite, task = (perform_substitutions(context, text) for text in self._texts)
        if given.strip():
            return given
        # Only here: LIBERO is needed for its own launch file alone.
        from asyncvla_ros.sim.libero.tasks import get_task

        return get_task(suite, int(task)).instruction


def recorded_inputs(robot: str, namespace: str) -> list[str]:
    """Absolute names of the topics that a replay takes from a bag, and nothing that could move a robot.

    Args:
        robot: Contract: name or path.
        namespace: Of the recorded nodes; empty: none.
    """
    contract = load_robot(robot_file(robot))
    names = [*contract.topics.values(), "controller/status", "robot_description", "/tf", "/tf_static"]
    prefix = f"/{namespace.strip('/')}" if namespace.strip("/") else ""
    return [name if name.startswith("/") else f"{prefix}/{name}" for name in names]


def _is_installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True
