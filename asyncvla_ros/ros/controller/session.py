"""The controller from configure to cleanup: its methods are the callbacks of the node.

chunks, robot state ──> Controller.update ──> the outputs of the robot contract
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial

from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock as ClockMessage
from std_srvs.srv import Trigger

from asyncvla_msgs.msg import ActionChunk
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.step_clock import StepClock
from asyncvla_ros.control.types import Command, Verdict
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.outputs import Outputs
from asyncvla_ros.ros.controller.parameters import ControllerParameters, read_robot
from asyncvla_ros.ros.controller.safeguards import Safeguards
from asyncvla_ros.ros.controller.states import RobotStates
from asyncvla_ros.ros.controller.status import StatusReporter
from asyncvla_ros.ros.conversions import chunk_from_message
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.realtime import take_realtime_priority
from asyncvla_ros.ros.repeated_warning import RepeatedWarning
from asyncvla_ros.ros.source_streams import stream_of
from asyncvla_ros.ros.stream_watch import Stream, StreamWatch

# Wall time between two status messages while nothing changes, and two looks at who else commands [s].
STATUS_PERIOD = 0.2
# Wall time after which deactivation no longer waits for the arm to come to rest [s]: longer than any stop.
STOP_TIMEOUT = 30.0
# A command that takes longer to make than so many periods is not sent.
HELD_UP_PERIODS, ATTEMPTS = 0.5, 3


class ControllerSession:
    """Feed a controller, send its commands and report its status.

    Threads: every field belongs to the thread of the executor, which runs one callback at a time; transitions
    are callbacks, too. When the process ends, ``stop`` runs in the main thread: no callback begins any more
    then, but one that has not ended within ``lifecycle.CALLBACK_TIMEOUT`` may still be in progress.

    Args:
        node: Owns topics, services and timers.
        params: Of the node.
        clock: Says when a step is.
        latch: What was latched when the session before ended.

    Raises:
        ContractError: the contract is missing or wrong, or does not fit what is installed.
    """

    def __init__(
        self,
        node: ManagedNode,
        params: Parameters[ControllerParameters],
        clock: StepClock,
        latch: Verdict | None,
    ):
        values = params.values
        self._node, self._params, self._clock = node, params, clock
        #: The world waits for each command: read-only, as all topology.
        self._lockstep = values.lockstep
        urdf_topic = node.resolve_topic_name(values.urdf_topic or "robot_description")
        self._robot, urdf = read_robot(values, urdf_topic)
        self.controller = Controller(
            self._robot, lockstep=self._lockstep, n_action_steps=values.n_action_steps, urdf=urdf
        )
        self.controller.limit_tool_speed(values.tool_speed)
        self.controller.supervisor.latch = latch
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._rejection_warning = RepeatedWarning(node)
        #: When the last chunk was accepted, or the activation [s, steady].
        self._heard_s = time.monotonic()
        self._is_closed = False
        self._outputs = Outputs(node, self._robot)
        self._reporter = StatusReporter(
            node, self._robot, values.chunk_topic, lockstep=self._lockstep, silence=self._silence
        )
        node.subscribe(ActionChunk, values.chunk_topic, self._on_chunk, qos.CHUNK)
        self._states = RobotStates(node, self._robot, self.controller.observe)
        self._stream_watch = StreamWatch(node, self._subscribe_states(values.sensor_reliability))
        self._safeguards = Safeguards(node, self._robot, self.controller.supervisor, clock.motion_ns)
        for name, action in (("~/estop", self._estop), ("~/reset", self._reset)):
            service = node.create_service(Trigger, name, action)
            node.resources.callback(node.destroy_service, service)
        self._repeat(STATUS_PERIOD, self._watch)
        if self._lockstep:
            node.subscribe(ClockMessage, "/clock", self._on_tick, qos.LOCKSTEP_CLOCK)
        else:
            self._timer = self._repeat(self._robot.command_period_ns / 1e9, self._on_timer)

    def _subscribe_states(self, reliability: str) -> dict[str, Stream]:
        streams = {source.topic: stream_of(source, reliability) for source in self._robot.state}
        for topic, stream in streams.items():
            self._node.subscribe_raw(stream.kind, topic, partial(self._on_state, topic), stream.profile)
        return streams

    def _repeat(self, period_s: float, action: Callable[[], None]) -> Timer:
        timer = self._node.create_timer(period_s, action, clock=self._steady)
        self._node.resources.callback(self._node.destroy_timer, timer)
        return timer

    def close(self) -> Verdict | None:
        """End the session, once its topics are gone; return the latch, which outlives it until a reset."""
        self._is_closed = True
        return self.controller.supervisor.latch

    def start(self) -> None:
        """Begin idle: move nothing before a new chunk arrives; keep a latched stop latched.

        Raises:
            RunError: others command the arm, or its driver cannot obey.
        """
        values = self._params.values
        if not self._lockstep:
            self._safeguards.check_drivers()
            self._safeguards.check_alone(self._outputs.topics, values.discovery_s)
        for refused in take_realtime_priority(values.realtime_priority, lock_memory=values.lock_memory):
            self._node.get_logger().warning(refused)
        self._heard_s = time.monotonic()
        self._reporter.restart()
        self.controller.start(is_elsewhere=self._outputs.have_changed)
        self._outputs.restart()
        self._reporter.publish(self.controller, self._clock.now_ns())

    def stop(self) -> None:
        """Send a stop, to its end, and a hold as the last command."""
        if not self.controller.is_active:
            return
        # On a steady clock to its end: nobody else stops the arm.
        latest_s = time.monotonic() + STOP_TIMEOUT
        self.send_command(self.controller.stop)
        while not self.controller.at_rest and time.monotonic() < latest_s:
            self._steady.sleep_for(Duration(nanoseconds=self._robot.command_period_ns))
            self.send_command(self.controller.update)
        if not self.controller.at_rest:
            self._node.get_logger().fatal(f"the arm did not come to rest within {STOP_TIMEOUT:g} s")
        self._reporter.publish(self.controller, self._clock.now_ns())

    def report(self) -> Report:
        """Return the report for ``/diagnostics``."""
        return self._reporter.report(self.controller, self._clock.now_ns())

    def _on_chunk(self, message: ActionChunk) -> None:
        if not self._node.is_active:
            return
        chunk = chunk_from_message(message)
        rejection = self.controller.accept(chunk, self._clock.arrival_ns(chunk.stamp_ns))
        if rejection is not None:
            self._rejection_warning.say(f"chunk {chunk.chunk_id} rejected: {rejection}")
            return
        self._heard_s = time.monotonic()
        if self._lockstep:
            self._step_in_lockstep()
        elif chunk.is_end or self.controller.allows_early_update:
            self._update_early()

    def _update_early(self) -> None:
        """Send the next command now, or as soon as it may come, rather than a period later."""
        wait_ns = self.controller.early_update_in_ns(self._clock.motion_ns())
        if wait_ns <= 0:
            # Robot state was read less than a period ago.
            self._step(reads_state=False)
        self._set_timer(wait_ns if wait_ns > 0 else self._robot.command_period_ns)

    def _on_timer(self) -> None:
        """Send the command that is due; count periods from here."""
        self._step()
        if self._timer.timer_period_ns != self._robot.command_period_ns:
            self._set_timer(self._robot.command_period_ns)

    def _set_timer(self, period_ns: int) -> None:
        self._timer.timer_period_ns = period_ns
        self._timer.reset()

    def _on_state(self, topic: str, message: bytes) -> None:
        self._states.keep(topic, message)
        if self._lockstep:
            self._states.read()
            self._step_in_lockstep()

    def _on_tick(self, message: ClockMessage) -> None:
        self._clock.tick(to_ns(message.clock))
        self._step_in_lockstep()

    def _step_in_lockstep(self) -> None:
        """Step at every tick, chunk and robot state, which come in any order: the last one acts."""
        if self._clock.has_begun:
            self._step()

    def _step(self, *, reads_state: bool = True) -> None:
        """Make one command: on the timer, in lockstep when something came, or early."""
        if not self._node.is_active:
            return
        try:
            if reads_state:
                self._states.read()
            self._safeguards.read()
            if not self._lockstep:
                self._note_unacknowledged()
            self.send_command(self.controller.update)
        except Exception as error:
            # A bug must end in a stop, not in a dead executor.
            self._node.get_logger().fatal(traceback.format_exc())
            self.controller.fault(
                f"an error inside the controller ({type(error).__name__}: {error}); the log has the details; "
                "reset it to go on"
            )
        self._publish_change()

    def _note_unacknowledged(self) -> None:
        topics = self._outputs.unacknowledged()
        are_all, has_come = len(topics) == self._outputs.needed, self._outputs.take_arrivals()
        self.controller.supervisor.note_unacknowledged(topics, are_all=are_all, has_come=has_come)

    def send_command(self, decide: Callable[[int, int], Command]) -> Command:
        """Send a command of this moment; if it was held up on its way, make a new one, a few times.

        Args:
            decide: Computes it from the node clock [ns] and steady time [ns].
        """
        for _ in range(ATTEMPTS):
            is_held_up = self._clock.deadline(HELD_UP_PERIODS * self._robot.command_period_ns)
            now_ns, at_ns = self._clock.times()
            command = decide(now_ns, at_ns)
            if self._outputs.send(command, now_ns, is_held_up):
                self._reporter.note_command(is_sent=command.values is not None, is_timed=not self._lockstep)
                return command
            # This process stood still meanwhile: its trajectory would join the one before too late.
            self.controller.take_back()
        self._node.get_logger().error(
            f"commands take longer than {HELD_UP_PERIODS:g} periods to make: none is sent, the driver stops",
            throttle_duration_sec=1.0,
        )
        return Command(None, None, now_ns, at_ns)

    def _watch(self) -> None:
        """Look for others and publish the status, several times per second."""
        if self._is_closed:
            return
        silence_s = time.monotonic() - self._heard_s if self._node.is_active else 0.0
        if silence_s > self._params.values.silence_timeout_s:
            self.controller.on_policy_timeout(silence_s)
        self._safeguards.watch_drivers()
        if self._node.is_active:
            self._safeguards.watch_others(self._outputs.topics)
        self._publish_change()
        self._reporter.watch(self.controller, self._clock.now_ns())

    def _silence(self, topic: str) -> str:
        """Return why nothing usable came on a state topic."""
        return self._states.fault(topic) or self._stream_watch.silence(topic)

    def _publish_change(self) -> None:
        """Publish status and log line if mode or reason changed."""
        self._reporter.publish_change(self.controller, self._clock.now_ns())

    def _estop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        self.controller.estop()
        self._step()
        self._outputs.cancel()
        self._publish_change()
        response.success = True
        response.message = f"{'stopping' if self._node.is_active else 'latched'}; call ~/reset to go on"
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success = self.controller.reset()
        response.message = "waiting for a chunk" if response.success else "nothing to reset"
        if response.success and self._node.is_active:
            self._safeguards.watch_others(self._outputs.topics)
            latch = self.controller.supervisor.latch
            if latch is not None:
                response.success, response.message = False, latch.text
        self._publish_change()
        return response
