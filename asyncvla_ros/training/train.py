"""Train the policy: unified synchronous and asynchronous flow matching from demonstrations."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from asyncvla_ros.data.mixture import Mixture, load_mixture, robot_contracts, write_statistics
from asyncvla_ros.data.spec import dataset_specs
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint, fingerprint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer
from asyncvla_ros.training.batches import Batch, Batches
from asyncvla_ros.training.loader import Drawing, load_batches
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.training.run import Log, RunState, launch, require_finite, share, sole_run
from asyncvla_ros.training.warm_start import require_same_holdout, warm_start


@dataclass(frozen=True)
class TrainSettings:
    """One training run.

    Attributes:
        data: LeRobot v3 datasets, folders of them, or data.yaml files.
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
        cache: Folder of what is derived from datasets, such as decoded images.
        skip_broken: Leave out episodes with states or actions that are no numbers.
        decode: ``ahead`` (all images once, into the cache) or ``stream`` (when they are needed).
        workers: Processes that make batches, for each process that trains.
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
    decode: str = "ahead"
    workers: int = 0


# May change between a run and its continuation: none of them alters what is learned.
_FREE = ("out", "save_every", "log_every", "cache", "decode", "workers")


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

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Total loss, and the flow-matching part of it."""
        assert batch.draws is not None
        draws, dim_mask = batch.draws, batch.dim_mask[:, None, None]
        flow_loss, state_token = self.model.loss(
            batch.inputs, batch.actions, draws.noise, draws.tau, draws.mask, dim_mask
        )
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
    robot_contracts(settings.data, settings.action_space)
    # Before the processes start, to share its result.
    _load(settings)
    with sole_run(settings.out):
        launch(_train, settings.processes, settings)


def _train(settings: TrainSettings) -> None:
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="bf16" if settings.bf16 else "no"
    )
    torch.manual_seed(settings.seed)
    mixture = _load(settings)
    episodes, robot = mixture.episodes, mixture.robots[0]
    tokenizer = build_tokenizer(episodes.instructions)
    contracts = [one.features for one in mixture.robots]
    config = nano_config(
        tokenizer.get_vocab_size(),
        num_cameras=len(robot.features.cameras),
        action_chunk_size=settings.chunk_size,
        execute_steps=min(AsyncVLAConfig.execute_steps, settings.chunk_size),
        max_state_dim=max(AsyncVLAConfig.max_state_dim, *(len(c.state_names) for c in contracts)),
        max_action_dim=max(AsyncVLAConfig.max_action_dim, *(len(c.action_names) for c in contracts)),
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
    stats = robot.state_stats, robot.action_stats
    checkpoint = Checkpoint(model, tokenizer, robot.features, *stats, trained_on=record)
    targets = 0 if episodes.privileged is None else episodes.privileged.shape[1]
    objective = PolicyLoss(checkpoint.model, targets, settings.aux_weight).to(accelerator.device)
    optimizer = torch.optim.AdamW(objective.parameters(), settings.lr, weight_decay=settings.weight_decay)
    average = AveragedModel(checkpoint.model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
    modules = {"objective": objective, "average": average}
    specs = [asdict(spec) | {"root": spec.name} for spec in dataset_specs(settings.data)]
    init = settings.init and fingerprint(settings.init)
    inputs = {"data": record.to_dict(), "datasets": specs, "init": init}
    state = RunState(settings.out, asdict(settings) | inputs, _FREE)
    start = state.load(modules, optimizer)
    parallel, optimizer = accelerator.prepare(objective, optimizer)
    batches = _batches(mixture, checkpoint, settings, start, accelerator)
    settings.out.mkdir(parents=True, exist_ok=True)
    if accelerator.is_main_process:
        write_statistics(mixture, settings.out)
    log = Log(settings.out, "train", start, settings.steps, accelerator.is_main_process)
    began, waited, total, done = time.perf_counter(), 0.0, 0.0, start
    for step in log.steps():
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings)
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        with accelerator.autocast():
            loss, flow_loss = parallel(batch.to(accelerator.device))
        require_finite(float(loss.detach()), step, batch.episodes.tolist(), settings.out)
        optimizer.zero_grad()
        accelerator.backward(loss)
        accelerator.clip_grad_norm_(parallel.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(checkpoint.model)
        total += float(flow_loss)
        if (step + 1) % settings.log_every == 0:
            steps, seconds = step + 1 - done, time.perf_counter() - began
            log.report(
                step + 1,
                loss=total / steps,
                lr=learning_rate(step, settings),
                obs_per_s=settings.batch * steps / seconds,
                data_wait=waited / seconds,
            )
            began, waited, total, done = time.perf_counter(), 0.0, 0.0, step + 1
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


def _load(settings: TrainSettings) -> Mixture:
    return load_mixture(
        settings.data,
        nano_config(1).image_size,
        settings.cache,
        settings.action_space,
        settings.skip_broken,
        settings.decode,
    )


def _batches(
    mixture: Mixture, checkpoint: Checkpoint, settings: TrainSettings, start: int, accelerator: Accelerator
) -> Iterator[Batch]:
    """This process's share of every step from ``start`` on."""
    frames, _ = mixture.episodes.split(settings.holdout)
    share(settings.batch, accelerator.num_processes)
    return load_batches(
        Batches(mixture, checkpoint.model.config, checkpoint.tokenizer, settings.shift, settings.brightness),
        Drawing(settings.seed, settings.draws, settings.p_sync, settings.p_prefix),
        Order(frames, mixture.episodes.images.lengths, mixture.weights, settings.seed),
        Share(settings.batch, accelerator.process_index, accelerator.num_processes),
        start,
        settings.steps,
        settings.workers,
    )


def _averaged(checkpoint: Checkpoint, average: AveragedModel) -> Checkpoint:
    assert isinstance(average.module, AsyncVLA)
    return replace(checkpoint, model=average.module)
