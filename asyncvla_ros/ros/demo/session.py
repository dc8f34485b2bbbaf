"""Brings the nodes up, runs episodes, and reports; the same nodes and parameter files as the launch file."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_msgs.srv import ResetEpisode, SetInstruction
from asyncvla_ros.core.provenance import provenance
from asyncvla_ros.core.robot_contract import RobotContract
from asyncvla_ros.core.robot_file import load_robot
from asyncvla_ros.paths import robot_file, share_dir
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.demo.pictures import annotate, write_gif, write_timeline
from asyncvla_ros.ros.demo.processes import NodeProcesses
from asyncvla_ros.ros.demo.recorder import Decision, Recorder
from asyncvla_ros.ros.domain import free_domain
from asyncvla_ros.ros.middleware import fastdds_environment
from asyncvla_ros.sim.stats import percentiles, wilson_interval
from asyncvla_ros.sim.tasks import get_task
from asyncvla_ros.sim.video import write_video
from asyncvla_ros.types import RunError

ROBOT = "libero_panda"
NODES = ("libero_sim", "controller", "policy")
# Imports, the model and the simulator take seconds; minutes mean that something hangs [s].
START_TIMEOUT = 180.0
STEP_TIMEOUT = 60.0
_POLL, _STILL = 0.1, 0.5


@dataclass(frozen=True)
class DemoSettings:
    """What to show.

    Attributes:
        suite: LIBERO suite.
        task: Task index.
        inits: Official initial states, one episode each.
        mode: ``afm`` or ``sfm``.
        checkpoint: None for the shipped one.
        out: Folder for video, timelines and logs.
        seed: Of the noise the policy draws.
        rendering: ``full`` (official) or ``decimated`` meshes.
        gif: Also write the first episode as an animation there.
    """

    suite: str = "libero_object"
    task: int = 0
    inits: tuple[int, ...] = (0, 1, 2)
    mode: str = "afm"
    checkpoint: Path | None = None
    out: Path = Path("out/demo")
    seed: int = 0
    rendering: str = "full"
    gif: Path | None = None


@dataclass(frozen=True)
class Progress:
    """How the running episode stands."""

    init: int
    step: int
    max_steps: int
    confidence: float | None
    refined: float


@dataclass(frozen=True)
class DemoEpisode:
    """One finished episode."""

    init: int
    success: bool
    steps: int
    decisions: tuple[Decision, ...]


def run_demo(
    settings: DemoSettings, say: Callable[[str], None], show: Callable[[Progress], None]
) -> dict[str, Any]:
    """Run the episodes over ROS, write the pictures, return the figures of the measuring contract.

    Args:
        settings: What to show.
        say: Gets a line for each stage.
        show: Gets the state of the running episode, often.

    Raises:
        AsyncVLAError: Unknown suite or task.
        RunError: A node failed or did not answer; all nodes are ended before it is raised.
    """
    instruction = get_task(settings.suite, settings.task).instruction
    robot = load_robot(robot_file(ROBOT))
    with _terminable(), free_domain() as domain:
        isolation = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        os.environ.update(isolation | fastdds_environment(processes=len(NODES) + 1))
        with NodeProcesses(settings.out / "logs", {}) as nodes, _Client(robot, nodes) as client:
            say("starting libero_sim, controller and policy")
            _start(nodes, settings)
            for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
                client.transition(transition)
            client.call(
                SetInstruction, "/policy/set_instruction", SetInstruction.Request(instruction=instruction)
            )
            episodes = []
            for init in settings.inits:
                say(f"episode from initial state {init}: {instruction}")
                episodes.append(client.run_episode(settings, init, show))
    _write_pictures(settings, robot, episodes, instruction)
    return summarise(settings, episodes)


def _start(nodes: NodeProcesses, settings: DemoSettings) -> None:
    files = share_dir() / "config" / "libero"
    own: dict[str, dict[str, object]] = {
        "libero_sim": {"start": False, "rendering": settings.rendering},
        "controller": {},
        "policy": {"mode": settings.mode, "seed": settings.seed, "checkpoint": settings.checkpoint or ""},
    }
    for name in NODES:
        given = {key: value for key, value in own[name].items() if value != ""}
        chosen = [files / "world.yaml", files / f"{name}.yaml"]
        nodes.start(name, f"asyncvla_ros.ros.{name}_node", chosen, given)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds like Ctrl-C, so that it too ends the nodes."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


class _Client:
    """The demo's own ROS node: drives the others and watches."""

    def __init__(self, robot: RobotContract, nodes: NodeProcesses) -> None:
        self._nodes = nodes
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("demo")
        self._recorder = Recorder(self._node, robot, "policy/action_chunk", "controller/command")
        self._changed = threading.Condition()
        self._status: EpisodeStatus | None = None
        self._node.create_subscription(
            EpisodeStatus, "libero_sim/episode_status", self._on_status, qos.STATUS
        )
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="demo", daemon=True)
        self._thread.start()

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _on_status(self, message: EpisodeStatus) -> None:
        with self._changed:
            self._status = message
            self._changed.notify_all()

    def transition(self, number: int) -> None:
        """Have all nodes make a lifecycle transition, at the same time."""
        request = ChangeState.Request(transition=Transition(id=number))
        answers = {name: self._ask(ChangeState, f"/{name}/change_state", request) for name in NODES}
        for name, answer in answers.items():
            if not answer().success:
                raise RunError(f"node {name} refused a lifecycle transition\n{self._nodes.tail(name)}")

    def call(self, kind: type, service: str, request: Any) -> Any:
        """Call a service that answers ``accepted``.

        Raises:
            RunError: No answer, or refused.
        """
        response = self._ask(kind, service, request)()
        if not response.accepted:
            raise RunError(f"{service}: {response.message}")
        return response

    def run_episode(self, settings: DemoSettings, init: int, show: Callable[[Progress], None]) -> DemoEpisode:
        """One episode from its reset to its end.

        Raises:
            RunError: A node ended, or nothing moved for long.
        """
        request = ResetEpisode.Request(suite=settings.suite, task=settings.task, init=init)
        self._recorder.take()
        episode = self.call(ResetEpisode, "/libero_sim/reset_episode", request).episode_id
        step, waited = -1, 0.0
        while True:
            with self._changed:
                moved = self._changed.wait_for(partial(self._news, episode, step), _STILL)
                status = self._status
            self._nodes.check()
            if moved and status is not None:
                step, waited = int(status.step), 0.0
                show(self._progress(init, status))
                if status.state == EpisodeStatus.STATE_FAULT:
                    raise RunError(
                        f"the simulator failed: {status.message}\n{self._nodes.tail('libero_sim')}"
                    )
                if status.state in (EpisodeStatus.STATE_SUCCESS, EpisodeStatus.STATE_TIMEOUT):
                    success = status.state == EpisodeStatus.STATE_SUCCESS
                    return DemoEpisode(init, success, step, tuple(self._recorder.take()))
            else:
                waited += _STILL
                if waited > STEP_TIMEOUT:
                    tails = "\n".join(self._nodes.tail(name) for name in NODES)
                    raise RunError(f"nothing moved for {STEP_TIMEOUT:g} s at control step {step}\n{tails}")

    def _news(self, episode: int, step: int) -> bool:
        status = self._status
        return status is not None and status.episode_id == episode and int(status.step) != step

    def _progress(self, init: int, status: EpisodeStatus) -> Progress:
        newest = self._recorder.newest()
        confidence, refined = None, 0.0
        if newest is not None and newest.refined is not None and newest.confidence is not None:
            confidence = float(newest.confidence.mean()) if len(newest.confidence) else None
            refined = float(newest.refined.mean())
        return Progress(init, int(status.step), int(status.max_steps), confidence, refined)

    def _ask(self, kind: type, service: str, request: Any) -> Callable[[], Any]:
        """Send a request; the returned function waits for the answer while it watches the nodes."""
        client: Any = self._node.create_client(kind, service)
        self._until(client.service_is_ready, service)
        future = client.call_async(request)
        answered = threading.Event()
        future.add_done_callback(lambda _: answered.set())

        def answer() -> Any:
            self._until(answered.is_set, service, answered)
            self._node.destroy_client(client)
            return future.result()

        return answer

    def _until(self, ready: Callable[[], bool], service: str, event: threading.Event | None = None) -> None:
        """Wait until ``ready``, by ``event`` where there is one, by polling discovery where there is none."""
        ticker = event or threading.Event()
        for _ in range(round(START_TIMEOUT / _POLL)):
            if ready():
                return
            self._nodes.check()
            ticker.wait(_POLL)
        raise RunError(f"{service} did not answer within {START_TIMEOUT:g} s")


