"""A draft of a robot contract, with comments, from what is known of a robot."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template

import yaml

from asyncvla_ros.robot.contract import CameraSource
from asyncvla_ros.robot.contract_file import FILL_IN
from asyncvla_ros.robot.urdf import Urdf, UrdfJoint

# Parts of a topic's name that say the kind of image rather than the camera.
GENERIC = re.compile(r"image\w*|colou?r|rgb|compressed|raw|rect|camera|cam")
# Images that a policy cannot read.
NO_COLOR = re.compile(r"depth|infra|disparity", re.IGNORECASE)

TEMPLATE = Template("""\
# A starting contract. Replace every $fill_in and read every line: the limits are what keeps the arm safe.
# Then: asyncvla check --robot THIS_FILE --checkpoint FOLDER
name: $name
# Actions per second [Hz], as in the checkpoint. Without one: the rate of the dataset to make, 10 to 30.
action_hz: $fill_in
# Commands per second, on the way from one action to the next [Hz].
command_hz: 50.0
# Actions are blended in over so many seconds after activation.
ramp_s: 1.0
base_frame: $base_frame

cameras:
  # key: as in the checkpoint; without one, a short name. topic: all of it, /compressed included.
  # transport: raw or compressed. Leave out what the policy does not see.
$cameras
$other_images
state:
  - type: JointState
    topic: $joint_topic
    joints: $joints
    # As in the checkpoint; without one, as they are. The messages may have another order, and more joints.
    names: $joints

action:
  # delta_ee_pose, ee_pose, joint_position or delta_joint_position, as the checkpoint.
  space: joint_position
  # position and velocity: of the URDF. A URDF has neither acceleration nor jerk: these reach full velocity
  # in 1 s and full acceleration in 0.1 s; the maker's data sheet has better ones.
  # Give a gripper "hold: commanded", after its limits: {name: .., limits: {..}, hold: commanded}.
  # Held where it is measured it would lose its grip.
  dofs:
$dofs

outputs:
  # Each command as this package makes it, for recordings. Real drivers do not obey it.
  - {adapter: action_command, topic: ~/command}
  # Of a joint_trajectory_controller: /NAME_OF_THE_CONTROLLER/joint_trajectory. A gripper usually has a
  # controller of its own. Move its dof to an output of its own then, such as
  # - {adapter: forward_position, topic: /NAME_OF_THE_CONTROLLER/commands, dofs: [NAME_OF_THE_DOF]}
  - adapter: joint_trajectory
    topic: $trajectory_topic
    dofs: $joints
$other_topics
# Hold when the newest chunk's observation, or the robot's state, is older [s].
timeouts: {chunk_s: 1.0, observation_s: 0.5}

