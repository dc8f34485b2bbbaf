"""Train the confidence rater: the policy is frozen, its drafts are compared with demonstrations.

The rater learns from the episodes that were held out from the policy, whose drafts err there as they
will err on the robot; on episodes it was fitted on, a policy looks better than it is.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.same_settings import fixed_settings
from asyncvla_ros.data.contracts import require_contract
from asyncvla_ros.data.episodes import Episodes, load_episodes
from asyncvla_ros.data.mixture import Mixture, Robot
from asyncvla_ros.model.checkpoint import Checkpoint, fingerprint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.rater_config import RaterConfig
from asyncvla_ros.model.strategy_check import require_several
from asyncvla_ros.training.batches import Batches, step_generator
from asyncvla_ros.training.drafts import Drafter
from asyncvla_ros.training.fit_monitor import monitor_of
from asyncvla_ros.training.rated_drafts import OBSERVATIONS, rate_drafts
from asyncvla_ros.training.rater_figures import rater_figures
from asyncvla_ros.training.rater_loss import RaterLoss
from asyncvla_ros.training.rater_settings import COMPARED, FREE, RaterSettings
from asyncvla_ros.training.run import (
    Log,
    RunState,
    default_processes,
    launch,
    require_finite,
    share,
    sole_run,
)
from asyncvla_ros.training.state_files import read_tensors, write_tensors
from asyncvla_ros.training.within_observation import within_observation
from asyncvla_ros.types import AsyncVLAError


def train_rater(settings: RaterSettings) -> None:
    """Train, or continue an interrupted run; the policy with its rater is in ``settings.out``.

    Raises:
        AsyncVLAError: If the data or the checkpoint cannot be used.
    """
    processes = settings.processes or default_processes(settings.batch)
    share(settings.batch, processes)
    base = load_checkpoint(settings.checkpoint)
    _ = settings.drafts_of_each  # raises now rather than after the data are read
    if "variance" in settings.reads:
        require_several("draft_steps", settings.draft_steps or base.model.config.num_denoise_steps)
    require_contract(settings.data, base.features)
    # Before the processes start, to share its result.
    _load(settings, base)
    with sole_run(settings.out):
        launch(_train_rater, processes, settings)


def _train_rater(settings: RaterSettings) -> None:
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="bf16" if settings.bf16 else "no"
    )
    torch.manual_seed(settings.seed)
    base = load_checkpoint(settings.checkpoint, str(accelerator.device))
    base.model.configure(_decided(base.model.config, settings))
    episodes = _load(settings, base)
    train_frames, validation_frames = _split(episodes, base, settings)
    record = episodes.record(settings.data, 0) if settings.fresh else base.trained_on
    assert record is not None
    base = replace(base, rated_on=record)
    robot = Robot("policy", base.features, base.state_stats, base.action_stats)
    mixture = Mixture.of_one_robot(episodes, robot)
    plain = Batches(mixture, base.model.config, base.tokenizer)
    augmented = Batches(mixture, base.model.config, base.tokenizer, settings.shift, settings.brightness)
    drafter = Drafter(base, accelerator.autocast)
    scale = _error_scale(drafter, plain, train_frames, settings)
    rater_config = RaterConfig(settings.num_layers, settings.label, scale, settings.threshold, settings.reads)
    base.model.attach_rater(rater_config)
    assert base.model.rater is not None
    objective = RaterLoss(base.model.rater, rater_config, base.model.config.execute_steps)
    optimizer = torch.optim.AdamW(objective.parameters(), settings.lr, weight_decay=settings.weight_decay)
    inputs = {"data": record.to_dict(), "checkpoint": fingerprint(settings.checkpoint)}
    state = RunState(settings.out, asdict(settings) | inputs, FREE)
    parameters = dict(objective.named_parameters())

    def save(folder: Path) -> None:
        write_tensors(folder, parameters, {}, optimizer)

    start = state.resume(lambda folder: read_tensors(folder, parameters, {}, optimizer))
    parallel = accelerator.prepare(objective)
    settings.out.mkdir(parents=True, exist_ok=True)
    log = Log(settings.out, "train-rater", start, settings.steps, accelerator.is_main_process)
    total, done = 0.0, start
    for step in log.steps():
        generator = step_generator(settings.seed, step, accelerator.process_index)
        size = share(settings.batch, accelerator.num_processes)
        chosen = train_frames[torch.randint(len(train_frames), (size,), generator=generator).numpy()]
        drafts = drafter(augmented.at(chosen, generator), generator, settings.drafts_of_each)
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * min(1.0, (step + 1) / 20) * (1 - step / settings.steps)
        with accelerator.autocast():
            loss = parallel(drafts)
        require_finite(float(loss.detach()), step, episodes.episode[chosen].tolist(), settings.out)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        total += float(loss.detach())
        if (step + 1) % settings.log_every == 0:
            log.report(step + 1, loss=total / (step + 1 - done))
            total, done = 0.0, step + 1
        if (
            accelerator.is_main_process
            and (step + 1) % settings.save_every == 0
            and step + 1 < settings.steps
        ):
            state.save(step + 1, save)
            save_checkpoint(settings.out, base)
    if accelerator.is_main_process:
        state.save(settings.steps, save)
        monitor, limits = monitor_of(
            base, plain, train_frames, validation_frames, episodes.episode, settings.seed
        )
        base = replace(base, monitor=monitor, limits=limits)
        save_checkpoint(settings.out, base)
        figures = _figures(base, plain, validation_frames, episodes, settings.seed)
        given = fixed_settings(asdict(settings) | inputs, (*FREE, "data", "checkpoint"))
        given |= {"data": [folder.name for folder in settings.data], "checkpoint": inputs["checkpoint"]}
        card = {"label": settings.label, "error_scale": scale, **figures, **provenance(), "settings": given}
        (settings.out / "rater.json").write_text(json.dumps(card, indent=1) + "\n")
    accelerator.end_training()


def _decided(config: AsyncVLAConfig, settings: RaterSettings) -> AsyncVLAConfig:
    """How the policy with its rater decides: with the steps, and among as many drafts, as the rater knows."""
    steps = settings.draft_steps or config.num_denoise_steps
    compares = RaterConfig(reads=settings.reads).compares
    several = {"best_of": settings.drafts_of_each} if compares else {}
    return replace(config, num_denoise_steps=steps, strategy={**config.strategy, **several})


def _figures(
    base: Checkpoint, batches: Batches, frames: np.ndarray, episodes: Episodes, seed: int
) -> dict[str, Any]:
    """Of the rater, and of what costs nothing, on episodes that trained neither policy nor rater."""
    config = base.model.config
    assert config.rater is not None
    # In the precision in which it will run: rounding must not pass for the policy's own hesitation.
    rated = rate_drafts(
        Drafter(base, nullcontext), base.model, batches, frames, episodes.episode, seed, COMPARED
    )
    within = within_observation(rated, config.execute_steps)
    return {**rater_figures(rated, config.rater, seed), "within_observation": within}


def _load(settings: RaterSettings, base: Checkpoint) -> Episodes:
    size = base.model.config.image_size
    return load_episodes(
        settings.data, size, settings.cache, skip_broken=settings.skip_broken, decode=settings.decode
    )


def _error_scale(
    drafter: Drafter, batches: Batches, frames: np.ndarray, settings: RaterSettings
) -> float | tuple[float, ...]:
    """The error that a share ``doubtful`` of the policy's actions exceeds; ``position``: at each place."""
    pieces = drafter.some(batches, frames, OBSERVATIONS, step_generator(settings.seed, 2**31 - 1))
    errors = torch.cat([drafts.errors for _, drafts in pieces])
    if settings.label == "position":
        return tuple(errors.quantile(1 - settings.doubtful, dim=0).tolist())
    return float(errors.flatten().quantile(1 - settings.doubtful))


def _split(episodes: Episodes, base: Checkpoint, settings: RaterSettings) -> tuple[np.ndarray, np.ndarray]:
    """Frames to train on and frames that only measure, of the episodes that the policy has not seen.

    Raises:
        AsyncVLAError: If it is not known which these are, or there are too few for both.
    """
    frames = episodes.unseen(settings.data, base.trained_on, fresh=settings.fresh)
    measuring = episodes.measuring(frames, settings.validation)
    if measuring.all() or not measuring.any():
        count = len(np.unique(episodes.episode[frames]))
        raise AsyncVLAError(
            f"{count} episodes are there for the rater, expected at least "
            f"{max(2, round(1 / settings.validation))}; collect more"
        )
    return frames[~measuring], frames[measuring]
