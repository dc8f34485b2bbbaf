"""Publishes the streams of the simulated robot: cameras, robot state, clock and the state of the episode."""

from __future__ import annotations

import array

from geometry_msgs.msg import PoseStamped
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState

from asyncvla_msgs.msg import EpisodeStatus
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.conversions import to_time
from asyncvla_ros.ros.lifecycle import ManagedNode
from asyncvla_ros.sim.libero.env import JOINT_NAMES, LiberoEnv
from asyncvla_ros.sim.libero.world import World


class SimStreams:
    """Publishers of the simulator, until the node's teardown; stamps are the world's time.

    Args:
        node: Owner of the publishers.
        robot: Names the camera topics and the frame of the end effector's pose.
        reliability: QoS of cameras and robot state.
        lockstep: Whether the world waits for commands; a field of the episode's status.
    """

    def __init__(self, node: ManagedNode, robot: RobotContract, reliability: str, *, lockstep: bool) -> None:
        sensor = qos.sensor(reliability)
        self._base_frame = robot.base_frame
        self._lockstep = lockstep
        self._cameras = {c.key: node.advertise(Image, c.topic, sensor) for c in robot.cameras}
        self._joints = node.advertise(JointState, "joint_states", sensor)
        self._pose = node.advertise(PoseStamped, "ee_pose", sensor)
        self._clock = node.advertise(Clock, "/clock", qos.LOCKSTEP_CLOCK)
        self._status = node.advertise(EpisodeStatus, "~/episode_status", qos.STATUS)

    def publish_clock(self, world: World) -> None:
        """Publish the tick that lets others act."""
        self._clock.publish(Clock(clock=to_time(world.now_ns)))

    def publish_images(self, world: World) -> None:
        """Render and publish all cameras."""
        for key, pixels in world.observe().images.items():
            height, width, channels = pixels.shape
            image = Image(height=height, width=width, encoding="rgb8", step=width * channels)
            image.header.stamp, image.header.frame_id = to_time(world.now_ns), key
            image.data = array.array("B", pixels.tobytes())
            self._cameras[key].publish(image)

    def publish_state(self, world: World) -> None:
        """Publish joints and the end effector's pose."""
        env = world.env
        assert isinstance(env, LiberoEnv)
        joints = JointState(
            name=list(JOINT_NAMES),
            position=env.joint_positions.tolist(),
            velocity=env.joint_velocities.tolist(),
        )
        joints.header.stamp = to_time(world.now_ns)
        self._joints.publish(joints)
        pose = PoseStamped()
        pose.header.stamp, pose.header.frame_id = to_time(world.now_ns), self._base_frame
        position, orientation = env.ee_pose_in_base
        point, turn = pose.pose.position, pose.pose.orientation
        point.x, point.y, point.z = position.tolist()
        turn.x, turn.y, turn.z, turn.w = orientation.tolist()
        self._pose.publish(pose)

    def publish_status(self, world: World, state: int | None = None, fault: str = "") -> None:
        """Publish the state of the episode.

        Args:
            world: Where it runs.
            state: ``STATE_*`` of EpisodeStatus; None: that of the world.
            fault: Why the simulator failed; empty: it works.
        """
        scenario = world.scenario
        status = EpisodeStatus(
            episode_id=world.episode_id,
            state=EpisodeStatus.STATE_FAULT if fault else int(world.state) if state is None else state,
            message=fault,
            step=world.steps,
            max_steps=world.max_steps,
            held_steps=world.held_steps,
            lockstep=self._lockstep,
            decision_stamp=to_time(world.decision_ns),
            instruction=world.env.instruction if world.env else "",
        )
        status.header.stamp = to_time(world.now_ns)
        if scenario is not None:
            status.suite, status.task, status.seed = scenario.suite, scenario.task, scenario.seed
            status.init = EpisodeStatus.INIT_RANDOM if scenario.init is None else scenario.init
        self._status.publish(status)
