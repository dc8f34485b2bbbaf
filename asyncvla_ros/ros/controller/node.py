"""Lifecycle node that executes action chunks: one command per control step, or a hold with a reason.

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
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger

from asyncvla_msgs.msg import ActionChunk, ControllerStatus
from asyncvla_ros.common.statistics import Rates
from asyncvla_ros.control.controller import Controller
from asyncvla_ros.control.types import Command, Mode, Reason
from asyncvla_ros.robot.contract import JointStateSource, PoseSource
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.controller.outputs import Outputs
from asyncvla_ros.ros.controller.parameters import ControllerParameters, read_robot
from asyncvla_ros.ros.controller.status import diagnostics_report, status_message
from asyncvla_ros.ros.conversions import chunk_from_message, named_state, to_ns
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.middleware import use_udp_alone
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.types import ContractError

# Wall time between two status messages while nothing changes, and two looks at the silence of the policy [s].
STATUS_PERIOD = 0.2
# Wall time after which deactivation no longer waits for the arm to come to rest [s].
STOP_TIMEOUT = 3.0
# After so many periods in which this process stood still, or a lockstep world did, the arm has come to rest.
PAUSE_PERIODS = 10


class ControllerNode(ManagedNode):
    """Topics, clock and parameters of the controller; its decisions: ``asyncvla_ros.control.controller``."""

    def __init__(self) -> None:
        super().__init__("controller")
        self._params = Parameters(self, ControllerParameters)
        self._controller: Controller | None = None
        self._rates = Rates()
        self._commands = 0
        self._reported: tuple[Mode, Reason] | None = None
        self._tick_ns = 0
        self._stepped = (0, 0.0)
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Reads the contract; subscribes to chunks and robot state."""
        values = self._params.values
        self._robot = read_robot(values, self.resolve_topic_name(values.urdf_topic or "robot_description"))
        self._controller = Controller(self._robot, values.lockstep, values.execute_steps)
        self.resources.callback(self._forget_controller)
        self._outputs = Outputs(self, self._robot)
        self._status_publisher = self.create_publisher(ControllerStatus, "~/status", qos.STATUS)
        self.resources.callback(self.destroy_publisher, self._status_publisher)
        self.subscribe(ActionChunk, values.chunk_topic, self._on_chunk, qos.CHUNK)
        for source in self._robot.state:
            kind: type = JointState if isinstance(source, JointStateSource) else PoseStamped
            profile = qos.sensor(values.sensor_reliability)
            self.subscribe(kind, source.topic, partial(self._on_state, source), profile)
        for name, action in (("~/estop", self._estop), ("~/reset", self._reset)):
            service = self.create_service(Trigger, name, action)
            self.resources.callback(self.destroy_service, service)
        self._time(STATUS_PERIOD, self._watch, Clock(clock_type=ClockType.STEADY_TIME))
        if values.lockstep:
            self.subscribe(ClockMessage, "/clock", self._on_tick, qos.LOCKSTEP_CLOCK)
        else:
            # Timers would notice it only after a period of the new time.
            self.on_clock_set_back(lambda: self._step(self._since_last_ns()))
            self._timer = self._time(self._robot.period_ns / 1e9, self._on_timer, self.get_clock())

    def activate(self) -> None:
        """Begins idle: nothing moves before a chunk of now arrives."""
        assert self._controller is not None
        self._heard_s = time.monotonic()
        self._controller.start()
        self._publish_status()

    def deactivate(self) -> None:
        """Sends a stop, to its end, and a hold as the last command."""
        if self._controller is None or self._controller.reason is Reason.INACTIVE:
            return
        # Paced by wall time, from the last command on: within this callback a simulated clock stands still.
        period_s, latest_s = self._robot.period_ns / 1e9, time.monotonic() + STOP_TIMEOUT
        if not self._controller.at_rest:
            time.sleep(period_s)
        now_ns = self._now_ns()
        self._send(self._controller.stop(now_ns))
        while not self._controller.at_rest and time.monotonic() < latest_s:
            time.sleep(period_s)
            now_ns += self._robot.period_ns
            self._send(self._controller.update(now_ns))
        self._publish_status()

    def _forget_controller(self) -> None:
        self._controller = None

    def _time(self, period_s: float, action: Callable[[], None], clock: Clock) -> Timer:
        timer = self.create_timer(period_s, action, clock=clock)
        self.resources.callback(self.destroy_timer, timer)
        return timer

    def _on_chunk(self, message: ActionChunk) -> None:
        if self._controller is None or not self.is_active:
            return
        chunk = chunk_from_message(message)
        # In lockstep the chunk may overtake the tick of its own observation; its stamp proves the time.
        now_ns = max(self._now_ns(), chunk.stamp_ns) if self._params.values.lockstep else self._now_ns()
        if self._is_unheard():
            cause = (
                "no command has reached the robot yet" if self._outputs.is_heard else "nobody takes commands"
            )
            text = f"chunk {chunk.chunk_id} waits: {cause}"
            self.get_logger().info(text, throttle_duration_sec=1.0)
            return
        rejection = self._controller.accept(chunk, now_ns)
        if rejection is not None:
            text = f"chunk {chunk.chunk_id} rejected: {rejection}"
            self.get_logger().warning(text, throttle_duration_sec=1.0)
            return
        self._heard_s = time.monotonic()
        if self._controller.answers_at_once and not self._params.values.lockstep:
            self._answer_at_once()
        self._step_in_lockstep()

    def _is_unheard(self) -> bool:
        """A motion that begins before the robot listens would be a jump where it comes in."""
        assert self._controller is not None
        if self._params.values.lockstep or not (
            self._controller.answers_at_once and self._controller.can_hold
        ):
            return False
        return not self._outputs.have_arrived

    def _answer_at_once(self) -> None:
        """A new chunk does not wait for the next period: the next command comes now, or as soon as it may."""
        assert self._controller is not None
        wait_ns = self._controller.shortest_period_ns - self._since_last_ns()
        if wait_ns <= 0:
            self._step(self._since_last_ns())
        self._set_timer(wait_ns if wait_ns > 0 else self._robot.period_ns)

    def _on_timer(self) -> None:
        """The next command is due; periods count from here."""
        is_early = self._timer.timer_period_ns != self._robot.period_ns
        self._step(self._since_last_ns() if is_early else None)
        if is_early:
            self._set_timer(self._robot.period_ns)

    def _set_timer(self, period_ns: int) -> None:
        self._timer.timer_period_ns = period_ns
        self._timer.reset()

    def _on_state(self, source: JointStateSource | PoseSource, message: Any) -> None:
        if self._controller is None:
            return
        try:
            values = named_state(message, source, self._robot.base_frame)
        except ContractError as error:
            self.get_logger().warning(f"robot state ignored: {error}", throttle_duration_sec=1.0)
            return
        self._controller.observe(source.topic, to_ns(message.header.stamp), values)
        self._step_in_lockstep()

    def _on_tick(self, message: ClockMessage) -> None:
        self._tick_ns = to_ns(message.clock)
        self._step_in_lockstep()

    def _step_in_lockstep(self) -> None:
        """Tick, chunk and robot state come in any order, on topics of their own: the last one acts."""
        if self._params.values.lockstep and self._tick_ns:
            self._step()

    def _since_last_ns(self) -> int:
        """Time since the last control step by node clock or wall, the less; unless the clock was set back."""
        before_ns, before_s = self._stepped
        wall_ns, clock_ns = round((time.monotonic() - before_s) * 1e9), self._now_ns() - before_ns
        return wall_ns if clock_ns < 0 else min(wall_ns, clock_ns)

    def _step(self, elapsed_ns: int | None = None) -> None:
        """One control step: on the timer, in lockstep when something came, or early after ``elapsed_ns``."""
        if self._controller is None or not self.is_active:
            return
        try:
            now_ns = self._now_ns()
            if self._has_paused(now_ns):
                self._controller.paused()
            self._send(self._controller.update(now_ns, elapsed_ns))
        except Exception:
            # A bug must end in a stop, not in a dead executor.
            text = traceback.format_exc()
            self.get_logger().fatal(text)
            self._controller.fault(text.strip().splitlines()[-1])
        self._publish_change()

    def _has_paused(self, now_ns: int) -> bool:
        """Whether node clock and wall time went on since the last step; the clock alone may have jumped."""
        (before_ns, before_s), now_s = self._stepped, time.monotonic()
        self._stepped = (now_ns, now_s)
        pause_ns = PAUSE_PERIODS * self._robot.period_ns
        was_still = self._params.values.lockstep or now_s - before_s > pause_ns / 1e9
        return was_still and now_ns - before_ns > pause_ns

    def _send(self, command: Command) -> None:
        self._outputs.send(command, self._now_ns())
        self._commands += command.values is not None

    def _watch(self) -> None:
        if self._controller is None:
            return
        silence_s = time.monotonic() - self._heard_s if self.is_active else 0.0
        if silence_s > self._params.values.silence_timeout_s:
            self._controller.starve(silence_s)
        self._publish_change()
        self._publish_status()

    def _publish_change(self) -> None:
        """Status and log line at once when mode or reason changed."""
        assert self._controller is not None
        now = (self._controller.mode, self._controller.reason)
        if now == self._reported:
            return
        self._reported = now
        text = f"{self._controller.mode.name} {self._controller.text}".strip()
        # rclpy allows one severity per line of code.
        if self._controller.mode in (Mode.IDLE, Mode.TRACKING):
            self.get_logger().info(text)
        else:
            self.get_logger().warning(text)
        self._publish_status()

    def _publish_status(self) -> None:
        assert self._controller is not None
        self._status_publisher.publish(
            status_message(self._controller.status(self._now_ns()), self._robot, self._now_ns())
        )

    def _estop(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._controller is not None
        self._controller.estop()
        self._step(self._since_last_ns())
        self._publish_change()
        response.success, response.message = True, "stopped; call ~/reset to go on"
        return response

    def _reset(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        assert self._controller is not None
        response.success = self._controller.reset()
        response.message = "waiting for a chunk" if response.success else "nothing to reset"
        self._publish_change()
        return response

    def _report(self) -> Report:
        if self._controller is None:
            return Report(DiagnosticStatus.OK, "unconfigured", {})
        status = self._controller.status(self._now_ns())
        rates = self._rates.update(time.monotonic(), {"commands": self._commands, "chunks": status.accepted})
        return diagnostics_report(
            status, self._robot, rates, self.count_publishers(self._params.values.chunk_topic)
        )

    def _now_ns(self) -> int:
        """The node clock; in lockstep the last tick itself, which the node clock may not have seen yet."""
        return self._tick_ns if self._params.values.lockstep else self.get_clock().now().nanoseconds


def main() -> None:
    """Entry point of the ``controller_node`` executable."""
    use_udp_alone()
    run_node(ControllerNode)


if __name__ == "__main__":
    main()
