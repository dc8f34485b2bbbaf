"""Runs LIBERO in a thread of its own, which owns the GL context; others only send it events."""

from __future__ import annotations

import queue
import threading
import time
import traceback
from concurrent.futures import Future
from dataclasses import dataclass

from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.libero_sim.streams import SimStreams
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.sim.libero.env import IDLE_ACTION, LiberoEnv
from asyncvla_ros.sim.libero.tasks import max_steps
from asyncvla_ros.sim.libero.world import DueAction, Environment, EpisodeState, Scenario, World
from asyncvla_ros.types import AsyncVLAError, RunError

# After this silence the pending observation is shown again [s]: a restarted peer has missed it.
REPEAT_PERIOD = 1.0


@dataclass(frozen=True)
class _Reset:
    scenario: Scenario
    reply: Future[int]


class Simulation:
    """Runs one world from activation to deactivation; episodes and time are in ``sim.libero.world``.

    Threads: the node's executor calls ``begin``, ``obey`` and ``end``, which only send events; the
    simulation's own thread does everything else.

    Args:
        node: Its log is written to.
        params: Parameters of the node; their values are exchanged as a whole, so both threads may read them.
        streams: Publishers of what the simulated robot shows.
        action_period_ns: Control step [ns].
    """

    def __init__(
        self, node: ManagedNode, params: Parameters[SimParameters], streams: SimStreams, action_period_ns: int
    ):
        self._node, self._params, self._streams = node, params, streams
        self._action_period_ns = action_period_ns
        #: Belongs to the simulation's thread; others read single numbers, for reports.
        self.world = World(
            self._make_env, max_steps, action_period_ns, params.values.n_action_steps, hold_action=IDLE_ACTION
        )
        #: Events from the executor's thread to the simulation's; None ends the thread.
        self._events: queue.SimpleQueue[_Reset | DueAction | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._simulate, name="simulation", daemon=True)
        self._thread.start()

    def begin(self, scenario: Scenario) -> int:
        """Begin an episode and return its number.

        Raises:
            AsyncVLAError: there is no such episode, or the simulator failed.
        """
        if not self._thread.is_alive():
            raise RunError("the simulation has ended; deactivate and activate this node to start another")
        reset = _Reset(scenario, Future())
        self._events.put(reset)
        return reset.reply.result()

    def obey(self, command: DueAction) -> None:
        """Send a command to the simulation."""
        self._events.put(command)

    def end(self) -> None:
        """End the thread and release the simulator. Idempotent."""
        self._events.put(None)
        self._thread.join()

    # --- in the simulation's thread -----------------------------------------------------------------------

    def _make_env(self, suite: str, task: int) -> Environment:
        return LiberoEnv(suite, task, self._params.values.rendering)

    def _simulate(self) -> None:
        """Handle one event at a time, and tick when a control step is due."""
        loop = self._lockstep if self._params.values.lockstep else self._free_run
        try:
            loop()
        except Exception:
            text = traceback.format_exc()
            self._node.get_logger().fatal(f"the simulation ended:\n{text}")
            self._streams.publish_status(self.world, fault=text.strip().splitlines()[-1])
        finally:
            self.world.close()

    def _lockstep(self) -> None:
        world = self.world
        while True:
            try:
                event = self._events.get(timeout=REPEAT_PERIOD)
            except queue.Empty:
                if world.state is EpisodeState.RUNNING:
                    # A peer has missed the last messages; between two observations that is the clock alone.
                    self._show()
                continue
            if event is None:
                return
            if isinstance(event, _Reset):
                self._reset(event)
                if event.reply.exception() is None:
                    self._show()
            elif world.obey(event):
                self._show()
                self._say_end()

    def _free_run(self) -> None:
        world = self.world
        due: DueAction | None = None
        cameras_ns, deadline = 0, time.monotonic()
        while True:
            try:
                event = self._events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                was_running = world.state is EpisodeState.RUNNING
                world.tick(due)
                due = None
                if was_running:
                    self._say_end()
                period = 1e-9 * self._action_period_ns / self._params.values.real_time_factor
                # A world that is slower than real_time_factor does not try to catch up.
                deadline = max(deadline + period, time.monotonic())
                if world.env is not None:
                    # The clock first: rendering takes most of a step, and this step's command is due now.
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
                self._reset(event)
                due = None
            elif event.observation_ns >= world.decision_ns:
                due = event

    def _reset(self, event: _Reset) -> None:
        world = self.world

        def now_ends() -> None:
            if world.state is EpisodeState.RUNNING:
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
            self._node.get_logger().info(
                f"episode {world.episode_id}: {scenario.suite} task {scenario.task}, {placed}: {instruction}"
            )

    def _say_end(self) -> None:
        """Log how an episode that has just ended went."""
        world = self.world
        steps = f"{world.steps} control steps"
        if world.state is EpisodeState.SUCCESS:
            self._node.get_logger().info(f"episode {world.episode_id}: solved after {steps}")
        elif world.state is EpisodeState.TIMEOUT:
            self._node.get_logger().info(f"episode {world.episode_id}: not solved in {steps}")

    def _show(self) -> None:
        """Publish a lockstep tick, the clock last: whoever acts on it has received what belongs to it."""
        world = self.world
        self._streams.publish_status(world)
        if world.awaits_decision:
            self._streams.publish_images(world)
        self._streams.publish_state(world)
        self._streams.publish_clock(world)
