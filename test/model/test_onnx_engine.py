"""A small network by ONNX Runtime beside the network itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from asyncvla_ros.model.asyncvla import Inputs
from asyncvla_ros.model.checkpoint import load_checkpoint, save_checkpoint
from asyncvla_ros.model.checkpoint_files import SINGLE
from asyncvla_ros.model.config import VISIONS, AsyncVLAConfig, RaterConfig
from asyncvla_ros.model.flow import Guidance
from asyncvla_ros.model.onnx_engine import ENCODE, GRAPHS, OnnxEngine, has_graphs
from asyncvla_ros.model.onnx_export import export_onnx
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.policy import Policy
from asyncvla_ros.types import AsyncVLAError, CheckpointError
from support.checkpoints import tiny_checkpoint


@pytest.fixture(scope="module", params=VISIONS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of half precision, as a robot has them, and graphs."""
    torch.set_num_threads(1)
    first, folder = (tmp_path_factory.mktemp("onnx") / name for name in ("first", "half"))
    save_checkpoint(folder, load_checkpoint(tiny_checkpoint(first, vision=request.param)), torch.float16)
    export_onnx(load_checkpoint(folder).model, folder)
    return folder


@torch.inference_mode()
@pytest.mark.parametrize(("words", "drafts"), [(1, 1), (4, 3), (9, 1)])
def test_it_decides_as_the_network_does(folder: Path, words: int, drafts: int):
    model = load_checkpoint(folder).model
    config, generator = model.config, torch.Generator().manual_seed(0)
    side, length = config.image_size, config.chunk_size
    ids = torch.randint(6, 10, (1, words), generator=generator)
    inputs = Inputs(
        torch.randint(0, 256, (1, config.num_cameras, side, side, 3), dtype=torch.uint8, generator=generator),
        ids,
        ids > 0,
        torch.randn(1, config.max_state_dim, generator=generator),
    )
    noise = torch.randn(drafts, length, config.max_action_dim, generator=generator)
    mask = (torch.arange(length) % 3 > 0).float().expand(drafts, -1)
    answers, dims = [], torch.ones(config.max_action_dim)
    for network in (model, OnnxEngine(folder, config, 1)):
        prefix, seen = network.encode(inputs), []
        actions = network.sample(prefix, noise, mask, noise, dims, 3, seen)
        rated = network.rate(prefix.repeat(drafts), actions)
        assert torch.equal(actions[mask == 0], noise[mask == 0])
        pull = Guidance(noise.flip(1), torch.rand(mask.shape, generator=generator.manual_seed(1)), dims, 5.0)
        guided = network.sample(prefix, noise, mask, noise, dims, 3, None, pull)
        assert not torch.equal(guided, actions)
        answers.append([actions, guided, rated, *prefix.tensors(), *seen])
    for ours, expected in zip(answers[1], answers[0], strict=True):
        torch.testing.assert_close(ours, expected, atol=2e-4, rtol=1e-3)


def test_a_policy_takes_the_graphs_that_are_there(folder: Path, tmp_path: Path):
    assert Policy.from_checkpoint(folder).engine == "onnx"
    assert Policy.from_checkpoint(folder, engine="plain").engine == "plain"
    assert Policy.from_checkpoint(shipped_checkpoint()).engine == "onnx"
    bare = tiny_checkpoint(tmp_path / "bare")
    assert Policy.from_checkpoint(bare).engine == "plain"
    with pytest.raises(AsyncVLAError, match=r"checkpoint that has graphs; `asyncvla export` writes them"):
        Policy.from_checkpoint(bare, engine="onnx")


def blank(config: AsyncVLAConfig) -> Inputs:
    side, ids = config.image_size, torch.tensor([[6, 7]])
    images = torch.zeros(1, config.num_cameras, side, side, 3, dtype=torch.uint8)
    return Inputs(images, ids, ids > 0, torch.zeros(1, config.max_state_dim))


def copied(folder: Path, to: Path) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).write_bytes(file.read_bytes())
    return to


