"""Lifecycle node that turns cameras, robot state and an instruction into action chunks.

cameras, robot state ──> newest consistent snapshot ──> Policy.infer ──> ~/action_chunk
"""

from __future__ import annotations

import secrets
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image, JointState

from asyncvla_msgs.action import RunTask
from asyncvla_msgs.msg import ActionChunk, EpisodeStatus
from asyncvla_msgs.srv import SetInstruction
from asyncvla_ros.control.chunk import StampedChunk
from asyncvla_ros.observe.stream_sync import Snapshot, StreamSync
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract import JointStateSource, RobotContract, mismatches
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import chunk_to_message, to_ns, to_observation
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.policy.figures import PolicyFigures
from asyncvla_ros.ros.policy.inference_loop import InferenceLoop
from asyncvla_ros.ros.policy.parameters import PolicyParameters
from asyncvla_ros.ros.policy.run_task import RunTaskServer
from asyncvla_ros.ros.policy.tasks import TaskSlot
from asyncvla_ros.types import AsyncVLAError, ContractError

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy


class PolicyNode(ManagedNode):
    """Topics and parameters of the policy; what it computes is in ``asyncvla_ros.policy``."""

    def __init__(self) -> None:
        super().__init__("policy")
        self._params = Parameters(self, PolicyParameters, self._on_change)
        self._tasks = TaskSlot(self._params.values.instruction)
        self._loop: InferenceLoop | None = None
        self._figures = PolicyFigures()
        self._diagnostics = Diagnostics(self, self._report)

    def load_policy(self) -> Policy:
        """The policy of the parameters."""
        # Only here: torch takes seconds, and a policy of another kind starts without it.
        from asyncvla_ros.policy import Policy

        values = self._params.values
        checkpoint = Path(values.checkpoint) if values.checkpoint else None
        return Policy.from_checkpoint(checkpoint, values.device, values.threads or None)

    def configure(self) -> None:
        """Loads contract and checkpoint, has them agree, warms up, and subscribes."""
        values = self._params.values
        _ = values.strategy  # raises now rather than at the first inference
        self._robot = load_robot(robot_file(values.robot))
        self._policy = self.load_policy()
        problems = mismatches(self._robot, self._policy.features)
        if problems:
            raise ContractError(
                f"robot {self._robot.name} and checkpoint {values.checkpoint or 'as shipped'} do not fit:\n  "
                + "\n  ".join(problems)
            )
        self._policy.check(values.strategy)
        self._policy.warmup()
        used = [camera.key for camera in self._policy.features.cameras]
        streams = [*used, *(source.topic for source in self._robot.state)]
        sync: StreamSync[Any] = StreamSync(streams, values.max_age_ns, values.max_skew_ns)
        self._loop = InferenceLoop(
            sync, self._now_ns, lambda: bool(self._tasks.instruction), self._infer, self._crashed
        )
        self.resources.callback(self._forget_loop)
        self._publisher = self.advertise(ActionChunk, "~/action_chunk", qos.CHUNK)
        self._subscribe_streams(self._robot, used)
        service = self.create_service(SetInstruction, "~/set_instruction", self._set_instruction)
        self.resources.callback(self.destroy_service, service)
        server = RunTaskServer(self, self._tasks)
        if values.episode_status_topic:
            self.subscribe(EpisodeStatus, values.episode_status_topic, server.note_episode, qos.STATUS)
        self.on_clock_set_back(self._clock_set_back)
        self.get_logger().info(f"ready: robot {self._robot.name}, cameras {', '.join(used)}")

    def activate(self) -> None:
        """Starts a new session of chunks."""
        assert self._loop is not None
        self._session_id = secrets.randbits(32)
        self._chunk_id = 0
        self._newest: StampedChunk | None = None
        self._lag_ns = 0
        self._figures.error = ""
        self._loop.start()

    def deactivate(self) -> None:
        """Ends the running task and the inference thread."""
        self._tasks.end(RunTask.Result.TERMINATION_DEACTIVATED, "the policy node was deactivated")
        if self._loop is not None:
            self._loop.stop()

    def _forget_loop(self) -> None:
        self._loop = None

    def _subscribe_streams(self, robot: RobotContract, cameras: list[str]) -> None:
        profile = qos.sensor(self._params.values.sensor_reliability)
        for camera in robot.cameras:
            if camera.key in cameras:
                kind: type = Image if camera.transport == "raw" else CompressedImage
                self.subscribe(kind, camera.topic, partial(self._store, camera.key), profile)
        for source in robot.state:
            kind = JointState if isinstance(source, JointStateSource) else PoseStamped
            self.subscribe(kind, source.topic, partial(self._store, source.topic), profile)

    def _store(self, stream: str, message: Any) -> None:
        if self._loop is not None:
            self._loop.put(stream, to_ns(message.header.stamp), message)

    def _infer(self, snapshot: Snapshot[Any]) -> None:
        """One decision, in the inference thread."""
        began = time.perf_counter()
        values, instruction = self._params.values, self._tasks.instruction
        seed = None if values.seed < 0 else noise_seed(values.seed, snapshot.stamp_ns)
        try:
            observation = to_observation(snapshot, self._robot, self._policy.features, instruction)
            committed = self._committed(snapshot.stamp_ns) if values.commit else None
            chunk = self._policy.infer(observation, values.strategy, committed, seed)
        except AsyncVLAError as error:
            self._figures.note_failure(str(error))
            self.get_logger().error(f"no chunk: {error}", throttle_duration_sec=1.0)
            return
        latency_s = time.perf_counter() - began
        self._chunk_id += 1
        stamped = StampedChunk(
            session_id=self._session_id,
            chunk_id=self._chunk_id,
            stamp_ns=snapshot.stamp_ns,
            step_ns=self._robot.step_ns,
            action_space=self._robot.action_space,
            dof_names=self._robot.dof_names,
            actions=chunk.actions * self._robot.scale,
            confidence=chunk.confidence,
            refined=chunk.refined,
            committed=chunk.committed,
            instruction=instruction,
        )
        self._publisher.publish(chunk_to_message(stamped, self._robot.base_frame, round(latency_s * 1e9)))
        self._newest, self._lag_ns = stamped, self._now_ns() - snapshot.stamp_ns
        self._figures.note_chunk(chunk, latency_s)
        self._tasks.note_chunk(instruction, self._figures.confidence)

    def _committed(self, stamp_ns: int) -> np.ndarray | None:
        """What of the newest chunk runs while an observation of ``stamp_ns`` [ns] is being answered.

        (k, d) in the checkpoint's units. As long as the last answer took on the node clock: none in lockstep,
        where that clock stands still.
        """
        if self._newest is None or self._newest.instruction != self._tasks.instruction:
            return None
        running = self._newest.following(stamp_ns, self._lag_ns)[: self._policy.chunk_size - 1]
        return running / self._robot.scale if len(running) else None

    def _crashed(self, text: str) -> None:
        self._figures.note_failure(f"the inference thread ended: {text.strip().splitlines()[-1]}")
        self.get_logger().fatal(f"the inference thread ended; deactivate and activate to try again:\n{text}")
        self._tasks.end(RunTask.Result.TERMINATION_FAULT, self._figures.error)

    def _set_instruction(
        self, request: SetInstruction.Request, response: SetInstruction.Response
    ) -> SetInstruction.Response:
        before = self._tasks.instruction
        (result,) = self.set_parameters([Parameter("instruction", value=request.instruction)])
        response.accepted, response.message = result.successful, result.reason or before
        return response

    def _on_change(self, old: PolicyParameters, new: PolicyParameters) -> None:
        strategy = new.strategy  # raises to refuse the change
        if self._loop is not None:
            self._policy.check(strategy)
            with self._loop.locked() as sync:
                sync.max_age_ns, sync.max_skew_ns = new.max_age_ns, new.max_skew_ns
        if new.instruction != old.instruction:
            self._tasks.set_standing(new.instruction)
            self.get_logger().info(f"instruction: {new.instruction!r}")
        if self._loop is not None:
            self._loop.wake()

    def _clock_set_back(self) -> None:
        if self._loop is None:
            return
        self.get_logger().warning("the clock jumped; all samples at hand are dropped")
        with self._loop.locked() as sync:
            sync.reset()
        self._newest = None

    def _report(self) -> Report:
        if self._loop is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        values = self._params.values
        with self._loop.locked() as sync:
            return self._figures.report(
                sync, self._now_ns(), self._tasks.instruction, values.mode, self.is_active
            )

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds


def noise_seed(seed: int, stamp_ns: int) -> int:
    """Of one decision: an observation that is shown again is decided in the same way."""
    return int(np.random.SeedSequence((seed, stamp_ns)).generate_state(1)[0])


def main() -> None:
    """Entry point of the ``policy_node`` executable."""
    run_node(PolicyNode)


if __name__ == "__main__":
    main()
