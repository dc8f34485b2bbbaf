"""The paths of the full size on a small network of the same shape: init, every way to train, shards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.multiprocessing import ProcessRaisedException
from typer.testing import CliRunner

from asyncvla_ros.cli.main import app
from asyncvla_ros.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from asyncvla_ros.model.checkpoint_files import INDEX
from asyncvla_ros.policy import Policy
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.training.init_settings import InitSettings
from asyncvla_ros.training.initial import initial_checkpoint
from asyncvla_ros.training.objective import PolicyLoss
from asyncvla_ros.training.optimizer import make_optimizer
from asyncvla_ros.training.processes import spawn_workers
from asyncvla_ros.training.rater_settings import RaterSettings
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.training.train import train
from asyncvla_ros.training.train_rater import train_rater
from asyncvla_ros.types import AsyncVLAError, Observation
from support.datasets import write_dataset
from support.qwen import tiny_qwen
from support.ranks import train_until

SMALL = {"image_size": 56, "dtype": "float32", "max_state_dim": 4, "max_action_dim": 4, "max_words": 8}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(
        tmp_path_factory.mktemp("data") / "demos", (6, 5, 7, 6), ("lift the cup",), as_images=True
    )


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """Write what ``asyncvla init`` writes from a folder of transformers."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("start")
    return begin(folder / "policy", tiny_qwen(folder / "qwen"), data, SMALL)


def begin(out: Path, qwen: Path, data: Path, overrides: dict[str, Any]) -> Path:
    settings = InitSettings(
        data=(data,),
        out=out,
        size="tiny",
        source=str(qwen),
        action_space="joint_position",
        cache=out.parent / "cache",
    )
    save_checkpoint(out, initial_checkpoint(settings, overrides))
    return out


@pytest.fixture
def settings(start: Path, data: Path, tmp_path: Path) -> TrainSettings:
    torch.set_num_threads(1)
    return TrainSettings(
        data=(data,), out=tmp_path / "run", init=start, steps=4, batch=4, draws=2, lr=1e-3, warmup=1, ema=0.0,
        shift=1, action_space="joint_position", holdout=0.25, save_every=2, log_every=1, bf16=False,
        processes=1, cache=tmp_path / "cache",
    )  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, value in before.items() if not torch.equal(value, after[name])}


def parts(names: set[str]) -> set[str]:
    kinds = {"merger": ".merger.", "vision": ".visual.", "language": ".language_model."}
    return {next((kind for kind, mark in kinds.items() if mark in name), "heads") for name in names}


def rate(checkpoint: Path, out: Path, **changes: Any) -> None:
    """Train a rater on three episodes that the policy has not seen."""
    unseen = write_dataset(out.parent / "fresh", (5, 6, 4), ("lift the cup",), as_images=True)
    usual = RaterSettings(
        data=(unseen,), checkpoint=checkpoint, out=out, num_layers=1, steps=2, batch=2, unseen=True,
        shift=1, bf16=False, processes=1, cache=out.parent / "cache",
    )  # fmt: skip
    train_rater(replace(usual, **changes))


def look() -> Observation:
    return Observation({"top": np.full((32, 32, 3), 90, np.uint8)}, np.zeros(2, np.float32), "lift the cup")


def test_a_policy_is_trained_rated_exported_and_decides(settings: TrainSettings, start: Path, tmp_path: Path):
    train(replace(settings, ema=0.5, checkpointing=True))
    assert parts(moved(weights(start), weights(settings.out))) == {"vision", "merger", "language", "heads"}
    card = (settings.out / "README.md").read_text()
    assert "joint_position: j1, j2" in card and "4 episodes" in card

    rate(settings.out, tmp_path / "rated", label="relative")
    exported = tmp_path / "exported"
    CliRunner().invoke(app, ["export", "--checkpoint", str(tmp_path / "rated"), "--out", str(exported)])
    assert weights(exported)["action_in.weight"].dtype == torch.float16
    chunk = Policy.from_checkpoint(exported).infer(look(), Strategy(threshold=1.0), seed=0)
    assert chunk.actions.shape == (4, 2) and np.isfinite(chunk.actions).all()
    assert chunk.refined.all() and chunk.confidence is not None
    # Its monitor went through the export, too.
    assert chunk.surprise is not None and chunk.surprise > 0