def test_graphs_hold_no_weights_and_follow_those_of_the_file(folder: Path, tmp_path: Path):
    """Other weights of the same layout are used as they are: there is no second copy to go stale."""
    assert sum((folder / name).stat().st_size for name in GRAPHS) < (folder / SINGLE).stat().st_size / 2
    other = copied(folder, tmp_path / "other")
    checkpoint = load_checkpoint(other)
    with torch.no_grad():
        checkpoint.model.action_out[-1].bias.add_(1)
    graphs = {name: (other / name).read_bytes() for name in GRAPHS}
    save_checkpoint(other, checkpoint, torch.float16)
    assert not has_graphs(other)
    for name, content in graphs.items():
        (other / name).write_bytes(content)
    after = Policy.from_checkpoint(other, engine="onnx").probe()
    torch.testing.assert_close(
        after, Policy.from_checkpoint(other, engine="plain").probe(), atol=2e-4, rtol=0
    )
    assert (after - Policy.from_checkpoint(folder).probe()).abs().max() > 0.1


def test_graphs_of_another_layout_are_refused(folder: Path, tmp_path: Path):
    other = copied(folder, tmp_path / "other")
    checkpoint = load_checkpoint(other)
    graphs = {name: (other / name).read_bytes() for name in GRAPHS}
    save_checkpoint(other, checkpoint, torch.float32)
    for name, content in graphs.items():
        (other / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{ENCODE} was made for another {SINGLE} or config.json"):
        Policy.from_checkpoint(other)


def test_a_setting_of_decisions_may_change(folder: Path, tmp_path: Path):
    other = copied(folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["num_denoise_steps"], config["rater"]["threshold"] = 7, 0.25
    (other / "config.json").write_text(json.dumps(config))
    assert Policy.from_checkpoint(other).engine == "onnx"


@pytest.mark.parametrize("content", [b"", b"graph", b"\xff" * 99])
def test_a_broken_graph_is_named(folder: Path, tmp_path: Path, content: bytes):
    other = copied(folder, tmp_path / "other")
    (other / ENCODE).write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"{ENCODE} (cannot be read|was made for another)"):
        Policy.from_checkpoint(other)


def test_nothing_of_the_machine_is_in_the_shipped_graphs():
    for name in GRAPHS:
        content = (shipped_checkpoint() / name).read_bytes()
        assert len(content) < 400_000
        assert b"/work" not in content and b"/tmp" not in content and b".py" not in content


@torch.inference_mode()
def test_a_rater_that_reads_several_signals_is_exported_with_them(tmp_path: Path):
    checkpoint = load_checkpoint(tiny_checkpoint(tmp_path / "tiny"))
    checkpoint.model.attach_rater(RaterConfig(num_layers=1, reads=("mean", "variance")))
    save_checkpoint(tmp_path / "reading", checkpoint, torch.float16)
    model = load_checkpoint(tmp_path / "reading").model
    export_onnx(model, tmp_path / "reading")
    engine = OnnxEngine(tmp_path / "reading", model.config, 1)
    prefix = model.encode(blank(model.config))
    draft, signals = torch.randn(1, 8, 8), torch.rand(1, 8, 2)
    expected = model.rate(prefix, draft, signals)
    torch.testing.assert_close(engine.rate(prefix, draft, signals), expected, atol=2e-4, rtol=1e-3)
    assert not torch.allclose(engine.rate(prefix, draft, signals.flip(-1)), expected, atol=1e-3)
    with pytest.raises(ValueError, match=r"reads .'mean', 'variance'., expected signals"):
        engine.rate(prefix, draft)


@torch.inference_mode()
def test_a_graph_of_before_a_rater_could_read_several_signals_still_runs():
    """The shipped one takes the variance without a dim of signals."""
    folder = shipped_checkpoint()
    model = load_checkpoint(folder).model
    engine = OnnxEngine(folder, model.config, 1)
    prefix = model.encode(blank(model.config))
    draft, signals = torch.randn(2, 8, 8), torch.rand(2, 8, 1)
    expected = model.rate(prefix.repeat(2), draft, signals)
    found = engine.rate(prefix.repeat(2), draft, signals)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-3)
