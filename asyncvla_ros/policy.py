"""The policy as its users see it: an observation in, a chunk of actions out.

observation -> prefix (once) -> draft (SFM) -> confidence (rater) -> doubted actions again (AFM) -> chunk
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint
from asyncvla_ros.model.images import resize_image
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.text import encode_words
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.types import (
    ActionChunk,
    AsyncVLAError,
    ContractError,
    FeatureContract,
    Observation,
    RunError,
    StageTimes,
)

MODES = ("afm", "sfm")


class Policy:
    """A loaded checkpoint that turns observations into action chunks.

    ``sfm`` generates a chunk synchronously; ``afm`` has the rater score it and generates the doubtful
    actions again. Not thread-safe: one inference at a time.
    """

    def __init__(self, checkpoint: Checkpoint, device: str = "cpu") -> None:
        self._checkpoint = checkpoint
        self._model = checkpoint.model
        self._config = checkpoint.model.config
        self._device = torch.device(device)
        if self._device.type == "cpu" and self._config.attention == "matmul":
            self._model.backbone.fuse()
        self._generator = torch.Generator()
        dims = torch.zeros(self._config.max_action_dim)
        dims[: len(checkpoint.features.action_names)] = 1
        self._dim_mask = dims.to(self._device)
        self.features: FeatureContract = checkpoint.features
        self.chunk_size: int = self._config.action_chunk_size
        self.execute_steps: int = self._config.execute_steps
        self.has_rater: bool = self._config.rater is not None
        self.threshold: float = self._config.rater.threshold if self._config.rater else 0.0

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
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise AsyncVLAError(f"device is {device!r}, but torch finds no CUDA GPU; choose 'cpu'")
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
        threshold, self.threshold = self.threshold, 1.0
        for _ in range(repetitions):
            self.infer(blank)
        self.threshold = threshold

    @torch.inference_mode()
    def infer(
        self,
        observation: Observation,
        mode: str = "afm",
        committed: np.ndarray | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        """One decision.

        Args:
            observation: Must offer every camera and state of ``features``.
            mode: ``afm`` or ``sfm``; without a rater ``afm`` is the same as ``sfm``.
            committed: (k, d) actions already sent to the robot, k < chunk size; they start the chunk.
            seed: Makes the drawn noise reproducible.

        Raises:
            ContractError: If the observation does not fit ``features``.
            RunError: If the network answers non-finite numbers.
        """
        if mode not in MODES:
            raise ContractError(f"mode is {mode!r}, choose one of {MODES}")
        if seed is not None:
            self._generator.manual_seed(seed)
        clock = [time.perf_counter()]
        prefix = self._encode(observation)
        self._tick(clock)
        kept, mask, count = self._committed(committed)
        draft = self._sample(prefix, kept, mask, self._config.num_denoise_steps)
        self._tick(clock)
        rated = self._model.rate(prefix, draft) if self.has_rater and mode == "afm" else None
        self._tick(clock)
        refine = torch.zeros_like(mask)
        if rated is not None:
            refine = mask * (rated < self.threshold)
            if refine.any():
                draft = self._sample(prefix, draft, refine, self._config.num_refine_steps)
        self._tick(clock)
        actions = self._checkpoint.action_stats.unnormalize(draft[0, :, : self._action_dim].cpu().numpy())
        if not np.isfinite(actions).all():
            raise RunError("the policy produced non-finite actions; check the observation and the checkpoint")
        if count:
            actions[:count] = np.asarray(committed, np.float32)
        return ActionChunk(
            actions=actions,
            confidence=None if rated is None else rated[0].float().cpu().numpy(),
            refined=refine[0].cpu().numpy() > 0,
            committed=count,
            times=_stage_times(clock),
        )

    @property
    def _action_dim(self) -> int:
        return len(self.features.action_names)

    def _tick(self, clock: list[float]) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        clock.append(time.perf_counter())

    def _sample(self, prefix: Prefix, kept: Tensor, mask: Tensor, steps: int) -> Tensor:
        noise = torch.randn(kept.shape, generator=self._generator).to(self._device)
        return self._model.sample(prefix, kept, mask, noise, self._dim_mask, steps)

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
        if state.shape != (len(names),) or not np.isfinite(state).all():
            raise ContractError(
                f"state has shape {state.shape}, expected {len(names)} finite numbers: {list(names)}"
            )
        padded = np.zeros(self._config.max_state_dim, np.float32)
        padded[: len(names)] = self._checkpoint.state_stats.normalize(state)
        words = encode_words(self._checkpoint.tokenizer, [observation.instruction], self._config.max_words)
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
        return resize_image(observation.images[key], self._config.image_size)


def _stage_times(clock: list[float]) -> StageTimes:
    """Durations [ms] between the ticks at the stages' borders [s]."""
    prefix, sfm, rater, afm = (1e3 * (end - begin) for begin, end in itertools.pairwise(clock))
    return StageTimes(prefix, sfm, rater, afm, total=1e3 * (clock[-1] - clock[0]))
