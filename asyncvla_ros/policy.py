"""The policy, which turns an observation into a chunk of actions.

observation -> prefix (once) -> draft (SFM) -> confidence (rater) -> refined actions (AFM) -> chunk
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.model.asyncvla import AsyncVLA, Inputs
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint
from asyncvla_ros.model.chunk_sampler import ChunkSampler
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.model.drafts import GRIPPER, Gripper
from asyncvla_ros.model.engine import buckets
from asyncvla_ros.model.handover import KEEPING, normalized_plan
from asyncvla_ros.model.monitor import observation_features
from asyncvla_ros.model.observations import ObservationReader
from asyncvla_ros.model.prefix import Prefix
from asyncvla_ros.model.quantize import quantize
from asyncvla_ros.model.runner import Runner, make_runner, require_device, resolve_engine
from asyncvla_ros.model.stage_clock import StageClock
from asyncvla_ros.observe.episode_monitor import EpisodeLimits, disagreement
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import (
    ActionChunk,
    AsyncVLAError,
    FeatureContract,
    Observation,
    Previous,
    RunError,
)


class Policy:
    """A loaded checkpoint that turns observations into action chunks.

    Not thread-safe: one inference at a time.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str = "cpu",
        engine: str = "auto",
        weights: str = "checkpoint",
        folder: Path | None = None,
    ) -> None:
        self._checkpoint = checkpoint
        self._model = checkpoint.model
        self._config = checkpoint.model.config
        self._device = torch.device(device)
        self.engine: str = resolve_engine(engine, self._device, weights, folder)
        self.engine_note: str = ""
        self._network: Runner = self._model
        self._generator = torch.Generator()
        self._reader = ObservationReader(checkpoint, self._device)
        dims = torch.zeros(self._config.max_action_dim)
        dims[: len(checkpoint.features.action_names)] = 1
        self._dims = dims.to(self._device)
        self.features: FeatureContract = checkpoint.features
        self.chunk_size: int = self._config.chunk_size
        self.n_action_steps: int = self._config.n_action_steps
        self.has_rater: bool = self._config.rater is not None
        self.rater: RaterConfig | None = self._config.rater
        self._monitor = checkpoint.monitor and checkpoint.monitor.to(self._device)
        self.episode_limits: EpisodeLimits | None = checkpoint.limits
        self.action_stats: NormStats = checkpoint.action_stats
        if weights != "checkpoint":
            quantize(self._model, weights, self.probe)
        try:
            self._network = make_runner(self._model, self.engine, folder)
        except ImportError as error:
            problem = "engine 'onnx' needs onnxruntime: pip install onnxruntime"
            if engine != "auto":
                raise AsyncVLAError(problem) from error
            self.engine, self.engine_note = "plain", f"{problem}; using 'plain', which is slower"
        self._sampler = self._make_sampler()

    @staticmethod
    def from_checkpoint(
        path: Path | None = None,
        device: str = "cpu",
        threads: int | None = None,
        engine: str = "auto",
        weights: str = "checkpoint",
    ) -> Policy:
        """Load a checkpoint folder; without a path, the shipped one.

        Args:
            path: Checkpoint folder.
            device: torch device, such as ``cpu`` or ``cuda``.
            threads: CPU threads of torch in this process; None: torch's choice.
            engine: ``plain``, ``onnx``, ``compiled``, ``graph``, or ``auto``: graph on CUDA; elsewhere onnx
            if the checkpoint has graphs, which `asyncvla export` writes, else plain.
            weights: Type of the backbone's weights: ``checkpoint``, ``int8`` or ``fp8``.

        Raises:
            CheckpointError: If the folder is incomplete or corrupt, or eight bits change actions too much.
            AsyncVLAError: If the device or the engine is not available.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        require_device(device)
        folder = path or shipped_checkpoint()
        resolve_engine(engine, torch.device(device), weights, folder)
        return Policy(load_checkpoint(folder, device), device, engine, weights, folder=folder)

    @property
    def network(self) -> AsyncVLA:
        """The network, for measurements of its parts."""
        return self._model

    def warmup(self, repetitions: int = 3, strategy: Strategy = Strategy()) -> None:
        """Run every stage on a blank observation, so that the first inference is not slower.

        An engine compiles and records here, for instructions of every length. If it fails, the network runs
        plain, and ``engine_note`` says why.

        Args:
            repetitions: Number of inferences.
            strategy: Strategy of later inferences.

        Raises:
            ContractError: If the policy cannot run the strategy.
        """
        strategy = self.resolve(strategy)
        # A strategy that the policy cannot run is no fault of the engine.
        self._sampler.check(strategy)
        # A threshold that always leaves actions to refine.
        sure = 1e-9 if strategy.select == "variance" else 1.0
        strategy = replace(strategy, threshold=sure)
        still = self.action_stats.unnormalize(np.zeros((self.chunk_size, self._action_dim)))
        previous = Previous(still, delay=1, drafts=(still,))
        try:
            for words in self._warm_words():
                for _ in range(repetitions):
                    self._answer(self._reader.blank(words), strategy, previous)
        except Exception as error:  # Compilers and drivers raise many types.
            if self.engine in ("plain", "onnx"):
                raise
            self.engine_note = (
                f"engine {self.engine!r} does not run here ({_first_line(error)}); using 'plain'"
            )
            self.engine, self._network = "plain", self._model
            self._sampler = self._make_sampler()
            self.warmup(repetitions, strategy)

    def _warm_words(self) -> list[int]:
        """Return the lengths of instructions, prompt included, for which an engine must be warmed up."""
        prompt = len(self._reader.words("a").ids[0]) - 1
        if self.engine in ("plain", "onnx"):
            return [prompt + min(12, self._config.max_words)]
        return buckets(self._config, prompt + 1, prompt + self._config.max_words)

    @torch.inference_mode()
    def probe(self, count: int = 4) -> Tensor:
        """Generate drafts (count, l, d) in normalized units on fixed random observations."""
        generator, drafts = torch.Generator().manual_seed(0), []
        for _ in range(count):
            blank = self._reader.blank(self._warm_words()[0])
            images = torch.randint(0, 256, blank.images.shape, dtype=torch.uint8, generator=generator)
            state = torch.randn(blank.state.shape, generator=generator)
            noise = torch.randn(1, self.chunk_size, len(self._dims), generator=generator).to(self._device)
            seen = replace(blank, images=images.to(self._device), state=state.to(self._device))
            mask = torch.ones(1, self.chunk_size, device=self._device)
            steps = self._config.num_denoise_steps
            prefix = self._network.encode(seen)
            drafts.append(self._network.sample(prefix, noise, mask, noise, dim_mask=self._dims, steps=steps))
        return torch.cat(drafts)[..., : self._action_dim]

    def check(self, strategy: Strategy) -> None:
        """Check before the first observation that this policy can run a strategy.

        Raises:
            ContractError: If it cannot.
        """
        self._sampler.check(self.resolve(strategy))

    def resolve(self, strategy: Strategy) -> Strategy:
        """Fill the open fields of a strategy with the checkpoint's defaults.

        Raises:
            AsyncVLAError: If the two do not fit together.
        """
        return self._config.resolve(strategy)

    def unknown_words(self, instruction: str) -> tuple[str, ...]:
        """Return the words of an instruction that the policy has not seen, each once.

        Raises:
            ContractError: If the instruction is blank or too long, or all its words are unknown.
        """
        return self._reader.unknown_words(instruction)

    @torch.inference_mode()
    def infer(
        self,
        observation: Observation,
        strategy: Strategy = Strategy(),
        previous: Previous | None = None,
        seed: int | None = None,
    ) -> ActionChunk:
        """Run inference on one observation.

        Args:
            observation: Observation with every camera and state of ``features``.
            strategy: Strategy; open fields have the checkpoint's defaults.
            previous: Plan of older chunks from the observation on; None if they have ended.
            seed: Seed that makes the chunk reproducible; strategies share the noise of a seed.

        Raises:
            ContractError: If the observation does not fit ``features``, or the strategy the policy.
            RunError: If the network's output is not finite.
        """
        if seed is not None:
            self._generator.manual_seed(seed)
        clock = StageClock(self._device)
        return self._answer(self._reader.inputs(observation), self.resolve(strategy), previous, clock)

    @torch.inference_mode()
    def _answer(
        self,
        inputs: Inputs,
        strategy: Strategy,
        previous: Previous | None,
        clock: StageClock | None = None,
    ) -> ActionChunk:
        clock = clock or StageClock(self._device)
        prefix = self._network.encode(inputs)
        clock.lap("prefix")
        plan = None
        if previous is not None:
            plan = normalized_plan(previous, self.action_stats, self.chunk_size, self._dims)
        sampled = self._sampler.sample(prefix, plan, strategy, clock.lap)
        times = clock.times()
        actions = self._physical(sampled.actions)
        if not np.isfinite(actions).all():
            raise RunError("the policy produced non-finite actions; check the observation and the checkpoint")
        kept = sampled.kept[0].cpu().numpy()
        if previous is not None and kept.any():
            places = np.flatnonzero(kept)
            actions[places] = np.asarray(previous.actions, np.float32)[places]
        confidence, variance = (
            None if rated is None else rated[0].float().cpu().numpy()
            for rated in (sampled.confidence, sampled.variance)
        )
        chunk = ActionChunk(
            actions=actions,
            confidence=confidence,
            refined=sampled.refined[0].cpu().numpy(),
            n_frozen=plan.n_frozen if plan is not None and strategy.handover in KEEPING else 0,
            times=times,
            variance=variance,
            kept=kept,
            draft=None if sampled.draft is None else self._physical(sampled.draft),
            surprise=self._surprise(prefix),
            continues=previous is not None and strategy.reads_previous,
        )
        return replace(chunk, disagreement=disagreement(previous, chunk, self.action_stats))

    def _surprise(self, prefix: Prefix) -> float | None:
        """Return the surprise of an observation; None without a monitor."""
        if self._monitor is None:
            return None
        return float(self._monitor.surprise(observation_features(prefix, self._config))[0])

    def _make_sampler(self) -> ChunkSampler:
        names, stats = self.features.action_names, self.action_stats
        gripper = None
        if GRIPPER in names:
            dim = names.index(GRIPPER)
            gripper = Gripper(dim, float(stats.normalize((stats.q01 + stats.q99) / 2)[dim]))
        return ChunkSampler(self._network, self._dims, self._generator, gripper)

    def _physical(self, actions: Tensor) -> np.ndarray:
        """Convert actions (1, l, d) of the network to (l, d) in the units of the checkpoint."""
        return self.action_stats.unnormalize(actions[0, :, : self._action_dim].cpu().numpy())

    @property
    def _action_dim(self) -> int:
        return len(self.features.action_names)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