def test_a_rater_of_pairs_has_the_policy_decide_among_drafts(start: Path, tmp_path: Path):
    torch.set_num_threads(1)
    compared = tmp_path / "compared"
    rate(start, compared, label="pairwise", draft_steps=1, reads=("mean",))
    policy = Policy.from_checkpoint(compared)
    assert policy.rater is not None and (policy.rater.label, policy.rater.reads) == ("pairwise", ("mean",))
    decided = policy.resolve(Strategy())
    assert (decided.denoise_steps, decided.best_of) == (1, 8), "as the rater has learned to compare"
    chunk = policy.infer(look(), seed=0)
    assert chunk.confidence is not None and chunk.surprise is not None
    metrics = json.loads((compared / "rater.json").read_text())["within_observation"]
    assert metrics["drafts"] == 8 and metrics["observations"] in (4, 5, 6)
    assert set(metrics["concordance_within_observation"]) == {"rater", "mean", "medoid"}
    assert policy.episode_limits is not None and set(policy.episode_limits.signals) == {"surprise"}


def test_two_processes_that_replicate_or_shard_learn_what_one_learns(settings: TrainSettings, tmp_path: Path):
    """The same global batches; sums are taken in another order, hence the tolerance."""
    train(settings)
    one = weights(settings.out)
    for kind in ("ddp", "fsdp"):
        run = replace(settings, out=tmp_path / kind, processes=2, parallel=kind)
        train(run)
        for name, value in weights(run.out).items():
            torch.testing.assert_close(value, one[name], atol=2e-5, rtol=1e-3, msg=f"{kind}: {name}")
    accumulated = replace(settings, out=tmp_path / "pieces", accumulate=2)
    train(accumulated)
    for name, value in weights(accumulated.out).items():
        torch.testing.assert_close(value, one[name], atol=2e-5, rtol=1e-3, msg=name)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_run_goes_on_exactly_where_it_stopped(settings: TrainSettings, tmp_path: Path, kind: str):
    """The second of two processes is the one that would show states that only the first one kept."""
    whole = replace(settings, out=tmp_path / "whole", processes=2, parallel=kind, ema=0.5)
    train(whole)
    state = whole.out / "state" / "progress.json"
    assert json.loads(state.read_text())["step"] == 4
    stopped = replace(whole, out=tmp_path / "stopped")
    stop_after(stopped, 2)
    train(stopped)
    assert not moved(weights(whole.out), weights(stopped.out))


def stop_after(settings: TrainSettings, step: int) -> None:
    """Train, with an end by force after the state of a step is written."""
    with pytest.raises(ProcessRaisedException, match="killed"):
        spawn_workers(train_until, settings.processes, settings, step)


def test_lora_moves_language_and_heads_and_is_merged_into_a_plain_checkpoint(
    settings: TrainSettings, start: Path
):
    train(replace(settings, lora_rank=2))
    before, after = weights(start), weights(settings.out)
    changed = moved(before, after)
    assert parts(changed) == {"language", "heads"}
    assert not any("norm" in name or "embed_tokens" in name for name in changed)
    change = after[(name := next(n for n in changed if "q_proj.weight" in n))] - before[name]
    assert torch.linalg.matrix_rank(change) == 2


def test_a_frozen_part_does_not_move(settings: TrainSettings, start: Path):
    train(replace(settings, freeze=("vision", "language")))
    assert parts(moved(weights(start), weights(settings.out))) == {"merger", "heads"}
    with pytest.raises(AsyncVLAError, match=r"--freeze is eyes, choose of vision, merger, language, heads"):
        replace(settings, freeze=("eyes",))


