"""A policy that reads a robot's messages, live or from a bag."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from asyncvla_ros.common.noise_seed import noise_seed
from asyncvla_ros.data.deciding import Deciding
from asyncvla_ros.data.message_content import finite_state, to_ns, to_observation
from asyncvla_ros.observe.stream_sync import Snapshot
from asyncvla_ros.robot.contract import (
    CameraSource,
    JointStateSource,
    PoseSource,
    RobotContract,
)
from asyncvla_ros.robot.mismatches import mismatches
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, ContractError, Observation, Previous

if TYPE_CHECKING:
    from asyncvla_ros.policy import Policy

Source = CameraSource | JointStateSource | PoseSource


class Slots(Protocol):
    """Slots in which samples of streams wait for each other; see ``StreamSync``."""

    def put(self, stream: str, stamp_ns: int, sample: Any) -> None:
        """Take a sample of ``stamp_ns`` [ns]."""

    def reject(self, stream: str, reason: str) -> None:
        """Count a sample that cannot be used."""


def observed(robot: RobotContract, cameras: Collection[str]) -> dict[str, Source]:
    """Return the sources of an observation by stream.

    Args:
        robot: Robot with its sources.
        cameras: Keys of the used cameras.
    """
    looked_at = {camera.key: camera for camera in robot.cameras if camera.key in cameras}
    return {**looked_at, **{source.topic: source for source in robot.state}}


def store(message: Any, stream: str, source: Source, base_frame: str, slots: Slots) -> None:
    """Put a message into its slot.

    A message without all joints, such as a second publisher's, is rejected before it replaces a complete one.
    """
    if not isinstance(source, CameraSource):
        try:
            finite_state(message, source, base_frame)
        except ContractError as error:
            slots.reject(stream, str(error).removeprefix(f"{source.topic}: "))
            return
    slots.put(stream, to_ns(message.header.stamp), message)


@dataclass(frozen=True)
class Question:
    """Arguments of ``Policy.infer``."""

    observation: Observation
    strategy: Strategy
    previous: Previous | None
    seed: int | None

    def answer(self, policy: Policy) -> ActionChunk:
        """Run the policy on a question.

        Raises:
            ContractError: the observation does not fit the policy.
            RunError: the network's output is not finite.
        """
        return policy.infer(self.observation, self.strategy, self.previous, self.seed)


class RobotPolicy:
    """A policy on a robot.

    Args:
        policy: The policy.
        robot: Source of its observations.
        name: Name of the checkpoint for errors.

    Raises:
        ContractError: policy and robot do not fit together.
    """

    def __init__(self, policy: Policy, robot: RobotContract, name: str):
        problems = mismatches(robot, policy.features)
        if problems:
            lines = "\n  ".join(problems)
            raise ContractError(f"robot {robot.name} and checkpoint {name} do not fit:\n  {lines}")
        self.policy = policy
        self._robot = robot

    @property
    def cameras(self) -> list[str]:
        """Keys of the policy's cameras."""
        return [camera.key for camera in self.policy.features.cameras]

    def question(
        self, snapshot: Snapshot[Any], instruction: str, previous: Previous | None, deciding: Deciding
    ) -> Question:
        """Build the policy's question from one message per stream, see ``observed``.

        Args:
            snapshot: Received messages by stream.
            instruction: The task.
            previous: The plan in execution; None: nothing is executed, or it is unknown.
            deciding: Settings of inference.

        Raises:
            ContractError: a message does not have the content that the contract declares.
        """
        # Repeating an observation repeats its chunk.
        seed = None if deciding.seed is None else noise_seed(deciding.seed, snapshot.stamp_ns)
        observation = to_observation(snapshot, self._robot, self.policy.features, instruction)
        return Question(observation, deciding.strategy, previous, seed)
