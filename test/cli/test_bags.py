"""``asyncvla replay``, ``convert`` and ``to-bag`` as they are called."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from asyncvla_ros.cli.main import app
from asyncvla_ros.types import AsyncVLAError
from support.checkpoints import tiny_checkpoint
from support.recordings import FEATURES, write_contract, write_recording

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HEADLESS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replayed")
    tiny_checkpoint(folder / "checkpoint", **vars(FEATURES))
    write_recording(folder / "bag", steps=40)
    write_contract(folder)
    return folder


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, AsyncVLAError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def replay(files, out, *words):
    robot = ("--robot", files / "two_joints.yaml")
    options = ("--checkpoint", files / "checkpoint", "--workers", 1, "--instruction", "lift it")
    return call("replay", files / "bag", *robot, *options, "--out", out, *words)


def test_a_replay_writes_what_its_contract_says(files, tmp_path):
    said = replay(files, tmp_path / "out", "--every", 0.1, "--json", tmp_path / "out.json")
    assert "20 inferences" in said and "times real time" in said
    metrics = json.loads((tmp_path / "out.json").read_text())
    assert set(metrics) == {
        "inferences", "compared_steps", "mae", "realtime_factor", "streams", "peak_rss_mb",
    }  # fmt: skip
    assert metrics["inferences"] == 20 and set(metrics["mae"]) == {"a", "b"}
    assert set(metrics["streams"]["front"]) >= {"received", "used", "gaps", "dropped"}
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["checkpoint"]["fingerprint"] and metrics["settings"]["deciding"]["seed"] == 0
    assert metrics["inference_ms"]["p50"] > 0 and len(metrics["mae_by_step"]["a"]) == 8


def test_a_seed_gives_the_same_and_another_one_gives_another(files, tmp_path):
    maes = []
    for number, seed in enumerate((1, 1, 2)):
        replay(files, tmp_path / str(number), "--seed", seed, "--every", 0.2)
        maes.append(json.loads((tmp_path / str(number) / "metrics.json").read_text())["mae"])
    assert maes[0] == maes[1] != maes[2]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_shows_the_figures_of_the_report(files, tmp_path):
    replay(files, tmp_path / "out", "--every", 0.1)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    page = f"file://{tmp_path}/out/report.html"
    shown = subprocess.run(
        [CHROMIUM, *HEADLESS, f"--user-data-dir={tmp_path}/profile", "--dump-dom", page],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert f"{metrics['mae']['a']:.3g}" in shown and "<b>20</b>" in shown
    for section in ("errors", "time", "horizon", "confidence", "streams", "worst", "made"):
        assert f'id="{section}"' in shown
    assert shown.count("<svg") >= 4 and "two_joints on bag" in shown


def test_a_recording_that_cannot_be_used_is_one_line(files, tmp_path):
    with pytest.raises(AsyncVLAError, match="no such recording"):
        call("replay", tmp_path / "nothing", "--robot", files / "two_joints.yaml", "--out", tmp_path / "out")
    with pytest.raises(AsyncVLAError, match="does not say which robot it is of; give its contract"):
        call("replay", files / "bag", "--out", tmp_path / "out")
    with pytest.raises(AsyncVLAError, match="do not fit"):
        call("replay", files / "bag", "--robot", files / "two_joints.yaml", "--out", tmp_path / "out")


def test_what_is_converted_is_counted(files, tmp_path):
    robot = ("--robot", files / "two_joints.yaml")
    out, metrics = tmp_path / "data", tmp_path / "out.json"
    said = call("convert", files / "bag", *robot, "--out", out, "--json", metrics)
    assert "train on it with --action-space joint_position" in said
    assert json.loads((tmp_path / "out.json").read_text()) == {"episodes": 1, "frames": 40, "dropped": {}}
    said = call("to-bag", tmp_path / "data", "--episode", 0, "--out", tmp_path / "back", *robot)
    assert said.startswith("40 frames of 'lift it'")
    call("convert", tmp_path / "back", "--out", tmp_path / "again")
    assert (tmp_path / "again" / "meta" / "info.json").is_file()
