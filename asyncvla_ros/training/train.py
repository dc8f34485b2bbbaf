"""Train the policy: unified synchronous and asynchronous flow matching from demonstrations."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from asyncvla_ros.common.normalization import MIN_DELTA_STD, MIN_STD, NormStats
from asyncvla_ros.data.dataset import feature_contract
from asyncvla_ros.data.episodes import Episodes, load_episodes
from asyncvla_ros.model import flow
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint, fingerprint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.training.batches import Batch, Batches, step_generator
from asyncvla_ros.training.run import Log, RunState, launch, require_finite, share, sole_run
from asyncvla_ros.training.warm_start import require_same_holdout, warm_start


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Attributes:
        data: LeRobot v3 datasets, or folders of them.
        init: Checkpoint of the same architecture to begin with; None: from scratch.
        out: Run folder; holds the checkpoint, the resumable state and ``log.jsonl``.
        steps: Optimizer steps.
        batch: Observations per step, over all processes.
        draws: Flow draws (time, noise, mask) per observation that share its prefix pass.
        lr: Peak learning rate; linear warm-up, then cosine to a hundredth.
        warmup: Steps of warm-up.
        weight_decay: Of AdamW.
        ema: Decay of the averaged weights, which are the ones saved.
        p_sync: Share of draws with an all-ones mask.
        p_prefix: Share of draws that keep a contiguous prefix.
        aux_weight: Weight of regressing the privileged quantities from the state token.
        chunk_size: Actions per chunk.
        shift: Image shift augmentation [px].
        brightness: Image gain augmentation, 1 +- this.
        blank_images: Control experiment: the policy never sees anything but its state and the instruction.
        holdout: Share of episodes kept for the rater and for validation.
        action_space: What the actions are, for the feature contract.
        seed: Of everything random.
        save_every: Steps between saved states.
        log_every: Steps between reports.
        bf16: Autocast to bfloat16.
        processes: Data-parallel processes.
        cache: Folder of decoded images.
        skip_broken: Leave out episodes with states or actions that are no numbers.
    """

    data: tuple[Path, ...]
    out: Path
    init: Path | None = None
    steps: int = 4500
    batch: int = 64
    draws: int = 4
    lr: float = 1e-3
    warmup: int = 200
    weight_decay: float = 1e-4
    ema: float = 0.999
    p_sync: float = 0.5
    p_prefix: float = 0.2
    aux_weight: float = 0.2
    chunk_size: int = 8
    shift: int = 4
    brightness: float = 0.1
    blank_images: bool = False
    holdout: float = 0.1
    action_space: str = "delta_ee_pose"
    seed: int = 0
    save_every: int = 250
    log_every: int = 25
    bf16: bool = True
    processes: int = 2
    cache: Path = Path(".cache/frames")
    skip_broken: bool = False


# May change between a run and its continuation: none of them alters what is learned.
_FREE = ("out", "save_every", "log_every", "cache")


