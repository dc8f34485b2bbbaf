"""What the test plays towards the controller as an arm of two joints: its driver, and its contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import MessageInfo
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros.conversions import to_time
from support.contracts import MS
from support.fake_robot import SENSORS
from support.ros_client import Inbox, RosClient
from support.trajectory_controller import TrajectoryController

JOINTS = ("joint_1", "joint_2")
STATE_PERIOD_S = 0.01
# It misses nothing while the test is busy.
EVERY = QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE)
VELOCITY, ACCELERATION, JERK, STOP_ACCELERATION, STOP_JERK = 1.0, 2.0, 20.0, 4.0, 80.0
LIMITS = {
    "position": [-3.0, 3.0],
    "velocity": VELOCITY,
    "acceleration": ACCELERATION,
    "jerk": JERK,
}
STOP = {"stop": {"acceleration": STOP_ACCELERATION, "jerk": STOP_JERK}, "following_error": 0.1}
ARM_TOPIC, HAND_TOPIC, VELOCITY_TOPIC = "arm/joint_trajectory", "hand/commands", "arm/velocities"
OUTPUTS = [
    {"adapter": "action_command", "topic": "~/command"},
    {"adapter": "joint_trajectory", "topic": ARM_TOPIC, "dofs": list(JOINTS)},
]


def joint_dof(name: str, **limits: Any) -> dict[str, Any]:
    """Return a target of the contract."""
    return {"name": name, "unit": "rad", "scale": 1.0, "limits": {**LIMITS, **STOP, **limits}}


def write_contract(folder: Path, **changes: Any) -> Path:
    """Write the contract of an arm on a joint_trajectory_controller; ``changes`` replace its keys."""
    contract: dict[str, Any] = {
        "name": "two_joints",
        "action_hz": 20.0,
        "command_hz": 50.0,
        "base_frame": "base",
        "cameras": [{"key": "top", "topic": "top/image_raw", "transport": "raw"}],
        "state": [
            {"type": "JointState", "topic": "joint_states", "joints": list(JOINTS), "names": list(JOINTS)}
        ],
        "action": {"space": "joint_position", "dofs": [joint_dof(name) for name in JOINTS]},
        "outputs": OUTPUTS,
        "timeouts": {"chunk_s": 30.0, "observation_s": 2.0},
    }
    path = folder / "two_joints.yaml"
    path.write_text(yaml.safe_dump({**contract, **changes}))
    return path


def write_hand_contract(folder: Path) -> Path:
    """As ``write_contract``, with a gripper that nobody measures: 0.04 m wide at -1, closed at +1."""
    limits = {"position": [-1.0, 1.0]}
    hand = {"name": "hand", "unit": "normalized", "scale": 1.0, "limits": limits, "hold": "commanded"}
    output = {"adapter": "forward_position", "topic": HAND_TOPIC, "dofs": ["hand"], "travel": [0.04, 0.0]}
    dofs = [*(joint_dof(name) for name in JOINTS), hand]
    action = {"space": "joint_position", "dofs": dofs}
    return write_contract(folder, action=action, outputs=[*OUTPUTS, output])


def write_velocity_contract(folder: Path, **limits: Any) -> Path:
    """As ``write_contract``, for a forward velocity controller: changes of the joints, without a range."""
    rates = {"step": [-0.05, 0.05], "velocity": 0.6, "acceleration": ACCELERATION, "jerk": JERK, **limits}
    dofs = [{"name": name, "unit": "rad", "scale": 1.0, "limits": rates} for name in JOINTS]
    outputs = [OUTPUTS[0], {"adapter": "forward_velocity", "topic": VELOCITY_TOPIC}]
    action = {"space": "delta_joint_position", "dofs": dofs}
    return write_contract(folder, command_hz=20.0, action=action, outputs=outputs)


class FakeArm:
    """A joint_trajectory_controller and its arm, which obeys at once, as a node of their own.

    Args:
        position: (2,) where the arm stands [rad].
        now_ns: What it takes for the time [ns].
    """

    def __init__(self, position: Sequence[float] = (0.0, 0.0), now_ns: Callable[[], int] = time.time_ns):
        self.now_ns = now_ns
        self.client = RosClient("arm")
        for name, value in (
            ("joints", list(JOINTS)),
            ("command_interfaces", ["position"]),
            ("state_interfaces", ["position", "velocity"]),
        ):
            self.client.node.declare_parameter(name, value)
        self._lock = threading.Lock()
        self._controller = TrajectoryController(JOINTS, np.asarray(position), self.now_ns())
        #: (2,) where something holds the arm, whatever its driver demands; None: nothing does.
        self._held: np.ndarray | None = None
        self.refusals: list[str] = []
        #: Trajectories that were received.
        self.received = Inbox()
        self._subscription: Any = None
        self._states: Any = self.client.node.create_publisher(JointState, "joint_states", SENSORS)
        self.client.node.create_timer(STATE_PERIOD_S, self._publish)

    def __enter__(self) -> FakeArm:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.__exit__()

    def listen(self) -> None:
        """Start the driver, which holds the arm where it is."""
        with self._lock:
            self._controller.restart(self._measured(), self.now_ns())
        self._subscription = self.client.node.create_subscription(
            JointTrajectory, ARM_TOPIC, self._accept, EVERY
        )

    def leave(self) -> None:
        """Remove the driver; the arm stays where it is."""
        self.client.node.destroy_subscription(self._subscription)
        with self._lock:
            self._controller.restart(self._measured(), self.now_ns())

    def hold(self, position: Sequence[float] | None = None) -> None:
        """Something holds the arm at (2,) ``position`` [rad], or where it is, until ``release``."""
        with self._lock:
            self._held = self._measured() if position is None else np.asarray(position, float)

    def release(self) -> None:
        """Move the arm at once to where its driver demands."""
        with self._lock:
            self._held = None

    @property
    def measured(self) -> np.ndarray:
        """(2,) where the arm is [rad]."""
        with self._lock:
            return self._measured()

    @property
    def demand(self) -> np.ndarray:
        """(2,) where its driver wants it to be [rad]."""
        with self._lock:
            return self._controller.demand(self.now_ns())

    def _measured(self) -> np.ndarray:
        return self._controller.demand(self.now_ns()) if self._held is None else self._held

    def _accept(self, message: JointTrajectory, info: MessageInfo) -> None:
        # On real time: when the middleware received it, which a busy test may read much later.
        at_ns = info["received_timestamp"] if self.now_ns is time.time_ns else self.now_ns()
        with self._lock:
            refusal = self._controller.accept(message, at_ns)
        self.refusals += [refusal] * bool(refusal)
        self.received.put(message)

    def _publish(self) -> None:
        now_ns = self.now_ns()
        message = JointState(name=list(JOINTS), position=self.measured.tolist())
        message.header.stamp = to_time(now_ns)
        self._states.publish(message)


def demanded(messages: list[JointTrajectory]) -> tuple[np.ndarray, np.ndarray]:
    """(m,) times [ns], 1 ms apart, and (m, 2) positions demanded [rad], until long after the last message.

    Each trajectory arrives when it is sent.
    """
    sent_ns = [to_ns(message.header.stamp) for message in messages]
    controller = TrajectoryController(JOINTS, np.array(messages[0].points[0].positions), sent_ns[0])
    for message, now_ns in zip(messages, sent_ns, strict=True):
        assert controller.accept(message, now_ns) == ""
    times_ns = np.arange(sent_ns[0], sent_ns[-1] + 1_000 * MS, MS)
    return times_ns, controller.demand_many(times_ns)
