"""Policies for tests, with the surface of ``asyncvla_ros.policy.Policy``."""

from __future__ import annotations

import numpy as np

from asyncvla_ros.observe.episode_monitor import EpisodeLimits
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, CameraFeature, FeatureContract, Observation, Previous, StageTimes

LIBERO_FEATURES = FeatureContract(
    cameras=(CameraFeature("agentview", 224, 224), CameraFeature("wrist", 224, 224)),
    state_names=(
        *("ee_x", "ee_y", "ee_z"),
        *("ee_r11", "ee_r21", "ee_r31", "ee_r12", "ee_r22", "ee_r32"),
        *("finger_left", "finger_right"),
    ),
    action_names=("dx", "dy", "dz", "drx", "dry", "drz", "gripper"),
    action_space="delta_ee_pose",
    action_hz=20.0,
)


class StillPolicy:
    """Holds still with open fingers; remembers seeds, instructions and the brightest pixel it was given."""

    features = LIBERO_FEATURES
    chunk_size = 8
    n_action_steps = 4
    has_rater = True
    engine_note = ""
    episode_limits: EpisodeLimits | None = None

    def __init__(self) -> None:
        self.seeds: list[int | None] = []
        self.instructions: list[str] = []
        self.brightest = 0

    def warmup(self, repetitions: int = 3, strategy: Strategy = Strategy()) -> None:
        pass

    def resolve(self, strategy: Strategy) -> Strategy:
        """As the paper decides, where nothing is said."""
        return strategy.complete({"denoise_steps": 1, "refine_steps": 1})

    def check(self, strategy: Strategy) -> None:
        pass

    def unknown_words(self, instruction: str) -> tuple[str, ...]:
        """Return no words: this policy knows all of them."""
        return ()

    def infer(
        self,
        observation: Observation,
        strategy: Strategy = Strategy(),
        previous: Previous | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        self.seeds.append(seed)
        self.instructions.append(observation.instruction)
        self.brightest = max(self.brightest, *(int(image.max()) for image in observation.images.values()))
        actions = np.zeros((self.chunk_size, 7), dtype=np.float32)
        actions[:, 6] = -1.0
        refined = np.arange(self.chunk_size) >= self.chunk_size // 2
        confidence = np.linspace(0.9, 0.1, self.chunk_size, dtype=np.float32)
        return ActionChunk(actions, confidence, refined, 0, StageTimes(1, 2, 3, 4, 10))
