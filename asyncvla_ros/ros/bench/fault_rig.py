"""Graphs of ``asyncvla bench faults``, and what it can do to them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_srvs.srv import Trigger
from trajectory_msgs.msg import JointTrajectory

from asyncvla_msgs.msg import ActionCommand, ControllerStatus
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import write_contract, write_driven_contract
from asyncvla_ros.ros.bench.demand_judge import CommandJudge, DemandJudge
from asyncvla_ros.ros.bench.fault_clocks import SimClock, SystemClock
from asyncvla_ros.ros.bench.fault_record import FaultRecord
from asyncvla_ros.ros.bench.graph import (
    ALL,
    ARM_NODE,
    CONTROLLER,
    DRIVER_NODE,
    LOG,
    START_S,
    STEPPED_CONTROLLER,
    start_graph,
)
from asyncvla_ros.ros.bench.observer import Observer, TimedResponse
from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.types import RunError

# Small images: their transport is not what is measured. Where the arm rests is not where it was told to be.
ARM = {"width": 64, "height": 48, "stiction": 0.005}
# A fault comes so long after motion was seen, at most [s].
PHASE_S = 0.5
ANSWER_S = 10.0
# For a hold to come, and for the arm to come to rest [s]: much longer than it takes.
HOLD_S, REST_S = 3.0, 5.0
# What arrived at the arm so long ago is known here [ns].
DELIVERED_NS = 100_000_000


@dataclass(frozen=True)
class RigKind:
    """Kind of graph.

    Attributes:
        use_sim_time: The clock is ``/clock``, and can be set back.
        is_stepped: The clock is the system clock, and can be set.
        is_driven: The arm has a driver of trajectories, which says whether its drives are on.
    """

    use_sim_time: bool = False
    is_stepped: bool = False
    is_driven: bool = False


@dataclass
class Rig:
    """Running nodes, an observer, and its record; parts that a kind does not have are None.

    Attributes:
        contract: File of ``robot``.
        clock: ``/clock``.
        system_clock: What the nodes take for the system clock.
        demand: Judge of trajectories.
        orders: Judge of action commands.
    """

    nodes: NodeProcesses
    observer: Observer
    contract: Path
    robot: RobotContract
    record: FaultRecord
    rng: np.random.Generator
    kind: RigKind
    clock: SimClock | None = None
    system_clock: SystemClock | None = None
    demand: DemandJudge | None = None
    orders: CommandJudge | None = None

    @property
    def the_demand(self) -> DemandJudge:
        """Judge of trajectories, where the arm has a driver of them."""
        assert self.demand is not None
        return self.demand

    @property
    def the_orders(self) -> CommandJudge:
        """Judge of action commands, where the system clock can be set."""
        assert self.orders is not None
        return self.orders

    @property
    def the_system_clock(self) -> SystemClock:
        """The system clock, where it can be set."""
        assert self.system_clock is not None
        return self.system_clock

    def demand_problems(self) -> list[str]:
        """Return limits that the driver's demand broke since the last call."""
        return self.the_demand.problems(time.monotonic_ns() - DELIVERED_NS)

    def metrics(self) -> dict[str, Any]:
        """Return metrics of the demand so far by driver model."""
        judges = [judge for judge in (self.demand, self.orders) if judge is not None]
        return {name: metrics for judge in judges for name, metrics in judge.metrics().items()}

    def freeze(self, *, cameras: bool, joints: bool) -> None:
        """Silence cameras and joint states, or let them continue.

        Raises:
            RunError: they do not answer.
        """
        self.set("cameras", frozen_cameras=cameras)
        self.set("arm", frozen_joints=joints)

    def set(self, node: str, **values: bool | float | str) -> None:
        """Set parameters of a node; return once it has them.

        Raises:
            RunError: the node does not answer, or refuses.
        """
        parameters = [Parameter(key, value=value).to_parameter_msg() for key, value in values.items()]
        request = SetParameters.Request(parameters=parameters)
        answer = self.observer.call(SetParameters, f"{node}/set_parameters", request, ANSWER_S)
        results = answer.response.results
        if not all(one.successful for one in results):
            raise RunError(f"parameters of node {node} cannot be {values}: {results}")

    def trigger(self, service: str) -> TimedResponse:
        """Call a service of the controller.

        Raises:
            RunError: there is no answer, or it is a failure.
        """
        answer = self.observer.call(Trigger, f"controller/{service}", Trigger.Request(), ANSWER_S)
        if not answer.response.success:
            raise RunError(f"controller/{service} failed: {answer.response.message}")
        return answer

    def move(self) -> None:
        """Wait for motion and a random moment in it; begin the record anew.

        Raises:
            RunError: nothing moves.
        """
        self.forget()
        while True:
            self.observer.wait(self.record.is_moving, "motion", START_S)
            time.sleep(self.rng.uniform(0.0, PHASE_S))
            if self.record.is_moving():
                return

    def forget(self) -> None:
        """Begin the record anew."""
        self.record.forget()
        for judge in (self.demand, self.orders):
            if judge is not None:
                judge.forget()

    def wait_for_motion(self, after_ns: int) -> int:
        """Wait until the arm moves again; return when the first command from a chunk came [ns].

        Raises:
            RunError: it does not.
        """
        self.observer.wait(lambda: self.record.tracked_ns(after_ns) is not None, "command", START_S)
        tracked_ns = self.record.tracked_ns(after_ns)
        assert tracked_ns is not None
        self.observer.wait(self.record.is_moving, "motion", START_S)
        return tracked_ns


