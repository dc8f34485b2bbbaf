"""Train the policy: unified synchronous and asynchronous flow matching from demonstrations.

build       data, network, objective, optimizer, and the state of a run that was killed
loop        batch -> gradient -> step, and now and then a report
checkpoint  the state to resume from, then the policy
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch
from accelerate import Accelerator

from asyncvla_ros.data.mixture import Mixture, load_mixture, robot_contracts, write_statistics
from asyncvla_ros.data.spec import dataset_specs
from asyncvla_ros.model.checkpoint import Checkpoint, save_checkpoint
from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.training.batches import Batch, Batches
from asyncvla_ros.training.finite import require_finite
from asyncvla_ros.training.loader import Drawing, load_batches
from asyncvla_ros.training.memory import peak_memory_gb
from asyncvla_ros.training.objective import PolicyLoss
from asyncvla_ros.training.optimizer import set_learning_rate
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.training.policy_network import begin_policy, image_size
from asyncvla_ros.training.processes import default_processes, per_process_batch, spawn_workers
from asyncvla_ros.training.progress import Log, StepMeans
from asyncvla_ros.training.run_state import RunState, lock_run
from asyncvla_ros.training.settings import FREE, TrainSettings
from asyncvla_ros.training.sharded_trainer import ShardedTrainer
from asyncvla_ros.training.trainer import Trainer


def train(settings: TrainSettings) -> None:
    """Train, or continue a run that was interrupted; the checkpoint is in ``settings.out``.

    Raises:
        AsyncVLAError: If the data cannot be used, or ``out`` holds a run with other settings.
    """
    processes = settings.processes or default_processes(settings.batch)
    per_process_batch(settings.batch, processes)
    # Decoding takes long and supposes that the datasets agree.
    robot_contracts(settings.data, settings.action_space)
    # Before the processes start, to share its result.
    _load_data(settings)
    with lock_run(settings.out):
        spawn_workers(_train, processes, settings)


def _train(settings: TrainSettings) -> None:
    """Do the part of one process."""
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision="bf16" if settings.bf16 else "no",
        log_with=list(settings.track) or None,
        project_dir=settings.out,
    )
    torch.manual_seed(settings.seed)
    run = _build(settings, accelerator)
    _loop(run)
    _save(run, run.steps)
    accelerator.end_training()


@dataclass(frozen=True)
class _TrainingRun:
    """What the loop needs; ``steps`` of the whole run, ``batches`` for those still to do."""

    settings: TrainSettings
    policy: Checkpoint
    trainer: Trainer
    batches: Iterator[Batch]
    state: RunState
    log: Log
    steps: int


def _build(settings: TrainSettings, accelerator: Accelerator) -> _TrainingRun:
    mixture = _load_data(settings)
    policy, episodes = begin_policy(mixture, settings), mixture.episodes
    targets = 0 if episodes.privileged is None else episodes.privileged.shape[1]
    objective = PolicyLoss(policy.model, targets, settings.aux_weight).to(accelerator.device).train()
    kind = ShardedTrainer if settings.parallel == "fsdp" else Trainer
    trainer = kind(objective, settings, accelerator)
    order = Order(
        episodes.split(settings.holdout)[0], episodes.images.lengths, mixture.weights, settings.seed
    )
    steps = math.ceil(settings.epochs * order.epoch_size / settings.batch) or settings.steps
    state = RunState(settings.out, _identity(policy, settings), FREE)
    start = state.resume(trainer.load)
    batches = _batches(mixture, policy, settings, order, steps=(start, steps), accelerator=accelerator)
    settings.out.mkdir(parents=True, exist_ok=True)
    if accelerator.is_main_process:
        write_statistics(mixture, settings.out)
    accelerator.init_trackers("asyncvla", {k: str(v) for k, v in asdict(settings).items()})
    log = Log(settings.out, "train", start, steps, visible=accelerator.is_main_process, track=accelerator.log)
    return _TrainingRun(settings, policy, trainer, batches, state=state, log=log, steps=steps)


def _loop(run: _TrainingRun) -> None:
    settings, trainer, means = run.settings, run.trainer, StepMeans()
    for step in run.log.steps():
        rate = settings.learning_rate(step, run.steps)
        set_learning_rate(trainer.optimizer, rate)
        asked = time.perf_counter()
        batch = next(run.batches)
        waited = time.perf_counter() - asked
        loss, flow_loss = trainer.gradient(batch)
        require_finite(loss, step, batch.episodes.tolist(), settings.out)
        trainer.step(step)
        means.add(loss=flow_loss, aux=loss - flow_loss, waited=waited)
        if (step + 1) % settings.log_every == 0:
            mean = means.take()
            run.log.report(
                step + 1,
                loss=mean["loss"],
                aux=mean["aux"],
                lr=rate,
                obs_per_s=settings.batch / mean["seconds"],
                data_wait=mean["waited"] / mean["seconds"],
                memory_gb=peak_memory_gb(),
            )
        if (step + 1) % settings.save_every == 0 and step + 1 < run.steps:
            _save(run, step + 1)


def _save(run: _TrainingRun, done: int) -> None:
    # State first: a checkpoint without it could not be continued.
    run.state.save(done, run.trainer.save)
    weights = run.trainer.weights()
    if run.trainer.is_main:
        save_checkpoint(run.settings.out, run.policy, weights=weights)


def _identity(policy: Checkpoint, settings: TrainSettings) -> dict[str, object]:
    """Return all that decides what is learned, with the settings: contents, not names."""
    record = policy.trained_on
    assert record is not None
    specs = [asdict(spec) | {"root": spec.name} for spec in dataset_specs(settings.data)]
    init = settings.init and fingerprint(settings.init)
    return asdict(settings) | {"data": record.to_dict(), "datasets": specs, "init": init}


def _load_data(settings: TrainSettings) -> Mixture:
    return load_mixture(
        settings.data,
        image_size(settings.init),
        settings.cache,
        settings.action_space,
        skip_broken=settings.skip_broken,
        decode=settings.decode,
    )


def _batches(
    mixture: Mixture,
    policy: Checkpoint,
    settings: TrainSettings,
    order: Order,
    steps: tuple[int, int],
    accelerator: Accelerator,
) -> Iterator[Batch]:
    """Yield this process's part of the batches of some steps."""
    per_process_batch(settings.batch, accelerator.num_processes * settings.accumulate)
    config = policy.model.config
    return load_batches(
        Batches(mixture, config, policy.tokenizer, settings.shift, brightness=settings.brightness),
        Drawing(
            settings.seed,
            settings.draws,
            settings.p_sync,
            settings.p_prefix,
            p_earlier=settings.p_earlier,
            max_age=min(settings.max_age, config.chunk_size // 2),
        ),
        order,
        Share(settings.batch, accelerator.process_index, accelerator.num_processes),
        *steps,
        workers=settings.workers,
    )
