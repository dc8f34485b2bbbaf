"""Train the confidence rater: the policy is frozen, its drafts are compared with demonstrations.

The rater learns from the episodes that were held out from the policy, whose drafts err there as they
will err on the robot; on episodes it was fitted on, a policy looks better than it is.

build       frozen policy, data, scale of errors, rater, optimizer, and the state of a run that was killed
loop        frames -> drafts -> loss -> step, and now and then a report
checkpoint  the state to resume from, then the policy with its rater; in the end its monitor and metrics
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from asyncvla_ros.common.provenance import provenance
from asyncvla_ros.common.same_settings import fixed_settings
from asyncvla_ros.data.contracts import require_contract
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.model.rater_config import RaterConfig
from asyncvla_ros.model.strategy_check import require_several
from asyncvla_ros.training.batches import step_generator
from asyncvla_ros.training.drafts import Drafter
from asyncvla_ros.training.finite import require_finite
from asyncvla_ros.training.fit_monitor import monitor_of
from asyncvla_ros.training.processes import default_processes, per_process_batch, spawn_workers
from asyncvla_ros.training.progress import Log, StepMeans
from asyncvla_ros.training.rated_drafts import rate_drafts
from asyncvla_ros.training.rater_data import RaterData, error_scale, load_rater_episodes
from asyncvla_ros.training.rater_loss import RaterLoss
from asyncvla_ros.training.rater_metrics import rater_metrics
from asyncvla_ros.training.rater_settings import COMPARED, FREE, RaterSettings
from asyncvla_ros.training.run_state import RunState, lock_run
from asyncvla_ros.training.state_files import read_tensors, write_tensors
from asyncvla_ros.training.within_observation import within_observation

# Steps of linear warm-up.
_WARMUP = 20


def train_rater(settings: RaterSettings) -> None:
    """Train, or continue an interrupted run; the policy with its rater is in ``settings.out``.

    Raises:
        AsyncVLAError: If the data or the checkpoint cannot be used.
    """
    processes = settings.processes or default_processes(settings.batch)
    per_process_batch(settings.batch, processes)
    base = load_checkpoint(settings.checkpoint)
    _ = settings.drafts_of_each  # raises now rather than after the data are read
    if "variance" in settings.reads:
        require_several("draft_steps", settings.draft_steps or base.model.config.num_denoise_steps)
    require_contract(settings.data, base.features)
    # Before the processes start, to share its result.
    load_rater_episodes(settings, base)
    with lock_run(settings.out):
        spawn_workers(_train_rater, processes, settings)


def _train_rater(settings: RaterSettings) -> None:
    """Do the part of one process."""
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(), mixed_precision="bf16" if settings.bf16 else "no"
    )
    torch.manual_seed(settings.seed)
    run = _build(settings, accelerator)
    _loop(run)
    if accelerator.is_main_process:
        _finish(run)
    accelerator.end_training()


@dataclass(frozen=True)
class _RaterRun:
    """What the loop needs; ``inputs`` is what decides what is learned, beside the settings."""

    settings: RaterSettings
    accelerator: Accelerator
    policy: Checkpoint
    drafter: Drafter
    data: RaterData
    objective: RaterLoss
    optimizer: torch.optim.Optimizer
    state: RunState
    log: Log
    inputs: dict[str, Any]


def _build(settings: RaterSettings, accelerator: Accelerator) -> _RaterRun:
    policy = load_checkpoint(settings.checkpoint, str(accelerator.device))
    policy.model.configure(_with_drafts_of(settings, policy.model.config))
    data = RaterData.of(settings, policy)
    policy = replace(policy, rated_on=data.record)
    drafter = Drafter(policy, accelerator.autocast)
    scale = error_scale(drafter, data, settings)
    config = RaterConfig(settings.num_layers, settings.label, scale, settings.threshold, reads=settings.reads)
    policy.model.attach_rater(config)
    assert policy.model.rater is not None
    objective = RaterLoss(policy.model.rater, config, policy.model.config.n_action_steps)
    optimizer = torch.optim.AdamW(objective.parameters(), settings.lr, weight_decay=settings.weight_decay)
    inputs = {"data": data.record.to_dict(), "checkpoint": fingerprint(settings.checkpoint)}
    state = RunState(settings.out, asdict(settings) | inputs, FREE)
    parameters = dict(objective.named_parameters())
    start = state.resume(lambda folder: read_tensors(folder, parameters, {}, optimizer))
    settings.out.mkdir(parents=True, exist_ok=True)
    log = Log(settings.out, "train-rater", start, settings.steps, visible=accelerator.is_main_process)
    return _RaterRun(
        settings,
        accelerator,
        policy,
        drafter,
        data=data,
        objective=objective,
        optimizer=optimizer,
        state=state,
        log=log,
        inputs=inputs,
    )


def _loop(run: _RaterRun) -> None:
    settings, optimizer, means = run.settings, run.optimizer, StepMeans()
    parallel = run.accelerator.prepare(run.objective)
    for step in run.log.steps():
        rate = settings.lr * min(1.0, (step + 1) / _WARMUP) * (1 - step / settings.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        generator = step_generator(settings.seed, step, run.accelerator.process_index)
        frames = _draw_frames(run, generator)
        drafts = run.drafter(run.data.augmented.at(frames, generator), generator, settings.drafts_of_each)
        with run.accelerator.autocast():
            loss = parallel(drafts)
        value = float(loss.detach())
        require_finite(value, step, run.data.episodes.episode[frames].tolist(), settings.out)
        optimizer.zero_grad()
        run.accelerator.backward(loss)
        optimizer.step()
        means.add(loss=value)
        if (step + 1) % settings.log_every == 0:
            run.log.report(step + 1, loss=means.take()["loss"])
        is_due = (step + 1) % settings.save_every == 0 and step + 1 < settings.steps
        if is_due and run.accelerator.is_main_process:
            _save(run, step + 1)


def _save(run: _RaterRun, done: int) -> None:
    # State first: a checkpoint without it could not be continued.
    _save_state(run, done)
    save_checkpoint(run.settings.out, run.policy)


def _save_state(run: _RaterRun, done: int) -> None:
    parameters = dict(run.objective.named_parameters())
    run.state.save(done, lambda folder: write_tensors(folder, parameters, {}, run.optimizer))


def _finish(run: _RaterRun) -> None:
    """Save for good, with a monitor, and write what the rater is worth beside it."""
    settings, data = run.settings, run.data
    _save_state(run, settings.steps)
    monitor, limits = monitor_of(
        run.policy,
        data.plain,
        data.training,
        data.validation,
        episode=data.episodes.episode,
        seed=settings.seed,
    )
    policy = replace(run.policy, monitor=monitor, limits=limits)
    save_checkpoint(settings.out, policy)
    given = fixed_settings(asdict(settings) | run.inputs, (*FREE, "data", "checkpoint"))
    given |= {"data": [folder.name for folder in settings.data], "checkpoint": run.inputs["checkpoint"]}
    card = {**_metrics(policy, data, settings.seed), **provenance(), "settings": given}
    (settings.out / "rater.json").write_text(json.dumps(card, indent=1) + "\n")


def _with_drafts_of(settings: RaterSettings, config: AsyncVLAConfig) -> AsyncVLAConfig:
    """Have the policy decide with the steps, and among as many drafts, as the rater knows."""
    steps = settings.draft_steps or config.num_denoise_steps
    compares = RaterConfig(reads=settings.reads).compares
    several = {"best_of": settings.drafts_of_each} if compares else {}
    return replace(config, num_denoise_steps=steps, strategy={**config.strategy, **several})


def _draw_frames(run: _RaterRun, generator: torch.Generator) -> np.ndarray:
    """Draw this process's frames of a step, (b,)."""
    size = per_process_batch(run.settings.batch, run.accelerator.num_processes)
    frames = run.data.training
    return frames[torch.randint(len(frames), (size,), generator=generator).numpy()]


def _metrics(policy: Checkpoint, data: RaterData, seed: int) -> dict[str, Any]:
    """Measure rater and rivals on episodes that trained neither policy nor rater."""
    config = policy.model.config
    assert config.rater is not None
    # In the precision in which it will run: rounding must not pass for the policy's own hesitation.
    drafter = Drafter(policy, nullcontext)
    rated = rate_drafts(
        drafter,
        policy.model,
        data.plain,
        data.validation,
        episode=data.episodes.episode,
        seed=seed,
        count=COMPARED,
    )
    return {
        "label": config.rater.label,
        "error_scale": config.rater.error_scale,
        **rater_metrics(rated, config.rater, seed),
        "within_observation": within_observation(rated, config.n_action_steps),
    }
