"""The simulated robot from configure to cleanup: its methods are the callbacks of the node."""

from __future__ import annotations

import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus

from asyncvla_msgs.msg import ActionCommand, EpisodeStatus
from asyncvla_msgs.srv import ResetEpisode
from asyncvla_ros.common.statistics import Rates
from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.diagnostics import Report
from asyncvla_ros.ros.libero_sim.parameters import SimParameters
from asyncvla_ros.ros.libero_sim.simulation import Simulation
from asyncvla_ros.ros.libero_sim.streams import SimStreams
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.ros.parameters import Parameters
from asyncvla_ros.sim.libero.conventions import ACTION_NAMES
from asyncvla_ros.sim.libero.world import DueAction, Scenario
from asyncvla_ros.types import AsyncVLAError, ContractError


class SimSession:
    """Passes commands and requests for episodes to a simulation.

    Threads: every field belongs to that of the node's executor; the simulation has its own.

    Args:
        node: Owns topics and services.
        params: Of the node.

    Raises:
        ContractError: the contract is missing or wrong, or is that of another robot.
    """

    def __init__(self, node: ManagedNode, params: Parameters[SimParameters]):
        values = params.values
        self._node, self._params = node, params
        self._robot = load_robot(robot_file(values.robot))
        names = tuple(dof.name for dof in self._robot.dofs)
        if names != ACTION_NAMES:
            raise ContractError(
                f"robot {values.robot!r} has dofs {list(names)}, the simulator obeys {list(ACTION_NAMES)}"
            )
        self._scale = np.array([dof.scale for dof in self._robot.dofs])
        self._rates = Rates()
        self._streams = SimStreams(node, self._robot, values.sensor_reliability, lockstep=values.lockstep)
        #: The simulation of the last activation; kept after it has ended.
        self._simulation: Simulation | None = None
        node.subscribe(ActionCommand, values.command_topic, self._on_command, qos.COMMAND)
        service = node.create_service(ResetEpisode, "~/reset_episode", self._on_reset)
        node.resources.callback(node.destroy_service, service)

    def start(self) -> None:
        """Start the simulation, and the first episode if the parameter ``start`` says so.

        Raises:
            AsyncVLAError: there is no such episode.
        """
        values, action_period_ns = self._params.values, round(1e9 / self._robot.action_hz)
        self._simulation = Simulation(self._node, self._params, self._streams, action_period_ns)
        if values.start:
            init = None if values.init == EpisodeStatus.INIT_RANDOM else values.init
            self._simulation.begin(Scenario(values.suite, values.task, init))

    def stop(self) -> None:
        """End the simulation."""
        if self._simulation is not None:
            self._simulation.end()

    def report(self) -> Report:
        """Return what ``/diagnostics`` says."""
        if self._simulation is None:
            return Report(DiagnosticStatus.OK, "not active", {})
        world = self._simulation.world
        rates = self._rates.update(time.monotonic(), {"control_steps": world.steps})
        values = {"episode": world.episode_id, "step": world.steps, "held_steps": world.held_steps, **rates}
        return Report(DiagnosticStatus.OK, world.state.name.lower(), values)

    def _on_reset(
        self, request: ResetEpisode.Request, response: ResetEpisode.Response
    ) -> ResetEpisode.Response:
        if self._simulation is None or not self._node.is_active:
            response.message = "the node is not active"
            return response
        current = self._simulation.world.scenario
        suite = request.suite or (current.suite if current else self._params.values.suite)
        init = None if request.init == ResetEpisode.Request.INIT_RANDOM else int(request.init)
        scenario = Scenario(suite, int(request.task), init, int(request.seed))
        try:
            response.episode_id = self._simulation.begin(scenario)
            response.accepted = True
        except AsyncVLAError as error:
            response.message = str(error)
        return response

    def _on_command(self, message: ActionCommand) -> None:
        if self._simulation is None or not self._node.is_active:
            return
        if message.source != ActionCommand.SOURCE_CHUNK or len(message.action) != len(self._scale):
            return
        action = np.asarray(message.action, np.float64) / self._scale
        stamps = to_ns(message.header.stamp), to_ns(message.observation_stamp)
        self._simulation.obey(DueAction(action, *stamps))
