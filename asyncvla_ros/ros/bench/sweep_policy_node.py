"""policy_node with a policy that costs nothing and sweeps all joints to and fro."""

from __future__ import annotations

from typing import Any

import numpy as np

from asyncvla_ros.paths import robot_file
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.ros.bench.stepped_clock import SteppedClocks
from asyncvla_ros.ros.lifecycle import run_node
from asyncvla_ros.ros.policy.node import PolicyNode
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, CameraFeature, FeatureContract, Observation, Previous, StageTimes

SPEED, TURN = 0.5, 0.8  # [rad/s], [rad]
IMAGE = 224


class SweepPolicy:
    """Move all joints at one speed from where they are; turn round at ±``TURN``."""

    chunk_size = 8
    n_action_steps = 8
    has_rater = True
    engine_note = ""
    episode_limits = None

    def __init__(self, robot: RobotContract):
        self.features = FeatureContract(
            cameras=tuple(CameraFeature(camera.key, IMAGE, IMAGE) for camera in robot.cameras),
            state_names=robot.state_names,
            action_names=robot.dof_names,
            action_space=robot.action_space,
            action_hz=robot.action_hz,
        )
        self._direction = 1.0

    def warmup(self, repetitions: int = 3, strategy: Strategy = Strategy()) -> None:
        """Do nothing."""

    def resolve(self, strategy: Strategy) -> Strategy:
        """Complete a strategy by the paper's defaults."""
        return strategy.complete({"denoise_steps": 1, "refine_steps": 1})

    def check(self, strategy: Strategy) -> None:
        """Accept every strategy."""

    def unknown_words(self, instruction: str) -> tuple[str, ...]:
        """Return no words: all are known."""
        return ()

    def infer(
        self,
        observation: Observation,
        strategy: Strategy = Strategy(),
        previous: Previous | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        """Return a chunk of ``chunk_size`` joint positions."""
        if self._direction * observation.state.mean() > TURN:
            self._direction *= -1
        way = self._direction * SPEED / self.features.action_hz * np.arange(self.chunk_size)
        actions = (observation.state + way[:, None]).astype(np.float32)
        rest = np.zeros(self.chunk_size, bool)
        return ActionChunk(
            actions, 1 - rest.astype(np.float32), rest, 0, times=StageTimes(0, 0, 0, 0, total=0)
        )


class SweepPolicyNode(SteppedClocks, PolicyNode):
    """The real node around the sweeping policy."""

    def load_policy(self) -> Any:
        """Return the sweeping policy of the robot contract."""
        return SweepPolicy(load_robot(robot_file(self._params.values.robot)))


def main() -> None:
    """Run the node."""
    run_node(SweepPolicyNode)


if __name__ == "__main__":
    main()
