"""LIBERO as a robot: cameras, joint states and a clock on one side, action commands on the other.

Simulation and rendering live in one thread, which owns the GL context; ROS callbacks only hand it events.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_msgs.msg import ActionCommand, EpisodeStatus
from asyncvla_msgs.srv import ResetEpisode
from asyncvla_ros.common.statistics import Rates
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.diagnostics import Diagnostics, Report
from asyncvla_ros.ros.libero_sim.streams import SimStreams
from asyncvla_ros.ros.lifecycle import ManagedNode, run_node
from asyncvla_ros.ros.parameters import Parameters, parameter
from asyncvla_ros.sim.libero.conventions import ACTION_NAMES
from asyncvla_ros.sim.libero.env import IDLE_ACTION, LiberoEnv
from asyncvla_ros.sim.libero.tasks import max_steps
from asyncvla_ros.sim.libero.world import DueAction, Environment, Scenario, State, World
from asyncvla_ros.types import AsyncVLAError, ContractError, RunError

# A peer that was restarted missed the pending observation: show it again after so much silence [s].
REPEAT_PERIOD = 1.0


@dataclass(frozen=True)
class SimParameters:
    """Parameters of libero_sim_node."""

    robot: str = parameter("libero_panda", "Robot contract: topics and scale of actions", read_only=True)
    command_topic: str = parameter(
        "controller/command", "Topic of the commands to obey", read_only=True, is_topic=True
    )
    lockstep: bool = parameter(True, "The world waits for each command", read_only=True)
    execute_steps: int = parameter(
        4, "Lockstep: control steps from one observation to the next", minimum=1, maximum=1000, read_only=True
    )
    real_time_factor: float = parameter(
        1.0, "Free-running: simulated per real time", minimum=0.01, maximum=100.0
    )
    camera_hz: float = parameter(
        10.0, "Free-running: camera rate in simulated time [Hz]", minimum=0.1, maximum=20.0, read_only=True
    )
    rendering: str = parameter("full", "Meshes of the cameras", choices=("full", "decimated"), read_only=True)
    suite: str = parameter("libero_object", "Suite of the first episode", read_only=True)
    task: int = parameter(0, "Task of the first episode", minimum=0, maximum=1000, read_only=True)
    init: int = parameter(
        0, "Official initial state of the first episode; -1: random", minimum=-1, maximum=1000, read_only=True
    )
    start: bool = parameter(True, "Begin the first episode on activation", read_only=True)
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)
    sensor_reliability: str = parameter(
        "reliable", "QoS of cameras and robot state", choices=tuple(qos.RELIABILITIES), read_only=True
    )


@dataclass(frozen=True)
class _Reset:
    scenario: Scenario
    reply: Future[int]


class LiberoSimNode(ManagedNode):
    """Topics and services of the simulated robot; episodes and time: ``asyncvla_ros.sim.libero.world``."""

    def __init__(self) -> None:
        super().__init__("libero_sim")
        self._params = Parameters(self, SimParameters)
        self._events: queue.SimpleQueue[_Reset | DueAction | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._world: World | None = None
        self._rates = Rates()
        self._diagnostics = Diagnostics(self, self._report)

    def configure(self) -> None:
        """Checks the contract; creates publishers, the command subscription and the reset service."""
        values = self._params.values
        self._robot = load_robot(robot_file(values.robot))
        names = tuple(dof.name for dof in self._robot.dofs)
        if names != ACTION_NAMES:
            raise ContractError(
                f"robot {values.robot!r} has dofs {list(names)}, the simulator obeys {list(ACTION_NAMES)}"
            )
        self._scale = np.array([dof.scale for dof in self._robot.dofs])
        self._step_ns = round(1e9 / self._robot.control_hz)
        self._streams = SimStreams(self, self._robot, values.sensor_reliability, values.lockstep)
        self.subscribe(ActionCommand, values.command_topic, self._on_command, qos.COMMAND)
        service = self.create_service(ResetEpisode, "~/reset_episode", self._on_reset)
        self.resources.callback(self.destroy_service, service)

    def activate(self) -> None:
        """Starts the simulation thread, and the first episode unless a client is to begin it."""
        values = self._params.values
        self._events = queue.SimpleQueue()
        self._world = World(
            self._make_env, max_steps, self._step_ns, values.execute_steps, hold_action=IDLE_ACTION
        )
        self._thread = threading.Thread(
            target=self._simulate, args=(self._world,), name="simulation", daemon=True
        )
        self._thread.start()
        if values.start:
            init = None if values.init == EpisodeStatus.INIT_RANDOM else values.init
            self._begin(Scenario(values.suite, values.task, init))

    def deactivate(self) -> None:
        """Ends the simulation thread and releases the simulator."""
        if self._thread is not None:
            self._events.put(None)
            self._thread.join()
            self._thread = None

    def _make_env(self, suite: str, task: int) -> Environment:
        return LiberoEnv(suite, task, self._params.values.rendering)

    def _begin(self, scenario: Scenario) -> int:
        """Have the simulation begin an episode; returns its number."""
        if self._thread is None or not self._thread.is_alive():
            raise RunError("the simulation has ended; deactivate and activate this node to start another")
        reset = _Reset(scenario, Future())
        self._events.put(reset)
        return reset.reply.result()

    def _on_reset(
        self, request: ResetEpisode.Request, response: ResetEpisode.Response
    ) -> ResetEpisode.Response:
        if not self.is_active:
            response.message = "the node is not active"
            return response
        world = self._world
        current = world.scenario if world and world.scenario else None
        suite = request.suite or (current.suite if current else self._params.values.suite)
        init = None if request.init == ResetEpisode.Request.INIT_RANDOM else int(request.init)
        try:
            response.episode_id = self._begin(Scenario(suite, int(request.task), init, int(request.seed)))
            response.accepted = True
        except AsyncVLAError as error:
            response.message = str(error)
        return response

    def _on_command(self, message: ActionCommand) -> None:
        if message.source != ActionCommand.SOURCE_CHUNK or len(message.action) != len(self._scale):
            return
        action = np.asarray(message.action, np.float64) / self._scale
        stamps = to_ns(message.header.stamp), to_ns(message.observation_stamp)
        self._events.put(DueAction(action, *stamps))

    def _simulate(self, world: World) -> None:
        """The simulation thread: one event at a time, and a tick whenever it is time for one."""
        loop = self._lockstep if self._params.values.lockstep else self._free_run
        try:
            loop(world)
        except Exception:
            text = traceback.format_exc()
            self.get_logger().fatal(f"the simulation ended:\n{text}")
            self._streams.publish_status(world, fault=text.strip().splitlines()[-1])
        finally:
            world.close()

    def _lockstep(self, world: World) -> None:
        while True:
            try:
                event = self._events.get(timeout=REPEAT_PERIOD)
            except queue.Empty:
                if world.state is State.RUNNING:
                    # Somebody missed the last word: between two decisions that is the clock alone.
                    self._show(world)
                continue
            if event is None:
                return
            if isinstance(event, _Reset):
                self._reset(world, event)
                if event.reply.exception() is None:
                    self._show(world)
            elif world.obey(event):
                self._show(world)
                self._say_end(world)

    def _free_run(self, world: World) -> None:
        due: DueAction | None = None
        cameras_ns, deadline = 0, time.monotonic()
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                was_running = world.state is State.RUNNING
                world.tick(due)
                due = None
                if was_running:
                    self._say_end(world)
                period = 1e-9 * self._step_ns / self._params.values.real_time_factor
                # A world slower than asked for does not try to catch up.
                deadline = max(deadline + period, time.monotonic())
                if world.env is not None:
                    # The clock first: rendering takes most of a step, and the command of this one is due now.
                    self._streams.publish_clock(world)
                    self._streams.publish_state(world)
                    self._streams.publish_status(world)
                    if world.now_ns >= cameras_ns:
                        cameras_ns = world.now_ns + round(1e9 / self._params.values.camera_hz)
                        self._streams.publish_images(world)
                continue
            if event is None:
                return
            if isinstance(event, _Reset):
                self._reset(world, event)
                due = None
            elif event.observation_ns >= world.decision_ns:
                due = event

    def _reset(self, world: World, event: _Reset) -> None:
        def now_ends() -> None:
            if world.state is State.RUNNING:
                self._streams.publish_status(world, EpisodeStatus.STATE_ABORTED)

        try:
            world.start(event.scenario, now_ends)
        except AsyncVLAError as error:
            event.reply.set_exception(error)
        except Exception as error:
            event.reply.set_exception(RunError(f"the simulator failed: {error}"))
            raise
        else:
            event.reply.set_result(world.episode_id)
            scenario, init = event.scenario, event.scenario.init
            placed = f"seed {scenario.seed}" if init is None else f"initial state {init}"
            instruction = world.env.instruction if world.env else ""
            self.get_logger().info(
                f"episode {world.episode_id}: {scenario.suite} task {scenario.task}, {placed}: {instruction}"
            )

    def _say_end(self, world: World) -> None:
        """In the log, of an episode that has just ended."""
        if world.state is State.SUCCESS:
            self.get_logger().info(f"episode {world.episode_id}: solved after {world.steps} control steps")
        elif world.state is State.TIMEOUT:
            self.get_logger().info(f"episode {world.episode_id}: not solved in {world.steps} control steps")

    def _show(self, world: World) -> None:
        """Lockstep: the clock comes last, so whoever acts on the tick has seen what belongs to it."""
        self._streams.publish_status(world)
        if world.awaits_decision:
            self._streams.publish_images(world)
        self._streams.publish_state(world)
        self._streams.publish_clock(world)

    def _report(self) -> Report:
        world = self._world
        if world is None:
            return Report(DiagnosticStatus.OK, "not active", {})
        rates = self._rates.update(time.monotonic(), {"control_steps": world.steps})
        values = {"episode": world.episode_id, "step": world.steps, "held_steps": world.held_steps, **rates}
        return Report(DiagnosticStatus.OK, world.state.name.lower(), values)


def main() -> None:
    """Entry point of the ``libero_sim_node`` executable."""
    sys.exit(run_node(LiberoSimNode))


if __name__ == "__main__":
    main()
