"""The policy as its users see it: an observation in, a chunk of actions out.

observation -> prefix (once) -> draft (SFM) -> confidence (rater) -> doubted actions again (AFM) -> chunk
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.decide import Decider
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.text import encode_words, unknown_words
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import (
    ActionChunk,
    AsyncVLAError,
    ContractError,
    FeatureContract,
    Observation,
    RunError,
    StageTimes,
)


class Policy:
    """A loaded checkpoint that turns observations into action chunks.

    Not thread-safe: one inference at a time.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        self._checkpoint = checkpoint
        self._model = checkpoint.model
        self._config = checkpoint.model.config
        self._device = torch.device(device)
        if self._device.type == "cpu" and self._config.attention == "matmul":
            self._model.fuse()
        self._generator = torch.Generator()
        # An instruction is followed for many decisions.
        tokenizer, limit = checkpoint.tokenizer, self._config.max_words
        self._words = lru_cache(lambda instruction: encode_words(tokenizer, [instruction], limit))
        self._unknown_words = lru_cache(lambda instruction: unknown_words(tokenizer, instruction, limit))
        dims = torch.zeros(self._config.max_action_dim)
        dims[: len(checkpoint.features.action_names)] = 1
        self._decider = Decider(self._model, dims.to(self._device), self._generator)
        self.features: FeatureContract = checkpoint.features
        self.chunk_size: int = self._config.action_chunk_size
        self.execute_steps: int = self._config.execute_steps
        self.has_rater: bool = self._config.rater is not None
        self.rater: RaterConfig | None = self._config.rater
        self.action_stats: NormStats = checkpoint.action_stats

    @staticmethod
    def from_checkpoint(path: Path | None = None, device: str = "cpu", threads: int | None = None) -> Policy:
        """Load a checkpoint folder; without a path, the one this package ships.

        Args:
            path: Checkpoint folder.
            device: torch device, such as ``cpu`` or ``cuda``.
            threads: CPU threads torch may use in this process; None leaves its choice.

        Raises:
            CheckpointError: If the folder is incomplete or corrupt.
            AsyncVLAError: If the device is not there.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:  # the latter from a torch built without CUDA
            reason = str(error).splitlines()[0].split(". ")[0]
            raise AsyncVLAError(
                f"device is {device!r}, which torch cannot use ({reason}); choose another, such as 'cpu'"
            ) from error
        return Policy(load_checkpoint(path or shipped_checkpoint(), device), device)

    @property
    def network(self) -> AsyncVLA:
        """The network itself, for measurements below the level of a decision."""
        return self._model

    def warmup(self, repetitions: int = 3) -> None:
        """Run every stage on a blank observation, so that the first real one is not slower."""
        blank = Observation(
            images={c.key: np.zeros((c.height, c.width, 3), np.uint8) for c in self.features.cameras},
            state=self._checkpoint.state_stats.mean,
            instruction="warm up",
        )
        for _ in range(repetitions):
            self.infer(blank, Strategy(threshold=1.0))

    def check(self, strategy: Strategy) -> None:
        """Find out before the first observation whether this policy can decide so.

        Raises:
            ContractError: If it cannot.
        """
        self._decider.check(strategy)

    def unknown_words(self, instruction: str) -> tuple[str, ...]:
        """Words of an instruction that the policy never saw, each once.

        Raises:
            ContractError: If the instruction is blank or too long, or the policy knows none of its words.
        """
        return self._unknown_words(instruction)

    @torch.inference_mode()
    def infer(
        self,
        observation: Observation,
        strategy: Strategy = Strategy(),
        committed: np.ndarray | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        """One decision.

        Args:
            observation: Must offer every camera and state of ``features``.
            strategy: How to decide.
            committed: (k, d) actions already sent to the robot, k < chunk size; they start the chunk.
            seed: Makes the decision reproducible; strategies share the noise of a seed.

        Raises:
            ContractError: If the observation does not fit ``features``, or the strategy the policy.
            RunError: If the network answers non-finite numbers.
        """
        if seed is not None:
            self._generator.manual_seed(seed)
        clock = _StageClock(self._device)
        prefix = self._encode(observation)
        clock.lap("prefix")
        kept, mask, count = self._committed(committed)
        decision = self._decider.decide(prefix, kept, mask, strategy, clock.lap)
        times = clock.times()
        normalized = decision.actions[0, :, : self._action_dim].cpu().numpy()
        actions = self._checkpoint.action_stats.unnormalize(normalized)
        if not np.isfinite(actions).all():
            raise RunError("the policy produced non-finite actions; check the observation and the checkpoint")
        if count:
            actions[:count] = np.asarray(committed, np.float32)
        confidence, variance = (
            None if judged is None else judged[0].float().cpu().numpy()
            for judged in (decision.confidence, decision.variance)
        )
        return ActionChunk(
            actions=actions,
            confidence=confidence,
            refined=decision.refined[0].cpu().numpy(),
            committed=count,
            times=times,
            variance=variance,
        )

    @property
    def _action_dim(self) -> int:
        return len(self.features.action_names)

    def _committed(self, committed: np.ndarray | None) -> tuple[Tensor, Tensor, int]:
        """Kept actions (1, l, d), mask (1, l), and how many are kept."""
        kept = torch.zeros(1, self.chunk_size, self._config.max_action_dim)
        mask = torch.ones(1, self.chunk_size)
        count = 0
        if committed is not None:
            given = np.asarray(committed, np.float32)
            count = len(given)
            if given.ndim != 2 or given.shape[1] != self._action_dim or count >= self.chunk_size:
                raise ContractError(
                    f"committed actions have shape {given.shape}, expected (k, {self._action_dim}) with k < "
                    f"{self.chunk_size}"
                )
            normalized = self._checkpoint.action_stats.normalize(given)
            kept[0, :count, : self._action_dim] = torch.from_numpy(normalized)
            mask[0, :count] = 0
        return kept.to(self._device), mask.to(self._device), count

    def _encode(self, observation: Observation) -> Prefix:
        state = np.asarray(observation.state, np.float32)
        names = self.features.state_names
        if state.shape != (len(names),):
            raise ContractError(
                f"state has shape {state.shape}, expected {len(names)} numbers: {list(names)}"
            )
        broken = [
            f"{name} = {value}" for name, value in zip(names, state, strict=True) if not np.isfinite(value)
        ]
        if broken:
            raise ContractError(f"state is not finite: {', '.join(broken)}")
        padded = np.zeros(self._config.max_state_dim, np.float32)
        padded[: len(names)] = self._checkpoint.state_stats.normalize(state)
        words = self._words(observation.instruction)
        images = [self._image(observation, camera.key) for camera in self.features.cameras]
        inputs = Inputs(
            images=torch.from_numpy(np.stack(images))[None].to(self._device),
            words=words.ids.to(self._device),
            word_valid=words.valid.to(self._device),
            state=torch.from_numpy(padded)[None].to(self._device),
        )
        return self._model.encode(inputs)

    def _image(self, observation: Observation, key: str) -> np.ndarray:
        if key not in observation.images:
            raise ContractError(
                f"camera {key!r} is missing; the observation has {sorted(observation.images)}"
            )
        image = resize_image(observation.images[key], self._config.image_size)
        return np.zeros_like(image) if self._config.blank_images else image


class _StageClock:
    """Sums up how long each stage took, over all its laps."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ms = {"prefix": 0.0, "sfm": 0.0, "rater": 0.0, "afm": 0.0}
        self._began = self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What happened since the last lap belongs to ``stage``."""
        now = self._now()
        self._ms[stage] += 1e3 * (now - self._last)
        self._last = now

    def times(self) -> StageTimes:
        return StageTimes(**self._ms, total=1e3 * (self._now() - self._began))

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()
