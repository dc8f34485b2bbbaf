"""Lifecycle node that executes action chunks: one command per period, or a hold with a reason.

chunks, robot state ──> Controller.update ──> the outputs of the robot contract
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import PoseStamped
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.duration import Duration
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from asyncvla_msgs.msg import ActionChunk
from asyncvla_ros.control.clock import MotionClock
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Command, Verdict
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.robot.contract import JointStateSource
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.clocks import Clocks
from asyncvla_ros.ros.controller.outputs import Outputs
from asyncvla_ros.ros.controller.parameters import ControllerParameters, read_robot
from asyncvla_ros.ros.controller.safeguards import Safeguards
from asyncvla_ros.ros.controller.states import RobotStates
from asyncvla_ros.ros.controller.status import StatusReporter
from asyncvla_ros.ros.conversions import chunk_from_message
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.middleware import use_udp_alone
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.ros.realtime import take_realtime_priority
from asyncvla_ros.ros.repeated_warning import RepeatedWarning
from asyncvla_ros.ros.stream_watch import Stream, StreamWatch

# Wall time between two status messages while nothing changes, and two looks at who else commands [s].
STATUS_PERIOD = 0.2
# Wall time after which deactivation no longer waits for the arm to come to rest [s]: longer than any stop.
STOP_TIMEOUT = 30.0
# A command that takes longer to make than so many periods is not sent.
HELD_UP_PERIODS, ATTEMPTS = 0.5, 3


class ControllerNode(ManagedNode):
    """Topics, clocks and parameters of the controller; its decisions: ``asyncvla_ros.control.controller``."""

    def __init__(self) -> None:
        super().__init__("controller")
        self._params = Parameters(self, ControllerParameters, self._on_change)
        self._controller: Controller | None = None
        self._latch: Verdict | None = None
        self._clocks, self._motion_clock = Clocks(), MotionClock()
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._tick_ns = 0
        self._rejection_warning = RepeatedWarning(self)
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Reads the contract; subscribes to chunks, robot state and what says whether the arm is ours."""
        values = self._params.values
        urdf_topic = self.resolve_topic_name(values.urdf_topic or "robot_description")
        self._robot, urdf = read_robot(values, urdf_topic)
        self._controller = Controller(self._robot, values.lockstep, values.execute_steps, urdf)
        self._controller.limit_tool_speed(values.tool_speed)
        self._controller.supervisor.latch = self._latch
        self.resources.callback(self._forget_controller)
        self._outputs = Outputs(self, self._robot)
        self._reporter = StatusReporter(self, self._robot, values.chunk_topic, values.lockstep, self._silence)
        self.subscribe(ActionChunk, values.chunk_topic, self._on_chunk, qos.CHUNK)
        self._states = RobotStates(self, self._robot, self._observe)
        profile = qos.state(values.sensor_reliability)
        streams: dict[str, Stream] = {}
        for source in self._robot.state:
            kind: type = JointState if isinstance(source, JointStateSource) else PoseStamped
            self.subscribe_raw(kind, source.topic, partial(self._on_state, source.topic), profile)
            streams[source.topic] = Stream(source.topic, kind, profile)
        self._stream_watch = StreamWatch(self, streams)
        self._safeguards = Safeguards(self, self._robot, self._controller.supervisor, self._motion_ns)
        for name, action in (("~/estop", self._estop), ("~/reset", self._reset)):
            service = self.create_service(Trigger, name, action)
            self.resources.callback(self.destroy_service, service)
        self._time(STATUS_PERIOD, self._watch)
        if values.lockstep:
            self.subscribe(ClockMessage, "/clock", self._on_tick, qos.LOCKSTEP_CLOCK)
        else:
            self._timer = self._time(self._robot.period_ns / 1e9, self._on_timer)

    def activate(self) -> None:
        """Begins idle: nothing moves before a chunk of now arrives, and a latched stop stays latched."""
        assert self._controller is not None
        values = self._params.values
        if not values.lockstep:
            self._safeguards.check_drivers()
            self._safeguards.check_alone(self._outputs.topics, values.discovery_s)
        for refused in take_realtime_priority(values.realtime_priority, values.lock_memory):
            self.get_logger().warning(refused)
        self._heard_s = time.monotonic()
        self._reporter.restart()
        self._controller.start(is_elsewhere=self._outputs.have_changed)
        self._outputs.restart()
        self._publish_status()

    def deactivate(self) -> None:
        """Sends a stop, to its end, and a hold as the last command."""
        if self._controller is None or not self._controller.is_active:
            return
        # On a steady clock to its end: nobody else stops the arm.
        latest_s = time.monotonic() + STOP_TIMEOUT
        self._command(self._controller.stop)
        while not self._controller.at_rest and time.monotonic() < latest_s:
            self._steady.sleep_for(Duration(nanoseconds=self._robot.period_ns))
            self._command(self._controller.update)
        if not self._controller.at_rest:
            self.get_logger().fatal(f"the arm did not come to rest within {STOP_TIMEOUT:g} s")
        self._publish_status()

    def _on_change(self, old: ControllerParameters, new: ControllerParameters) -> None:
        if self._controller is not None:
            self._controller.limit_tool_speed(new.tool_speed)

    def _forget_controller(self) -> None:
        """What is latched outlives it, until it is reset."""
        assert self._controller is not None
        self._latch, self._controller = self._controller.supervisor.latch, None

    def _time(self, period_s: float, action: Callable[[], None]) -> Timer:
        timer = self.create_timer(period_s, action, clock=self._steady)
        self.resources.callback(self.destroy_timer, timer)
        return timer

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._controller is None or not self.is_active:
            return
        chunk = chunk_from_message(message)
        # In lockstep the chunk may overtake the tick of its own observation; its stamp proves the time.
        now_ns = max(self._now_ns(), chunk.stamp_ns) if self._params.values.lockstep else self._now_ns()
        rejection = self._controller.accept(chunk, now_ns)
        if rejection is not None:
            self._rejection_warning.say(f"chunk {chunk.chunk_id} rejected: {rejection}")
            return
        self._heard_s = time.monotonic()
        if self._params.values.lockstep:
            self._step_in_lockstep()
        elif chunk.is_end or self._controller.allows_early_update:
            self._answer_at_once()

    def _answer_at_once(self) -> None:
        """A new chunk does not wait for the next period: the next command comes now, or as soon as it may."""
        assert self._controller is not None
        wait_ns = self._controller.early_update_in_ns(self._motion_ns())
        if wait_ns <= 0:
            # Robot state was read less than a period ago.
            self._step(reads_state=False)
        self._set_timer(wait_ns if wait_ns > 0 else self._robot.period_ns)

    def _on_timer(self) -> None:
        """The next command is due; periods count from here."""
        self._step()
        if self._timer.timer_period_ns != self._robot.period_ns:
            self._set_timer(self._robot.period_ns)

    def _set_timer(self, period_ns: int) -> None:
        self._timer.timer_period_ns = period_ns
        self._timer.reset()

    def _on_state(self, topic: str, message: bytes) -> None:
        if self._controller is None:
            return
        self._states.keep(topic, message)
        if self._params.values.lockstep:
            self._states.read()
            self._step_in_lockstep()

    def _observe(self, topic: str, stamp_ns: int, values: dict[str, float]) -> None:
        assert self._controller is not None
        self._controller.observe(topic, stamp_ns, values)

    def _on_tick(self, message: ClockMessage) -> None:
        self._tick_ns = to_ns(message.clock)
        self._step_in_lockstep()

    def _step_in_lockstep(self) -> None:
        """Tick, chunk and robot state come in any order, on topics of their own: the last one acts."""
        if self._params.values.lockstep and self._tick_ns:
            self._step()

    def _step(self, reads_state: bool = True) -> None:
        """One command: on the timer, in lockstep when something came, or early."""
        if self._controller is None or not self.is_active:
            return
        try:
            if reads_state:
                self._states.read()
            self._safeguards.read()
            if not self._params.values.lockstep:
                topics = self._outputs.unacknowledged()
                are_all, has_come = len(topics) == self._outputs.needed, self._outputs.take_arrivals()
                self._controller.supervisor.note_unacknowledged(topics, are_all, has_come)
            self._command(self._controller.update)
        except Exception as error:
            # A bug must end in a stop, not in a dead executor.
            self.get_logger().fatal(traceback.format_exc())
            self._controller.fault(
                f"an error inside the controller ({type(error).__name__}: {error}); the log has the details; "
                "reset it to go on"
            )
        self._publish_change()

    def _command(self, decide: Callable[[int, int], Command]) -> Command:
        """Sends a command of this moment; one that was held up on its way is made anew, a few times."""
        assert self._controller is not None
        for _ in range(ATTEMPTS):
            began_ns = time.monotonic_ns()
            now_ns, at_ns = self._times()
            command = decide(now_ns, at_ns)
            if self._outputs.send(command, now_ns, partial(self._is_held_up, began_ns)):
                self._reporter.note_command(command.values is not None, not self._params.values.lockstep)
                return command
            # This process stood still meanwhile: its trajectory would join the one before too late.
            self._controller.take_back()
        self.get_logger().error(
            f"commands take longer than {HELD_UP_PERIODS:g} periods to make: none is sent, the driver stops",
            throttle_duration_sec=1.0,
        )
        return Command(None, None, now_ns, at_ns)

    def _is_held_up(self, began_ns: int) -> bool:
        held_up_ns = time.monotonic_ns() - began_ns
        return not self._params.values.lockstep and held_up_ns > HELD_UP_PERIODS * self._robot.period_ns

    def _watch(self) -> None:
        if self._controller is None:
            return
        silence_s = time.monotonic() - self._heard_s if self.is_active else 0.0
        if silence_s > self._params.values.silence_timeout_s:
            self._controller.on_policy_timeout(silence_s)
        self._safeguards.watch_drivers()
        if self.is_active:
            self._safeguards.watch_others(self._outputs.topics)
        self._publish_change()
        self._reporter.watch(self._controller, self._now_ns())

    def _silence(self, topic: str) -> str:
        """Why nothing usable came on a state topic."""
        return self._states.fault(topic) or self._stream_watch.silence(topic)

    def _publish_change(self) -> None:
        """Status and log line at once when mode or reason changed."""
        assert self._controller is not None
        self._reporter.publish_change(self._controller, self._now_ns())

    def _publish_status(self) -> None:
        assert self._controller is not None
        self._reporter.publish(self._controller, self._now_ns())

    def _estop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._controller is not None
        self._controller.estop()
        self._step()
        self._outputs.cancel()
        self._publish_change()
        response.success = True
        response.message = f"{'stopping' if self.is_active else 'latched'}; call ~/reset to go on"
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._controller is not None
        response.success = self._controller.reset()
        response.message = "waiting for a chunk" if response.success else "nothing to reset"
        if response.success and self.is_active:
            self._safeguards.watch_others(self._outputs.topics)
            latch = self._controller.supervisor.latch
            if latch is not None:
                response.success, response.message = False, latch.text
        self._publish_change()
        return response

    def _report(self) -> Report:
        if self._controller is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        return self._reporter.report(self._controller, self._now_ns())

    def _times(self) -> tuple[int, int]:
        """Node clock and the time of motion [ns], at one moment."""
        if self._params.values.lockstep:
            return self._tick_ns, self._tick_ns
        clock: Any = self.get_clock()
        now_ns, steady_ns = self._clocks.read(clock)
        return now_ns, self._motion_clock.read(steady_ns, now_ns, clock.ros_time_is_active)

    def _motion_ns(self) -> int:
        return self._times()[1]

    def _now_ns(self) -> int:
        """The node clock; in lockstep the last tick itself, which the node clock may not have seen yet."""
        return self._tick_ns if self._params.values.lockstep else self.get_clock().now().nanoseconds


def main() -> None:
    """Entry point of the ``controller_node`` executable."""
    use_udp_alone()
    run_node(ControllerNode)


if __name__ == "__main__":
    main()