def summarise(settings: DemoSettings, episodes: Sequence[DemoEpisode]) -> dict[str, Any]:
    """The figures of the measuring contract; latencies are wall clock at an onlooker."""
    decisions = [d for e in episodes for d in e.decisions]
    solved = sum(e.success for e in episodes)
    return {
        "suite": settings.suite,
        "mode": settings.mode,
        "episodes": [
            {
                "task": settings.task,
                "init": e.init,
                "success": e.success,
                "steps": e.steps,
                "mean_confidence": _mean([d.confidence for d in e.decisions]),
                "refined_fraction": _mean([d.refined for d in e.decisions]),
                "tick_ms": percentiles([d.inference_ms for d in e.decisions]),
            }
            for e in episodes
        ],
        "success_rate": solved / len(episodes),
        "n": len(episodes),
        "ci95": list(wilson_interval(solved, len(episodes))),
        "tick_ms": percentiles([d.inference_ms for d in decisions]),
        "refined_fraction": _mean([d.refined for d in decisions]) or 0.0,
        "latency_ms": {
            "camera_to_chunk": _latency([(d.seen_s, d.chunk_s) for d in decisions]),
            "camera_to_command": _latency([(d.seen_s, d.command_s) for d in decisions]),
        },
        **provenance(),
        "settings": {"seed": settings.seed, "rendering": settings.rendering, "robot": ROBOT},
    }