# Optional, see docs/ros-interface.md and docs/safety.md:
# - in limits: stop: {acceleration: .., jerk: ..} of the emergency stop, following_error: .. [unit];
# - lag_s: 0.25, the time in which the arm is where it was commanded;
# - driver_state: topics on which the driver says whether the arm obeys;
# - enable: {topic: ~/enable, timeout_s: 0.5}, a switch that must be held;
# - guard: where links may be, and how fast the tool may move.
# asyncvla check says how far a stop goes.
""")


@dataclass(frozen=True)
class LiveTopics:
    """Topics of a running robot.

    Attributes:
        joint_topic: The sensor_msgs/JointState with the most joints; empty: none.
        joints: Their names.
        images: Topic to transport, ``raw`` or ``compressed``.
        trajectory_topics: trajectory_msgs/JointTrajectory topics with a subscriber.
        urdf: The published robot_description; None: nothing.
    """

    joint_topic: str
    joints: tuple[str, ...]
    images: dict[str, str]
    trajectory_topics: tuple[str, ...]
    urdf: str | None


def cameras_of(images: dict[str, str]) -> tuple[tuple[CameraSource, ...], tuple[str, ...]]:
    """Return the cameras among image topics, raw where there is a choice, and the other topics."""
    cameras: dict[str, CameraSource] = {}
    others = []
    for topic, transport in sorted(images.items()):
        if NO_COLOR.search(topic) or (transport == "compressed" and topic.rpartition("/")[0] in images):
            others.append(topic)
            continue
        parts = [part for part in topic.split("/") if part and not GENERIC.fullmatch(part)]
        name = re.sub(r"\W", "_", parts[-1]) if parts else "camera"
        key = next(key for key in (name, *(f"{name}_{n}" for n in range(2, 1000))) if key not in cameras)
        cameras[key] = CameraSource(key, topic, transport)
    return tuple(cameras.values()), tuple(others)


def draft(name: str, urdf: Urdf | None, live: LiveTopics | None) -> str:
    """Return the YAML text of a contract; FILL_IN marks what only a person or a checkpoint knows.

    Args:
        name: Name of the robot.
        urdf: Joints and limits; None: unknown.
        live: Topics; None: unknown.
    """
    joints = _joints(urdf, live)
    cameras, others = cameras_of(live.images) if live else ((), ())
    topics = live.trajectory_topics if live else ()
    return TEMPLATE.substitute(
        fill_in=FILL_IN,
        name=_text(name),
        base_frame=_text(urdf.root) if urdf else FILL_IN,
        cameras="\n".join(
            [
                f"  - {{key: {_text(c.key)}, topic: {_text(c.topic)}, transport: {c.transport}}}"
                for c in cameras
            ]
            or [f"  - {{key: {FILL_IN}, topic: {FILL_IN}, transport: raw}}"]
        ),
        other_images="".join(f"  # not taken: {other}\n" for other in others),
        joint_topic=_text(live.joint_topic) if live and live.joint_topic else "joint_states",
        joints=f"[{', '.join(_text(joint.name) for joint in joints)}]",
        dofs="\n".join(_dof(joint) for joint in joints),
        trajectory_topic=_text(topics[0]) if topics else FILL_IN,
        other_topics="".join(f"  # also obeyed: {other}\n" for other in topics[1:]),
    )


def _joints(urdf: Urdf | None, live: LiveTopics | None) -> Sequence[UrdfJoint]:
    """Return the joints to list: those of the URDF that are published, or all that are known."""
    published = live.joints if live else ()
    if urdf is None:
        return [UrdfJoint(name, FILL_IN, None, None) for name in published or (FILL_IN,)]
    return [joint for joint in urdf.joints if joint.name in published] or urdf.joints


def _camera(camera: CameraSource) -> str:
    key, topic = _text(camera.key), _text(camera.topic)
    return f"  - {{key: {key}, topic: {topic}, transport: {camera.transport}}}"


def _dof(joint: UrdfJoint) -> str:
    turns = "    # Turns without end. Give the range that it may use: positions are not wrapped.\n"
    low, high = (FILL_IN, FILL_IN) if joint.limits is None else _inwards(*joint.limits)
    if joint.velocity is None:
        velocity = acceleration = jerk = FILL_IN
    else:
        velocity = acceleration = f"{joint.velocity:g}"
        jerk = f"{10 * joint.velocity:g}"
    limits = f"position: [{low}, {high}], velocity: {velocity}, acceleration: {acceleration}, jerk: {jerk}"
    dof = f"    - {{name: {_text(joint.name)}, unit: {joint.unit}, scale: 1.0, limits: {{{limits}}}}}"
    return turns * joint.is_continuous + dof


def _inwards(low: float, high: float) -> tuple[str, str]:
    """Round limits to four decimals, inwards."""
    return f"{math.ceil(low * 1e4 - 1e-6) / 1e4:g}", f"{math.floor(high * 1e4 + 1e-6) / 1e4:g}"


def _text(value: str) -> str:
    """Return a YAML scalar that is read as this text."""
    plain = re.fullmatch(r"[~/]?[A-Za-z_][\w./-]*", value)
    return value if plain and isinstance(yaml.safe_load(value), str) else json.dumps(value)
