"""Order of the processes of a launch, and what ends it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from itertools import pairwise

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import Action, Condition, LaunchContext
from launch.actions import (
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch.events.process import ProcessExited
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from asyncvla_ros.ros.exit_codes import HOPELESS
from asyncvla_ros.types import AsyncVLAError


def needs(*packages: str, condition: Condition | None = None) -> OpaqueFunction:
    """End the launch with one line unless these ROS packages are installed; put it before what uses them."""

    def check(context: LaunchContext) -> None:
        missing = [package for package in packages if not _is_installed(package)]
        if missing:
            distribution = os.environ.get("ROS_DISTRO", "$ROS_DISTRO")
            names = " ".join(f"ros-{distribution}-{package.replace('_', '-')}" for package in missing)
            raise RuntimeError(
                f"missing ROS package {', '.join(missing)}; to install: sudo apt-get install {names}"
            )

    return OpaqueFunction(function=check, condition=condition)


def _is_installed(package: str) -> bool:
    try:
        get_package_prefix(package)
    except PackageNotFoundError:
        return False
    return True


def in_order(*steps: Action) -> list[Action]:
    """Run each step when the process before it has ended; end the launch if that failed."""
    return [*(_after(first, then) for first, then in pairwise(steps)), steps[0]]


def _after(first: ExecuteProcess, then: Action) -> RegisterEventHandler:
    def go_on(event: ProcessExited, context: LaunchContext) -> Action | None:
        if context.is_shutdown:
            return None
        _require_success(event.process_name, event)
        return then

    return RegisterEventHandler(OnProcessExit(target_action=first, on_exit=go_on))


def ends_launch(what: str) -> Callable[[ProcessExited, LaunchContext], Shutdown | None]:
    """Return an ``on_exit`` handler that ends the launch, with failure if the process failed."""

    def shut_down(event: ProcessExited, context: LaunchContext) -> Shutdown | None:
        # A second shutdown would be an error.
        if context.is_shutdown:
            return None
        _require_success(what, event)
        return Shutdown(reason=f"{what} ended")

    return shut_down


def ends_launch_if_refused(what: str) -> Callable[[ProcessExited, LaunchContext], None]:
    """Return an ``on_exit`` handler of a respawned node that fails if starting again cannot help."""

    def fail(event: ProcessExited, context: LaunchContext) -> None:
        if not context.is_shutdown and event.returncode in HOPELESS:
            _require_success(what, event)

    return fail


def _require_success(what: str, event: ProcessExited) -> None:
    """Raise if the process failed: ``ros2 launch`` has a nonzero exit code only after an exception."""
    if event.returncode:
        raise RuntimeError(f"{what} ended with exit code {event.returncode}")


def reads_first(*parameters: Mapping[str, object]) -> OpaqueFunction:
    """End the launch with one line, before anything starts, unless all these parameters can be read."""

    def read(context: LaunchContext) -> None:
        for name, text in (item for some in parameters for item in some.items()):
            if isinstance(text, ParameterValue):
                try:
                    text.evaluate(context)
                except (AsyncVLAError, ValueError, TypeError) as error:
                    raise RuntimeError(f"{name}: {error}") from error

    return OpaqueFunction(function=read)


def bring_up(node: LifecycleNode, then: Action, condition: Condition | None = None) -> list[Action]:
    """Start a lifecycle node and run ``then`` once it is active; end the launch if it cannot configure.

    Launch requests the transitions itself. When its request arrives, the two have discovered each other, so
    its subscription receives the transition events. A node with autostart may transition before that.

    Args:
        node: The lifecycle node; it must not have autostart.
        then: Action that waits until the node is active.
        condition: Whether to configure and activate it; if false, ``then`` waits until someone else does.
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
