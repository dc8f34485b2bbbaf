from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from asyncvla_ros.cli.main import app
from asyncvla_ros.report.results import load
from asyncvla_ros.report.shards import bridge_metrics, merge_shards
from asyncvla_ros.types import AsyncVLAError
from support.bridge import FakeSim, bridge_checkpoint
from support.bridge_assets import made_assets
from support.checkpoints import tiny_checkpoint


@pytest.fixture
def assets(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MS_ASSET_DIR", str(made_assets(tmp_path / "assets")))


def run(*options: str) -> Result:
    return CliRunner().invoke(app, ["eval", "bridge", *options])


@pytest.mark.vulkan
@pytest.mark.slow
def test_a_random_policy_goes_from_end_to_end(assets, tmp_path):
    out, checkpoint = tmp_path / "out.json", bridge_checkpoint(tmp_path / "policy")
    options = ("--task", "spoon", "--episodes", "5", "--seed", "3", "--json", str(out))
    command = [sys.executable, "-m", "asyncvla_ros.cli", "eval", "bridge", *options]
    done = subprocess.run([*command, "--checkpoint", str(checkpoint)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(out.read_text())
    assert metrics["episodes"] == [
        {"task": "spoon", "episode": 5, "seed": 3, "steps": 60, "success_last": False, "success_ever": False}
    ]
    assert (
        metrics["n"] == 1 and metrics["success_ever"]["ci95"][1] > 0.5 and metrics["inference_ms"]["p50"] > 0
    )


def test_a_rerun_runs_only_what_is_left(assets, tmp_path, monkeypatch):
    out, checkpoint = tmp_path / "out.json", str(bridge_checkpoint(tmp_path / "policy"))
    placements: list[int] = []

    class Sim(FakeSim):
        def reset(self, placement: int, seed: int):
            if placement == 2 and 2 not in placements:
                placements.append(placement)
                raise AsyncVLAError("interrupted")
            placements.append(placement)
            return super().reset(placement, seed)

    monkeypatch.setattr("asyncvla_ros.sim.simpler.bridge.rollout.BridgeSim", Sim)
    options = ("--task", "carrot", "--checkpoint", checkpoint, "--json", str(out))
    assert "interrupted" in str(run(*options, "--episodes", "0-2").exception) and not out.exists()
    assert run(*options, "--episodes", "0-3").exit_code == 0
    assert placements == [0, 1, 2, 2, 3]
    metrics = json.loads(out.read_text())
    assert [episode["episode"] for episode in metrics["episodes"]] == [0, 1, 2, 3]
    assert metrics["success_ever"]["rate"] == 1 and metrics["success_last"]["rate"] == 0
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.json"]
    # Hours of work are not replaced by those of another command.
    assert "holds another evaluation" in str(run(*options, "--episodes", "0-2").exception)


@pytest.fixture
def two_tasks(assets, tmp_path, monkeypatch):
    """Options of an evaluation of two tasks, and those for which a simulator was started."""
    started: list[str] = []

    class Sim(FakeSim):
        def __enter__(self):
            started.append(self.task.name)
            return self

    monkeypatch.setattr("asyncvla_ros.sim.simpler.bridge.rollout.BridgeSim", Sim)
    checkpoint = str(bridge_checkpoint(tmp_path / "policy"))
    return ("--task", "spoon", "--task", "carrot", "--episodes", "0-1", "--checkpoint", checkpoint), started


def run_shard(options: tuple[str, ...], share: str, out: Path) -> None:
    done = run(*options, "--shard", share, "--json", str(out))
    assert done.exit_code == 0 and "2/2 " in done.stderr


def test_shards_together_are_the_whole(two_tasks, tmp_path):
    options, started = two_tasks
    for share in ("2/2", "1/2"):
        run_shard(options, share, tmp_path / "out" / f"{share[0]}.json")
    assert started == ["carrot", "spoon"], "a shard starts the simulator for tasks of its own only"
    assert run(*options, "--json", str(tmp_path / "whole.json")).exit_code == 0
    whole = json.loads((tmp_path / "whole.json").read_text())
    (merged,) = merge_shards(load(tmp_path / "out")["bridge"], bridge_metrics)
    assert {**merged.values, "inference_ms": None} == {
        **whole,
        "inference_ms": None,
        "settings": {key: value for key, value in whole["settings"].items() if key != "shard"},
    }


def test_a_shard_does_not_continue_another_one(two_tasks, tmp_path):
    (options, _), file = two_tasks, tmp_path / "1.json"
    run_shard(options, "1/2", file)
    assert "shard: {'index': 1, 'count': 2} there, {'index': 2, 'count': 2} here" in str(
        run(*options, "--shard", "2/2", "--json", str(file)).exception
    )


def test_what_cannot_be_run_is_one_line(assets, tmp_path, monkeypatch):
    libero = str(tiny_checkpoint(tmp_path / "libero"))
    message = str(run("--task", "carrot", "--checkpoint", libero).exception)
    assert "cameras 2, expected 1; state dims 11, expected 8; action_hz 20.0, expected 5.0" in message
    assert "'plum', choose one of carrot" in str(run("--task", "plum").exception)
    assert "placements 0 to 23" in str(run("--task", "stack", "--episodes", "20-30").exception)
    assert "from 1 to N" in str(run("--task", "stack", "--shard", "3/2").exception)
    message = str(run("--task", "stack", "--episodes", "0-2", "--shard", "1/4").exception)
    assert "--shard is 1/4, but episodes are 3; choose N from 1 to 3" in message
    assert "no scripted motion" in str(run("--task", "eggplant", "--expert").exception)
    monkeypatch.setenv("MS_ASSET_DIR", str(tmp_path / "nothing"))
    message = str(run("--task", "all", "--checkpoint", libero).exception)
    assert "are missing in" in message and "tools/bridge_assets.py" in message
