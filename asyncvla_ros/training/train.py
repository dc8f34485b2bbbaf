"""Train the policy: unified synchronous and asynchronous flow matching from demonstrations.

build   data, network, objective, trainer        (this file, `parallel`, `optimizer`, `lora`)
loop    batch -> gradient -> step -> report       (this file, `loader`, `order`)
save    a checkpoint, and a state to resume from  (this file, `run`, `state_files`)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import Accelerator

from asyncvla_ros.data.mixture import Mixture, load_mixture, robot_contracts, write_statistics
from asyncvla_ros.data.spec import dataset_specs
from asyncvla_ros.model.asyncvla import AsyncVLA
from asyncvla_ros.model.checkpoint import Checkpoint, fingerprint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.config import AsyncVLAConfig, load_config
from asyncvla_ros.model.sizes import nano_config
from asyncvla_ros.model.text import build_tokenizer, knows_all
from asyncvla_ros.training.batches import Batch, Batches
from asyncvla_ros.training.loader import Drawing, load_batches
from asyncvla_ros.training.lora import add_lora
from asyncvla_ros.training.objective import PolicyLoss, freeze
from asyncvla_ros.training.optimizer import set_learning_rate
from asyncvla_ros.training.order import Order, Share
from asyncvla_ros.training.parallel import Trainer, make_trainer
from asyncvla_ros.training.run import (
    Log,
    RunState,
    default_processes,
    launch,
    memory_gb,
    require_finite,
    share,
    sole_run,
)
from asyncvla_ros.training.settings import FREE, TrainSettings
from asyncvla_ros.training.warm_start import require_same_holdout, warm_start
from asyncvla_ros.types import AsyncVLAError


def train(settings: TrainSettings) -> None:
    """Train, or continue a run that was interrupted; the checkpoint is in ``settings.out``.

    Raises:
        AsyncVLAError: If the data cannot be used, or ``out`` holds a run with other settings.
    """
    processes = settings.processes or default_processes(settings.batch)
    share(settings.batch, processes)
    # Decoding takes long and supposes that the datasets agree.
    robot_contracts(settings.data, settings.action_space)
    # Before the processes start, to share its result.
    _load_data(settings)
    with sole_run(settings.out):
        launch(_train, processes, settings)


def _train(settings: TrainSettings) -> None:
    accelerator = Accelerator(
        cpu=not torch.cuda.is_available(),
        mixed_precision="bf16" if settings.bf16 else "no",
        log_with=list(settings.track) or None,
        project_dir=settings.out,
    )
    torch.manual_seed(settings.seed)
    mixture = _load_data(settings)
    checkpoint = _build(mixture, settings)
    model, episodes = checkpoint.model, mixture.episodes
    targets = 0 if episodes.privileged is None else episodes.privileged.shape[1]
    objective = PolicyLoss(model, targets, settings.aux_weight).to(accelerator.device).train()
    trainer = make_trainer(objective, settings, accelerator)
    order = Order(
        episodes.split(settings.holdout)[0], episodes.images.lengths, mixture.weights, settings.seed
    )
    steps = math.ceil(settings.epochs * order.epoch_size / settings.batch) or settings.steps
    state = RunState(settings.out, _identity(checkpoint, settings), FREE)
    start = state.resume(trainer.load)
    batches = _batches(mixture, checkpoint, settings, order, (start, steps), accelerator)
    settings.out.mkdir(parents=True, exist_ok=True)
    if accelerator.is_main_process:
        write_statistics(mixture, settings.out)
    accelerator.init_trackers("asyncvla", {k: str(v) for k, v in asdict(settings).items()})
    log = Log(settings.out, "train", start, steps, accelerator.is_main_process, accelerator.log)

    def save(done: int) -> None:
        # State first: a checkpoint without it could not be continued.
        state.save(done, trainer.save)
        weights = trainer.weights()
        if trainer.is_main:
            save_checkpoint(settings.out, checkpoint, weights=weights)

    _loop(trainer, batches, log, settings, steps, save)
    accelerator.end_training()


def _build(mixture: Mixture, settings: TrainSettings) -> Checkpoint:
    """The policy to be trained, with everything that its checkpoint says."""
    robot, record = mixture.robots[0], mixture.episodes.record(settings.data, settings.holdout)
    stats = robot.state_stats, robot.action_stats
    source = None if settings.init is None else load_checkpoint(settings.init)
    if source is not None:
        require_same_holdout(source, record)
        record = replace(record, before=source.trained_on)
    texts = mixture.episodes.instructions
    if source is not None and knows_all(source.tokenizer, texts):
        model, tokenizer = source.model, source.tokenizer
        model.attach_rater(None)
        length = settings.chunk_size or model.config.action_chunk_size
        execute = min(model.config.execute_steps, length)
        model.configure(replace(model.config, action_chunk_size=length, execute_steps=execute))
        _require_room(model.config, mixture)
    else:
        tokenizer = build_tokenizer(texts)
        model = AsyncVLA(_nano(mixture, tokenizer.get_vocab_size(), settings))
        if source is not None:
            warm_start(model, tokenizer, source)
    model.configure(replace(model.config, blank_images=settings.blank_images))
    freeze(model, settings.freeze)
    if settings.lora_rank:
        add_lora(model, settings.lora_rank, settings.lora_alpha)
        freeze(model, settings.freeze)
    if settings.checkpointing:
        model.backbone.qwen.activation_checkpointing_enable()
    robots = tuple((one.name, one.features, one.state_stats, one.action_stats) for one in mixture.robots)
    return Checkpoint(model, tokenizer, robot.features, *stats, trained_on=record, robots=robots)


def _nano(mixture: Mixture, words: int, settings: TrainSettings) -> AsyncVLAConfig:
    contracts = [robot.features for robot in mixture.robots]
    length = settings.chunk_size or AsyncVLAConfig.action_chunk_size
    return nano_config(
        words,
        num_cameras=len(contracts[0].cameras),
        action_chunk_size=length,
        execute_steps=min(AsyncVLAConfig.execute_steps, length),
        max_state_dim=max(AsyncVLAConfig.max_state_dim, *(len(c.state_names) for c in contracts)),
        max_action_dim=max(AsyncVLAConfig.max_action_dim, *(len(c.action_names) for c in contracts)),
        rater=None,
    )


def _require_room(config: AsyncVLAConfig, mixture: Mixture) -> None:
    """The network of a checkpoint must have room for the robots of the data."""
    for robot in mixture.robots:
        features = robot.features
        cameras, state, action = map(len, (features.cameras, features.state_names, features.action_names))
        fits = state <= config.max_state_dim and action <= config.max_action_dim
        if cameras != config.num_cameras or not fits:
            raise AsyncVLAError(
                f"robot {robot.name!r} has {cameras} cameras, {state} state and {action} action dims; the "
                f"checkpoint of --init has {config.num_cameras} cameras and room for {config.max_state_dim} "
                f"and {config.max_action_dim} dims; make one for this data with `asyncvla init`"
            )


def _loop(
    trainer: Trainer,
    batches: Iterator[Batch],
    log: Log,
    settings: TrainSettings,
    steps: int,
    save: Callable[[int], None],
) -> None:
    began, waited, total, aux, done = time.perf_counter(), 0.0, 0.0, 0.0, log.start
    for step in log.steps():
        rate = settings.learning_rate(step, steps)
        set_learning_rate(trainer.optimizer, rate)
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        loss, flow_loss = trainer.gradient(batch)
        require_finite(loss, step, batch.episodes.tolist(), settings.out)
        trainer.step()
        total, aux = total + flow_loss, aux + loss - flow_loss
        if (step + 1) % settings.log_every == 0:
            count, seconds = step + 1 - done, time.perf_counter() - began
            log.report(
                step + 1,
                loss=total / count,
                aux=aux / count,
                lr=rate,
                obs_per_s=settings.batch * count / seconds,
                data_wait=waited / seconds,
                memory_gb=memory_gb(),
            )
            began, waited, total, aux, done = time.perf_counter(), 0.0, 0.0, 0.0, step + 1
        if (step + 1) % settings.save_every == 0 and step + 1 < steps:
            save(step + 1)
    save(steps)


def _identity(checkpoint: Checkpoint, settings: TrainSettings) -> dict[str, object]:
    """All that decides what is learned, beside the settings: contents, not names."""
    record = checkpoint.trained_on
    assert record is not None
    specs = [asdict(spec) | {"root": spec.name} for spec in dataset_specs(settings.data)]
    init = settings.init and fingerprint(settings.init)
    return asdict(settings) | {"data": record.to_dict(), "datasets": specs, "init": init}


def _image_size(init: Path | None) -> int:
    return nano_config(1).image_size if init is None else load_config(init).image_size


def _load_data(settings: TrainSettings) -> Mixture:
    return load_mixture(
        settings.data,
        _image_size(settings.init),
        settings.cache,
        settings.action_space,
        skip_broken=settings.skip_broken,
        decode=settings.decode,
    )


def _batches(
    mixture: Mixture,
    checkpoint: Checkpoint,
    settings: TrainSettings,
    order: Order,
    steps: tuple[int, int],
    accelerator: Accelerator,
) -> Iterator[Batch]:
    """This process's share of every step from the first to the last."""
    share(settings.batch, accelerator.num_processes * settings.accumulate)
    return load_batches(
        Batches(mixture, checkpoint.model.config, checkpoint.tokenizer, settings.shift, settings.brightness),
        Drawing(
            settings.seed,
            settings.draws,
            settings.p_sync,
            settings.p_prefix,
            settings.p_earlier,
            min(settings.max_age, checkpoint.model.config.action_chunk_size // 2),
        ),
        order,
        Share(settings.batch, accelerator.process_index, accelerator.num_processes),
        *steps,
        settings.workers,
    )
