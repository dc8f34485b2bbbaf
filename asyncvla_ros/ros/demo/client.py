"""The demo's own ROS node: drives the lifecycle of the others, runs and observes episodes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_msgs.srv import ResetEpisode
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.demo.metrics import DemoEpisode, DemoSettings
from asyncvla_ros.ros.demo.recorder import Recorder
from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.types import RunError

NODES = ("libero_sim", "controller", "policy")
# Imports, the model and the simulator take seconds; minutes mean that something hangs [s].
START_TIMEOUT = 180.0
STEP_TIMEOUT = 60.0
_POLL, _STILL = 0.1, 0.5


@dataclass(frozen=True)
class Progress:
    """Progress of the running episode."""

    init: int
    step: int
    max_steps: int
    confidence: float | None
    refined: float


class DemoClient:
    """Drives the nodes of the demo, and observes their episodes.

    Args:
        robot: Contract of the simulated robot.
        nodes: Processes, named as in ``NODES``; every wait checks that they run.
    """

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

    def __enter__(self) -> DemoClient:
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

    def transition(self, number: int, names: Sequence[str]) -> None:
        """Have nodes make a lifecycle transition, at the same time.

        Raises:
            RunError: A node refused, with its log; or ended, or did not answer.
        """
        request = ChangeState.Request(transition=Transition(id=number))
        answers = {name: self._ask(ChangeState, f"/{name}/change_state", request) for name in names}
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
        """Run one episode from its reset to its end.

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
        return Progress(init, int(status.step), int(status.max_steps), confidence, refined=refined)

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