def _latency(pairs: Sequence[tuple[float | None, float | None]]) -> dict[str, float]:
    spans = [1e3 * (end - begin) for begin, end in pairs if begin is not None and end is not None]
    values = np.percentile(spans, (50, 95, 99)) if spans else np.zeros(3)
    return {name: round(float(value), 2) for name, value in zip(("p50", "p95", "p99"), values, strict=True)}


def _mean(parts: Sequence[np.ndarray | None]) -> float | None:
    given = [part for part in parts if part is not None and len(part)]
    return round(float(np.concatenate(given).mean()), 4) if given else None


def _write_pictures(
    settings: DemoSettings, robot: RobotContract, episodes: Sequence[DemoEpisode], instruction: str
) -> None:
    names = [dof.name for dof in robot.dofs]
    steps = max((len(d.executed) for e in episodes for d in e.decisions), default=1)
    fps = robot.control_hz / max(1, steps)
    frames: list[np.ndarray] = []
    for number, episode in enumerate(episodes):
        end = "solved" if episode.success else "not solved"
        title = f"{settings.suite} task {settings.task}, initial state {episode.init}"
        shown = [annotate(d, instruction, title) for d in episode.decisions]
        if shown:
            last = annotate(episode.decisions[-1], instruction, f"{title}: {end} in {episode.steps} steps")
            shown += [last] * round(fps)
            name = f"timeline_task{settings.task:02d}_init{episode.init:02d}.png"
            write_timeline(settings.out / name, episode.decisions, names, 1 / robot.control_hz)
            if number == 0 and settings.gif is not None:
                write_gif(settings.gif, shown, 2 * fps)
        frames += shown
    if frames:
        write_video(settings.out / "demo.mp4", frames, fps)