def test_each_part_has_its_learning_rate_and_only_matrices_decay(settings: TrainSettings, start: Path):
    objective = PolicyLoss(load_checkpoint(start).model, 0, 0.0)
    asked = replace(settings, lr=1e-4, vision_lr=2e-5, merger_lr=1e-4, weight_decay=0.1)
    groups = make_optimizer(objective, asked).param_groups
    found: dict[str, set[tuple[float, float, bool]]] = {}
    for name, parameter in objective.named_parameters():
        [group] = [g for g in groups if any(p is parameter for p in g["params"])]
        key = (round(group["lr_share"], 3), group["weight_decay"], parameter.ndim >= 2)
        found.setdefault(next(iter(parts({name}))), set()).add(key)
    assert found["vision"] == {(0.2, 0.1, True), (0.2, 0.0, False)}
    for part in ("merger", "language", "heads"):
        assert found[part] == {(1.0, 0.1, True), (1.0, 0.0, False)}


def test_bfloat16_weights_learn_and_are_saved_as_such(settings: TrainSettings, data: Path, tmp_path: Path):
    qwen = tiny_qwen(tmp_path / "qwen")
    rough = begin(tmp_path / "rough", qwen, data, {**SMALL, "dtype": "bfloat16"})
    for kind in ("ddp", "fsdp"):
        out = tmp_path / kind
        run = replace(settings, init=rough, out=out, parallel=kind, bf16=True, lr=1e-2, processes=2)
        train(run)
        types = {name: value.dtype for name, value in weights(run.out).items()}
        assert types["backbone.qwen.language_model.norm.weight"] == torch.bfloat16
        assert types["action_in.weight"] == torch.float32
        assert "heads" in parts(moved(weights(rough), weights(run.out)))


def test_a_checkpoint_without_room_for_the_robot_is_refused(settings: TrainSettings, tmp_path: Path):
    wide = tmp_path / "wide"
    write_dataset(wide, (4, 4), ("lift the cup",), as_images=True)
    info = json.loads((wide / "meta" / "info.json").read_text())
    info["features"]["observation.images.side"] = info["features"]["observation.images.top"]
    (wide / "meta" / "info.json").write_text(json.dumps(info))
    with pytest.raises(AsyncVLAError, match=r"2 cameras|no image|observation.images.side"):
        train(replace(settings, data=(wide,)))


def shards_of(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    save_checkpoint(folder, checkpoint)
    return json.loads((folder / INDEX).read_text())["weight_map"]


def test_large_weights_are_cut_into_shards_and_replaced_as_a_whole(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    checkpoint, folder = load_checkpoint(start), tmp_path / "large"
    single = Policy(checkpoint).probe()
    monkeypatch.setattr("asyncvla_ros.model.weights.save_weights.__defaults__", (None, 200_000))
    first = set(shards_of(checkpoint, folder).values())
    assert len(first) > 2 and not (folder / "model.safetensors").exists()
    assert torch.equal(Policy.from_checkpoint(folder).probe(), single)
    second = set(shards_of(checkpoint, folder).values())
    assert not first & second
    assert {file.name for file in folder.glob("*.safetensors")} == second


def test_a_run_is_tracked_where_that_is_asked_for(settings: TrainSettings):
    train(replace(settings, steps=1, track=("tensorboard",)))
    [events] = (settings.out / "asyncvla").glob("events.out.tfevents.*")
    assert events.stat().st_size > 0
    with pytest.raises(AsyncVLAError, match=r"--track is mlflow, choose of tensorboard, wandb, trackio"):
        replace(settings, track=("mlflow",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "4b"}, "--size is '4b', choose one of"),
        ({"source": None}, "give --from"),
        ({"vision": "spatial_softmax"}, "the weights of --from Qwen/Some see by a tower"),
    ],
)
def test_a_start_that_cannot_be_is_refused(options: dict[str, Any], message: str, tmp_path: Path):
    possible = InitSettings(data=(tmp_path,), out=tmp_path, size="tiny", source="Qwen/Some")
    with pytest.raises(AsyncVLAError, match=message):
        replace(possible, **options)
