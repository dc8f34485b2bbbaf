"""The robot contract: the one file that says how a robot maps to a policy (``config/robots/<name>.yaml``)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

ACTION_SPACES = ("delta_ee_pose", "ee_pose", "joint_position", "delta_joint_position")
TRANSPORTS = ("raw", "compressed")
HOLDS = ("measured", "commanded")
UNITS = ("m", "rad", "normalized")
ADAPTERS = (
    "action_command",
    "joint_trajectory",
    "forward_position",
    "forward_velocity",
    "twist",
    "pose",
    "gripper_command",
    "parallel_gripper_command",
)
# Default time in which an arm reaches a command [s].
LAG_S = 0.25


@dataclass(frozen=True)
class CameraSource:
    """A camera topic.

    Attributes:
        key: The camera's name in the checkpoint's feature contract.
        topic: Relative to the node's namespace unless it begins with a slash.
        transport: ``raw`` (sensor_msgs/Image) or ``compressed`` (sensor_msgs/CompressedImage).
    """

    key: str
    topic: str
    transport: str


@dataclass(frozen=True)
class JointStateSource:
    """Positions from a sensor_msgs/JointState: joint ``joints[i]`` becomes the state ``names[i]``."""

    topic: str
    joints: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class PoseSource:
    """A geometry_msgs/PoseStamped in the base frame; ``names`` are nine, see ``transforms.pose_to_state``."""

    topic: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class WorkspaceLimit:
    """The state that a delta dof moves, and the range in which it must stay [unit of the dof].

    An absolute dof needs none: its ``minimum`` and ``maximum`` are its workspace.
    """

    state: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class DriverState:
    """A topic that says whether the arm obeys: program running, safety mode or robot mode.

    Attributes:
        topic: Relative to the node's namespace unless it begins with a slash.
        message: Its type, such as ``std_msgs/msg/Bool``.
        field: The field to read, a bool or an integer.
        ready: Values with which the arm obeys; with any other value the controller must not move it.
    """

    topic: str
    message: str
    field: str
    ready: tuple[int, ...]


@dataclass(frozen=True)
class EnableSwitch:
    """A ``std_msgs/Bool`` heartbeat; the arm moves only while true comes every ``timeout_s`` [s]."""

    topic: str
    timeout_s: float


@dataclass(frozen=True)
class Plane:
    """The half space that is permitted: ``normal · p >= offset`` [m], (3,) unit normal in the base frame."""

    normal: tuple[float, float, float]
    offset: float


@dataclass(frozen=True)
class GuardedFrame:
    """A link that stays inside a box and above planes.

    Attributes:
        link: Name in the URDF.
        box: Minimum and maximum of x, y and z in the base frame [m]; None: no box.
        planes: The link must be on the permitted side of all of them.
    """

    link: str
    box: tuple[tuple[float, float], tuple[float, float], tuple[float, float]] | None
    planes: tuple[Plane, ...]


@dataclass(frozen=True)
class ToolLimits:
    """Permitted positions of links and speed of the tool, for joint positions.

    Attributes:
        tool: Link whose speed is limited.
        speed: Of its origin [m/s]; None: not limited.
        frames: Links whose positions are limited.
    """

    tool: str
    speed: float | None
    frames: tuple[GuardedFrame, ...]


@dataclass(frozen=True)
class Dof:
    """One action dim.

    Attributes:
        name: As in the checkpoint's feature contract.
        unit: Physical unit: ``m``, ``rad`` or ``normalized``; of the delta per control step if ``is_delta``.
        scale: Physical unit per unit of the checkpoint.
        is_delta: Whether commands are deltas per control step; else they are absolute.
        minimum: Smallest permitted command [unit].
        maximum: Largest permitted command [unit].
        velocity: Largest permitted velocity [unit/s]; None: not limited by the contract.
        acceleration: Largest permitted acceleration [unit/s²]; needs ``velocity``. None: not limited.
        jerk: Largest permitted jerk [unit/s³]; needs ``acceleration``. None: not limited.
        workspace: Range to which a delta may lead; None: not limited.
        holds_command: Whether a hold keeps the last command of an absolute dof, not its measured position. A
        gripper needs this to keep its grip. Without a state of its name it starts at its first command.
        stop_acceleration: Acceleration of an emergency stop [unit/s²]; None: ``acceleration``.
        stop_jerk: Jerk of an emergency stop [unit/s³]; None: ``jerk``.
        following_error: Greatest distance of a measured absolute dof from its commands of the last ``lag_s``
        [unit]; None: a tenth of a second at full velocity, 0.1 units without one.
    """

    name: str
    unit: str
    scale: float
    is_delta: bool
    minimum: float
    maximum: float
    velocity: float | None = None
    acceleration: float | None = None
    jerk: float | None = None
    workspace: WorkspaceLimit | None = None
    holds_command: bool = False
    stop_acceleration: float | None = None
    stop_jerk: float | None = None
    following_error: float | None = None


@dataclass(frozen=True)
class Output:
    """One output of the controller: a message to a driver.

    Attributes:
        adapter: One of ``ADAPTERS``: the message and its meaning.
        topic: Topic to publish; for gripper commands the name of the action.
        dofs: Names of the action dims it carries, in the order of its values; a dim that drives several
        joints is listed once per joint.
        joints: Names of the robot's joints, one per dof; as the dofs unless the message names joints.
        travel: Joint positions [m or rad] at the minimum and at the maximum of its only dof; None: the dof is
        the joint's position.
        max_effort: Greatest effort of a gripper [N or Nm]; 0: the driver decides.
    """

    adapter: str
    topic: str
    dofs: tuple[str, ...]
    joints: tuple[str, ...]
    travel: tuple[float, float] | None = None
    max_effort: float = 0.0


@dataclass(frozen=True)
class RobotContract:
    """Everything that policy_node and controller_node must agree on about one robot.

    Attributes:
        name: Name of the robot.
        action_hz: Rate at which actions are executed [Hz].
        base_frame: Frame of Cartesian states and actions.
        cameras: Camera topics.
        state: State topics; their names, in order, are the policy's state.
        action_space: One of ``ACTION_SPACES``.
        dofs: Action dims in order.
        outputs: Outputs of the controller; arm and gripper may have different ones.
        chunk_timeout_s: Age of the newest chunk's observation above which the controller holds [s].
        observation_timeout_s: Age of the robot's state above which the controller holds [s].
        command_hz: Rate at which tracked commands are sent [Hz]; None: ``action_hz``.
        ramp_s: Time in which the blend factor of actions grows from 0 to 1 after activation [s].
        lag_s: Longest time from a command until the arm is where it was commanded [s].
        driver_states: States of the driver; the controller moves the arm only while all are ready.
        enable: Switch that must be held; None: no switch.
        guard: Limits of links and tool, which need a URDF; None: no limits.
    """

    name: str
    action_hz: float
    base_frame: str
    cameras: tuple[CameraSource, ...]
    state: tuple[JointStateSource | PoseSource, ...]
    action_space: str
    dofs: tuple[Dof, ...]
    outputs: tuple[Output, ...]
    chunk_timeout_s: float
    observation_timeout_s: float
    command_hz: float | None = None
    ramp_s: float = 0.0
    lag_s: float = LAG_S
    driver_states: tuple[DriverState, ...] = ()
    enable: EnableSwitch | None = None
    guard: ToolLimits | None = None

    @property
    def command_period_ns(self) -> int:
        """Time between two commands [ns]."""
        return round(1e9 / (self.command_hz or self.action_hz))

    @property
    def action_period_ns(self) -> int:
        """Duration of a control step [ns]."""
        return round(1e9 / self.action_hz)

    @property
    def state_names(self) -> tuple[str, ...]:
        """One name per state dim, in order."""
        return tuple(name for source in self.state for name in source.names)

    @property
    def dof_names(self) -> tuple[str, ...]:
        """One name per action dim, in order."""
        return tuple(dof.name for dof in self.dofs)

    @property
    def scale(self) -> np.ndarray:
        """(d,) float32, physical units per unit of the checkpoint."""
        return np.array([dof.scale for dof in self.dofs], np.float32)

    @property
    def topics(self) -> dict[str, str]:
        """Stream name (camera key or state topic) to topic."""
        return {**{c.key: c.topic for c in self.cameras}, **{s.topic: s.topic for s in self.state}}
