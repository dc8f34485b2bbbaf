"""``asyncvla bench faults``: what the arm does when a process dies, freezes or restarts, or time jumps back.

Each repetition: the arm sweeps; at a random moment the fault; the arm must come to rest in a hold of the pose
that is measured; the cause is removed; the arm must go on, without a restart of anything else.
"""

from __future__ import annotations

import enum
import os
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState

from asyncvla_msgs.msg import ActionCommand
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import (
    CHUNK_SPAN_S,
    CHUNK_TIMEOUT_S,
    COMMAND_HZ,
    OBSERVATION_TIMEOUT_S,
    write_contract,
)
from asyncvla_ros.ros.bench.graph import Graph
from asyncvla_ros.ros.bench.onlooker import Onlooker, tails
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment
from asyncvla_ros.ros.processes import NodeProcesses

# For a node to come up, and for a hold or a standstill [s].
START_S, STEP_S = 120.0, 20.0
# Beyond the timeout: two command periods.
GRACE_NS = round(2e9 / COMMAND_HZ)
# So many equal commands are a standstill; what is so near to another pose is there [rad].
STILL, NEAR_RAD = 20, 1e-3
# Of the first command that is seen after a restart: discovery may have missed those before it [rad].
FIRST_RAD = 0.02
IMAGES = {"width": 64, "height": 48, "hz": 30.0}
JUMP_S = 5.0


@dataclass(frozen=True)
class FaultSettings:
    """How often.

    Attributes:
        kills: Repetitions of killing the policy.
        repeats: Repetitions of every other case.
        seed: Of the moments of the faults.
    """

    kills: int = 50
    repeats: int = 5
    seed: int = 0


class Expected(enum.Enum):
    """What the arm must do while the cause lasts."""

    REST = "hold within the limit, come to rest where it is measured"
    REST_UNMEASURED = "hold within the limit, come to rest"
    PAUSE = "hold within the limit; the cause is over at once"
    LAST_HOLD = "be left with a hold as the last command"
    NOTHING = "be left as it is: nobody commands it"


@dataclass(frozen=True)
class Fault:
    """One case: ``cause`` makes it happen, ``remove`` takes the cause away; ``limit_s`` for the hold [s]."""

    cause: Callable[[], None]
    remove: Callable[[], None]
    expected: Expected
    limit_s: float = 0.0