def start_arm(nodes: NodeProcesses, kind: RigKind, settings: Mapping[str, object]) -> None:
    """Restart the arm of a running rig; ``settings`` are its parameters beside the usual ones."""
    usual = {**ARM, "cameras": 0, "autostart": True, "follows_trajectories": kind.is_driven}
    nodes.start("arm", DRIVER_NODE, [], {**usual, **settings})


@contextmanager
def running_rig(
    rng: np.random.Generator, images: Mapping[str, str], kind: RigKind = RigKind()
) -> Iterator[Rig]:
    """Run nodes until the block ends.

    Args:
        rng: Draws the moments of faults.
        images: Variables for cameras and policy.
        kind: Kind of graph.
    """
    with tempfile.TemporaryDirectory() as folder:
        contract = (write_driven_contract if kind.is_driven else write_contract)(Path(folder))
        with NodeProcesses(Path(folder) / "logs", {}) as nodes, Observer(nodes) as observer:
            rig = Rig(
                nodes, observer, contract, load_robot(contract), record=FaultRecord(), rng=rng, kind=kind
            )
            _equip(rig)
            # Cameras have a driver of their own: the arm's must not stand still.
            timed = {"autostart": True, "use_sim_time": kind.use_sim_time, "joint_hz": 0.0}
            nodes.start("cameras", ARM_NODE, [], {**ARM, **timed}, environment=images)
            arm = {**ARM, "cameras": 0, "follows_trajectories": kind.is_driven}
            controller = STEPPED_CONTROLLER if kind.is_stepped else CONTROLLER
            start_graph(
                nodes,
                contract,
                arm,
                use_sim_time=kind.use_sim_time,
                images=images,
                controller=controller,
                is_realtime=True,
            )
            yield rig


def _equip(rig: Rig) -> None:
    """Add clocks, record and judges."""
    kind = rig.kind
    observer, record, node = rig.observer, rig.record, rig.observer.node
    rig.clock = SimClock(node) if kind.use_sim_time else None
    # By way of the arm: who has just come may not know the controller yet, or be known to it.
    observer.subscribe(ActionCommand, "arm/obeyed", ALL, record.note_command)
    observer.subscribe(ControllerStatus, "controller/status", ALL, record.note_status)
    observer.subscribe(JointState, "arm/body", ALL, record.note_body)
    observer.subscribe(JointState, "joint_states", qos.sensor("best_effort"), record.note_measured)
    if kind.is_stepped:
        rig.system_clock = SystemClock(node)
        rig.orders = CommandJudge(rig.robot)
        observer.subscribe(JointState, "controller/sent", LOG, rig.orders.note_sent)
    if kind.is_driven:
        rig.demand = DemandJudge(rig.robot)
        observer.subscribe(JointState, "arm/body", ALL, rig.demand.note_body)
        observer.subscribe(JointTrajectory, "arm/received", LOG, rig.demand.note_entry)