class PolicyLoss(nn.Module):
    """Flow-matching loss plus the auxiliary one; a module, so that data parallelism can wrap it.

    Args:
        model: The policy.
        targets: How many privileged quantities the state token must tell; may be 0.
        aux_weight: Of their loss.
    """

    def __init__(self, model: AsyncVLA, targets: int, aux_weight: float) -> None:
        super().__init__()
        self.model = model
        self.aux = nn.Linear(model.config.hidden_size, targets) if targets else None
        self._aux_weight = aux_weight

    def forward(
        self, batch: Batch, noise: Tensor, tau: Tensor, mask: Tensor, dim_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Total loss, and the flow-matching part of it."""
        flow_loss, state_token = self.model.loss(batch.inputs, batch.actions, noise, tau, mask, dim_mask)
        if self.aux is None or batch.privileged is None:
            return flow_loss, flow_loss.detach()
        aux_loss = (self.aux(state_token.float()).float() - batch.privileged).square().mean()
        return flow_loss + self._aux_weight * aux_loss, flow_loss.detach()


def train(settings: TrainSettings) -> None:
    """Train, or continue a run that was interrupted; the checkpoint is in ``settings.out``.

    Raises:
        AsyncVLAError: If the data cannot be used, or ``out`` holds a run with other settings.
    """
    share(settings.batch, settings.processes)
    # Decoding takes long and supposes that the datasets agree.
    feature_contract(settings.data, settings.action_space)
    # Before the processes start, to share its result.
    load_episodes(settings.data, nano_config(1).image_size, settings.cache, settings.skip_broken)
    with sole_run(settings.out):
        launch(_train, settings.processes, settings)


def _train(settings: TrainSettings) -> None:
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="bf16" if settings.bf16 else "no"
    )
    torch.manual_seed(settings.seed)
    episodes = load_episodes(settings.data, nano_config(1).image_size, settings.cache, settings.skip_broken)
    tokenizer = build_tokenizer(episodes.instructions)
    features = feature_contract(settings.data, settings.action_space)
    config = nano_config(
        tokenizer.get_vocab_size(),
        num_cameras=len(features.cameras),
        action_chunk_size=settings.chunk_size,
        execute_steps=min(AsyncVLAConfig.execute_steps, settings.chunk_size),
        max_state_dim=max(AsyncVLAConfig.max_state_dim, len(features.state_names)),
        max_action_dim=max(AsyncVLAConfig.max_action_dim, len(features.action_names)),
        rater=None,
        blank_images=settings.blank_images,
    )
    model = AsyncVLA(config)
    record = episodes.record(settings.data, settings.holdout)
    if settings.init is not None:
        source = load_checkpoint(settings.init)
        require_same_holdout(source, record)
        record = replace(record, before=source.trained_on)
        warm_start(model, tokenizer, source)
    floor = MIN_DELTA_STD if settings.action_space.startswith("delta_") else MIN_STD
    stats = NormStats.of(episodes.state), NormStats.of(episodes.actions, floor=floor)
    checkpoint = Checkpoint(model, tokenizer, features, *stats, trained_on=record)
    targets = 0 if episodes.privileged is None else episodes.privileged.shape[1]
    objective = PolicyLoss(checkpoint.model, targets, settings.aux_weight).to(accelerator.device)
    optimizer = torch.optim.AdamW(objective.parameters(), settings.lr, weight_decay=settings.weight_decay)
    average = AveragedModel(checkpoint.model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
    modules = {"objective": objective, "average": average}
    inputs = {"data": record.to_dict(), "init": settings.init and fingerprint(settings.init)}
    state = RunState(settings.out, asdict(settings) | inputs, _FREE)
    start = state.load(modules, optimizer)
    parallel, optimizer = accelerator.prepare(objective, optimizer)
    frames, _ = episodes.split(settings.holdout)
    batches = _batches(episodes, checkpoint, settings)
    dim_mask = torch.zeros(config.max_action_dim, device=accelerator.device)
    dim_mask[: len(features.action_names)] = 1
    settings.out.mkdir(parents=True, exist_ok=True)
    log = Log(settings.out, "train", start, settings.steps, accelerator.is_main_process)
    began, total, done = time.perf_counter(), 0.0, start
    for step in log.steps():
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        chosen, batch, draws = _draw(batches, frames, config, settings, step, accelerator)
        with accelerator.autocast():
            loss, flow_loss = parallel(batch, *draws, dim_mask)
        require_finite(float(loss.detach()), step, episodes.episode[chosen].tolist(), settings.out)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parallel.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(checkpoint.model)
        total += float(flow_loss)
        if (step + 1) % settings.log_every == 0:
            rate = settings.batch * (step + 1 - done) / (time.perf_counter() - began)
            log.report(
                step + 1, loss=total / (step + 1 - done), lr=learning_rate(step, settings), obs_per_s=rate
            )
            began, total, done = time.perf_counter(), 0.0, step + 1
        if (
            accelerator.is_main_process
            and (step + 1) % settings.save_every == 0
            and step + 1 < settings.steps
        ):
            state.save(step + 1, modules, optimizer)
            save_checkpoint(settings.out, _averaged(checkpoint, average))
    if accelerator.is_main_process:
        state.save(settings.steps, modules, optimizer)
        save_checkpoint(settings.out, _averaged(checkpoint, average))
    accelerator.end_training()


def learning_rate(step: int, settings: TrainSettings) -> float:
    """Linear warm-up, then a cosine from ``lr`` to ``lr`` / 100."""
    if step < settings.warmup:
        return settings.lr * (step + 1) / settings.warmup
    done = (step - settings.warmup) / max(1, settings.steps - settings.warmup)
    return settings.lr * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def _batches(episodes: Episodes, checkpoint: Checkpoint, settings: TrainSettings) -> Batches:
    return Batches(
        episodes,
        checkpoint.model.config,
        checkpoint.tokenizer,
        checkpoint.state_stats,
        checkpoint.action_stats,
        settings.shift,
        settings.brightness,
    )


def _draw(
    batches: Batches,
    frames: np.ndarray,
    config: AsyncVLAConfig,
    settings: TrainSettings,
    step: int,
    accelerator: Accelerator,
) -> tuple[np.ndarray, Batch, tuple[Tensor, Tensor, Tensor]]:
    """This process's share of one step: frames, observations, and noise, time and mask of every draw."""
    b = share(settings.batch, accelerator.num_processes)
    generator = step_generator(settings.seed, step, accelerator.process_index)
    chosen = frames[torch.randint(len(frames), (b,), generator=generator).numpy()]
    batch = batches.at(chosen, generator)
    k, length = settings.draws, config.action_chunk_size
    noise = torch.randn(b, k, length, config.max_action_dim, generator=generator)
    tau = flow.sample_times((b, k), generator)
    mask = flow.sample_masks(b * k, length, settings.p_sync, settings.p_prefix, generator).view(b, k, length)
    device = accelerator.device
    return chosen, batch.to(device), (noise.to(device), tau.to(device), mask.to(device))


def _averaged(checkpoint: Checkpoint, average: AveragedModel) -> Checkpoint:
    assert isinstance(average.module, AsyncVLA)
    return replace(checkpoint, model=average.module)