@dataclass
class Outcome:
    """Times of all repetitions of a case [ms], and what went wrong, a line each."""

    times_ms: dict[str, list[float]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def note(self, what: str, elapsed_ns: int) -> None:
        """Adds a time [ns]."""
        self.times_ms.setdefault(f"{what}_ms", []).append(elapsed_ns / 1e6)

    def figures(self, fault: Fault) -> dict[str, Any]:
        """What is reported of the case."""
        figures: dict[str, Any] = {"expected": fault.expected.value, "failures": self.failures}
        if "held_ms" in self.times_ms:
            figures["limit_ms"] = round(fault.limit_s * 1e3 + GRACE_NS / 1e6, 1)
        return figures | {name: tails(values) for name, values in self.times_ms.items()}


class Seen(NamedTuple):
    """A command: its arrival [ns], whether it is a hold, and its values (d,)."""

    at_ns: int
    is_hold: bool
    action: np.ndarray


class _Watch:
    """What the onlooker has seen of the arm since the last ``clear``."""

    def __init__(self, onlooker: Onlooker):
        self._onlooker = onlooker
        self.commands: list[Seen] = []
        self.measured: np.ndarray = np.zeros(0)
        self.resting = self.measured
        onlooker.subscribe(ActionCommand, "controller/command", qos.COMMAND, self._note_command)
        onlooker.subscribe(JointState, "joint_states", qos.sensor("best_effort"), self._note_state)

    def _note_command(self, message: ActionCommand, now_ns: int) -> None:
        if not self.commands:
            self.resting = self.measured
        is_hold = message.source == ActionCommand.SOURCE_HOLD
        self.commands.append(Seen(now_ns, is_hold, np.asarray(message.action, float)))

    def _note_state(self, message: JointState, now_ns: int) -> None:
        self.measured = np.asarray(message.position, float)

    def clear(self) -> None:
        """Forgets the commands; ``resting`` becomes the pose measured when the next one comes."""
        self.commands.clear()

    def first(self, is_hold: bool, since_ns: int, timeout_s: float) -> int:
        """When the first hold, or else motion, came after ``since_ns`` [ns]."""
        found: list[int] = []

        def is_there() -> bool:
            found[:] = [c.at_ns for c in self.commands if c.is_hold is is_hold and c.at_ns >= since_ns][:1]
            return bool(found)

        self._onlooker.wait(is_there, "hold" if is_hold else "motion", timeout_s)
        return found[0]

    def move(self, count: int) -> None:
        """Returns after so many more commands from chunks, in the midst of a motion."""
        self.clear()

        def moves() -> bool:
            tracked = [command.action for command in self.commands if not command.is_hold]
            return len(tracked) >= count and float(np.ptp(tracked[-5:], axis=0).max()) > NEAR_RAD

        self._onlooker.wait(moves, "motion", START_S)

    def standstill(self, since_ns: int) -> tuple[int, np.ndarray]:
        """When the commands came to rest after ``since_ns`` [ns], and where (d,)."""

        def newest() -> list[Seen]:
            return [command for command in self.commands if command.at_ns >= since_ns][-STILL:]

        def stands() -> bool:
            actions = [command.action for command in newest()]
            return len(actions) == STILL and float(np.ptp(actions, axis=0).max()) < 1e-6

        self._onlooker.wait(stands, "standstill", STEP_S)
        resting = newest()
        return resting[0].at_ns, resting[-1].action


def bench_faults(settings: FaultSettings, say: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Runs all cases.

    Args:
        settings: How often.
        say: Gets the name of each case.

    Returns:
        ``cases``, by name: ``n``, ``failures``, ``limit_ms``, and p50, p95, p99 of ``held_ms`` (fault to
        hold), ``still_ms`` (fault to standstill) and ``recovered_ms`` (cause removed to motion).

    Raises:
        RunError: the graph does not come up, or does not hold, rest or move again.
    """
    rng = np.random.default_rng(settings.seed)
    figures: dict[str, Any] = {}
    for use_sim_time in (False, True):
        with isolated_domain() as isolation, tempfile.TemporaryDirectory() as folder:
            os.environ.update({**isolation, **fastdds_environment(processes=4)})
            contract = write_contract(Path(folder))
            with NodeProcesses(Path(folder) / "logs", {}) as nodes, Onlooker(nodes) as onlooker:
                graph = Graph(nodes, contract, IMAGES, use_sim_time)
                watch = _Watch(onlooker)
                cases = _clock_cases(onlooker) if use_sim_time else _cases(nodes, graph, onlooker)
                graph.start()
                for name, fault in cases.items():
                    say(name)
                    outcome = Outcome()
                    count = settings.kills if name == "policy_killed" else settings.repeats
                    for _ in range(count):
                        watch.move(int(rng.integers(20, 150)))
                        _repeat(fault, watch, outcome)
                    figures[name] = {"n": count, **outcome.figures(fault)}
    return {"cases": figures, "settings": asdict(settings)}


def _cases(nodes: NodeProcesses, graph: Graph, onlooker: Onlooker) -> dict[str, Fault]:
    def kill(name: str, number: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
        return lambda: nodes.end(name, number)

    def send(number: signal.Signals) -> Callable[[], None]:
        return lambda: nodes.send_signal("policy", number)

    def start(name: str) -> Callable[[], None]:
        return lambda: graph.start(name)

    def freeze(what: str) -> Callable[[], None]:
        request = SetParameters.Request(parameters=[Parameter("frozen", value=what).to_parameter_msg()])
        return lambda: onlooker.call(SetParameters, "/arm/set_parameters", request, STEP_S)

    policy_s, joints_s = min(CHUNK_SPAN_S, CHUNK_TIMEOUT_S), OBSERVATION_TIMEOUT_S
    rest, thaw = Expected.REST, freeze("nothing")
    return {
        "policy_killed": Fault(kill("policy"), start("policy"), rest, policy_s),
        "policy_frozen": Fault(send(signal.SIGSTOP), send(signal.SIGCONT), rest, policy_s),
        "cameras_frozen": Fault(freeze("cameras"), thaw, rest, policy_s),
        "joint_states_frozen": Fault(freeze("joints"), thaw, Expected.REST_UNMEASURED, joints_s),
        "controller_ended": Fault(kill("controller", signal.SIGINT), start("controller"), Expected.LAST_HOLD),
        "controller_killed": Fault(kill("controller"), start("controller"), Expected.NOTHING),
    }


def _clock_cases(onlooker: Onlooker) -> dict[str, Fault]:
    """Simulated time at the pace of the wall, set back in the midst of a motion."""
    publisher = onlooker.node.create_publisher(ClockMessage, "/clock", qos.LOCKSTEP_CLOCK)
    offset_ns = [0]

    def tick() -> None:
        publisher.publish(ClockMessage(clock=to_time(time.time_ns() + offset_ns[0])))

    def set_back() -> None:
        offset_ns[0] -= round(JUMP_S * 1e9)

    onlooker.node.create_timer(0.5 / COMMAND_HZ, tick, clock=Clock(clock_type=ClockType.STEADY_TIME))
    return {"clock_set_back": Fault(set_back, lambda: None, Expected.PAUSE)}


def _repeat(fault: Fault, watch: _Watch, outcome: Outcome) -> None:
    """One fault, from motion to motion."""
    fault_ns = time.time_ns()
    fault.cause()
    if fault.expected in (Expected.REST, Expected.REST_UNMEASURED, Expected.PAUSE):
        held_ns = watch.first(True, fault_ns, STEP_S)
        outcome.note("held", held_ns - fault_ns)
        if held_ns - fault_ns > fault.limit_s * 1e9 + GRACE_NS:
            outcome.failures.append(f"held after {(held_ns - fault_ns) / 1e6:.0f} ms")
        if fault.expected is not Expected.PAUSE:
            still_ns, place = watch.standstill(held_ns)
            outcome.note("still", still_ns - fault_ns)
            if fault.expected is Expected.REST and np.abs(place - watch.measured).max() > NEAR_RAD:
                outcome.failures.append("it rests elsewhere than where it is measured")
    elif fault.expected is Expected.LAST_HOLD and not watch.commands[-1].is_hold:
        outcome.failures.append("the last command is no hold")
    removed_ns = time.time_ns()
    if fault.expected is not Expected.PAUSE:
        watch.clear()
    fault.remove()
    outcome.note("recovered", watch.first(False, removed_ns, START_S) - removed_ns)
    if fault.expected in (Expected.LAST_HOLD, Expected.NOTHING):
        jump = np.abs(watch.commands[0].action - watch.resting).max()
        if jump > FIRST_RAD:
            outcome.failures.append(f"it began {jump:.3f} rad from where the arm was measured")
