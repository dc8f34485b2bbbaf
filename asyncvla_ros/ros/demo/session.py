"""Starts the nodes and parameter files of the launch file, runs episodes, and reports."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lifecycle_msgs.msg import Transition

from asyncvla_msgs.srv import SetInstruction
from asyncvla_ros.model.config import load_config
from asyncvla_ros.paths import robot_file, share_dir, shipped_checkpoint
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.demo.client import NODES, DemoClient, Progress
from asyncvla_ros.ros.demo.metrics import ROBOT, summarize, write_pictures
from asyncvla_ros.ros.demo.settings import DemoSettings
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment
from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.sim.libero.tasks import Task, get_task, load_init_states
from asyncvla_ros.types import AsyncVLAError

__all__ = ["DemoSettings", "Progress", "run_demo"]


def run_demo(
    settings: DemoSettings, say: Callable[[str], None], show: Callable[[Progress], None]
) -> dict[str, Any]:
    """Run the episodes over ROS, write the pictures, and return the metrics of the measuring contract.

    Args:
        settings: What to show.
        say: Gets a line for each stage.
        show: Gets the state of the running episode, often.

    Raises:
        AsyncVLAError: Unknown suite, task, initial state, checkpoint or mode.
        RunError: A node failed or did not answer; all nodes are ended before it is raised.
    """
    instruction = _check(settings).instruction
    n_action_steps = load_config(settings.checkpoint or shipped_checkpoint()).n_action_steps
    robot = load_robot(robot_file(ROBOT))
    with _terminable(), isolated_domain() as isolation:
        names = [*NODES, *(["recorder"] if settings.record else [])]
        os.environ.update(isolation | fastdds_environment(processes=len(names) + 1))
        with NodeProcesses(settings.out / "logs", {}) as nodes, DemoClient(robot, nodes) as client:
            say(f"starting {', '.join(names)}")
            _start(nodes, settings, n_action_steps)
            for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                client.transition(transition, names)
            client.call(
                SetInstruction, "/policy/set_instruction", SetInstruction.Request(instruction=instruction)
            )
            episodes = []
            for init in settings.inits:
                say(f"episode from initial state {init}: {instruction}")
                episodes.append(client.run_episode(settings, init, show))
    write_pictures(settings, robot, episodes, instruction)
    return summarize(settings, episodes)


def _check(settings: DemoSettings) -> Task:
    """Check suite, task and initial states now: the nodes would only do so after their start."""
    task = get_task(settings.suite, settings.task)
    available = len(load_init_states(task))
    if not settings.inits or not all(0 <= init < available for init in settings.inits):
        raise AsyncVLAError(
            f"{settings.suite} task {settings.task} has initial states 0 to {available - 1}, "
            f"got {list(settings.inits)}"
        )
    return task


def _start(nodes: NodeProcesses, settings: DemoSettings, n_action_steps: int) -> None:
    files = share_dir() / "config" / "libero"
    own: dict[str, dict[str, object]] = {
        "libero_sim": {
            "start": False,
            "rendering": settings.rendering,
            "n_action_steps": n_action_steps,
        },
        "controller": {"n_action_steps": n_action_steps},
        "policy": {"mode": settings.mode, "seed": settings.seed, "checkpoint": settings.checkpoint or ""},
    }
    if settings.real_time_factor > 0:
        own["libero_sim"] |= {"lockstep": False, "real_time_factor": settings.real_time_factor}
        # n_action_steps 0: if the next chunk is late, the rest of this one is better than a stop.
        own["controller"] |= {"lockstep": False, "n_action_steps": 0}
    if settings.record:
        own["recorder"] = {"out": settings.record}
    for name in own:
        given = {key: value for key, value in own[name].items() if value != ""}
        chosen = [files / "world.yaml", files / f"{name}.yaml"]
        nodes.start(name, f"asyncvla_ros.ros.{name}_node", chosen, given)


@contextmanager
def _terminable() -> Iterator[None]:
    """Make SIGTERM unwind like Ctrl-C, so that it too ends the nodes."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
