from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from asyncvla_ros.cli.settings_command import settings_command, with_settings
from asyncvla_ros.common.options import option
from asyncvla_ros.common.written import indices, shares
from asyncvla_ros.data.spec import dataset_specs
from asyncvla_ros.paths import share_dir
from asyncvla_ros.sim.collection import CollectSettings
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.training.init_settings import InitSettings
from asyncvla_ros.training.rater_settings import RaterSettings
from asyncvla_ros.training.settings import TrainSettings
from asyncvla_ros.types import AsyncVLAError

CONFIGS = sorted((share_dir() / "config" / "training").glob("*.yaml"))


def fill(kind: type, *words: str, said: str = "") -> Any:
    """Return the settings that a command line makes, which has to say this besides."""
    seen: list[Any] = []
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(settings_command(kind, seen.append, "Train."))
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert result.output == said
    return seen[0]


def test_what_is_left_out_is_as_declared():
    given = fill(TrainSettings, "--data", "a", "--data", "b", "--out", "run")
    assert given == TrainSettings(data=(Path("a"), Path("b")), out=Path("run"))


def test_the_command_line_wins_over_the_file(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text(
        "data: [a]\nlr: 1e-4\nsteps: 7\nfreeze: [vision, heads]\ncheckpointing: true\nbf16: false\n"
    )
    given = fill(TrainSettings, "--config", str(file), "--out", "run", "--steps", "9")
    assert (given.data, given.lr, given.steps) == ((Path("a"),), 1e-4, 9)
    assert given.freeze == ("vision", "heads") and given.checkpointing and not given.bf16


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate: 1", r"unknown keys \['learning_rate'\]; known keys are .*'lr'"),
        ("[1]", "holds a list, expected options"),
        ("lr: [", "no valid YAML"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path: Path, text: str, message: str):
    file = tmp_path / "run.yaml"
    file.write_text(text)
    with pytest.raises(AsyncVLAError, match=message):
        fill(TrainSettings, "--config", str(file), "--data", "a", "--out", "run")


def test_retired_names_are_read_with_one_line_each(tmp_path: Path):
    needed = ("--data", "a", "--checkpoint", "c", "--out", "run")
    said = "asyncvla: position is deprecated, use per_step\nasyncvla: --fresh is deprecated, use --unseen\n"
    given = fill(RaterSettings, *needed, "--fresh", "--label", "position", said=said)
    assert given == fill(RaterSettings, *needed, "--unseen", "--label", "per_step")
    file = tmp_path / "run.yaml"
    file.write_text("fresh: true\nlabel: position\n")
    assert fill(RaterSettings, *needed, "--config", str(file), said=said) == given
    said = "asyncvla: --learner is deprecated, use --rollout-policy\n"
    given = fill(CollectSettings, "--suite", "libero_goal", "--out", "o", "--learner", "p", said=said)
    assert given.rollout_policy == Path("p")


def test_the_command_line_wins_over_a_retired_name_in_the_file(tmp_path: Path):
    file = tmp_path / "run.yaml"
    file.write_text("learner: old\n")
    words = ("--config", str(file), "--suite", "libero_goal", "--out", "o", "--rollout-policy", "new")
    said = "asyncvla: --learner is deprecated, use --rollout-policy\n"
    assert fill(CollectSettings, *words, said=said).rollout_policy == Path("new")
    file.write_text("rollout_policy: old\n")
    words = (*words[:-2], "--learner", "new")
    assert fill(CollectSettings, *words, said=said).rollout_policy == Path("new")


def test_a_retired_option_has_the_bounds_of_the_present_one():
    app = typer.Typer()
    run: Callable[[Any], None] = lambda settings: None  # noqa: E731
    app.command()(settings_command(InitSettings, run, "Begin."))
    result = CliRunner().invoke(app, ["--data", "a", "--out", "o", "--execute-steps", "0"])
    assert result.exit_code == 2 and "--execute-steps" in result.output


@pytest.mark.parametrize("words", [["--steps", "0"], ["--optimizer", "sgd"], ["--parallel", "zero"]])
def test_bounds_and_choices_hold_on_the_command_line(words: list[str]):
    app = typer.Typer()
    run: Callable[[Any], None] = lambda settings: None  # noqa: E731
    app.command()(settings_command(TrainSettings, run, "Train."))
    result = CliRunner().invoke(app, ["--data", "a", "--out", "run", *words])
    assert result.exit_code == 2 and words[0] in result.output


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_every_shipped_file_fills_settings(file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(share_dir())
    monkeypatch.setenv("HF_LEROBOT_HOME", str(tmp_path))
    if file.stem.endswith("rater"):
        given = fill(RaterSettings, "--config", str(file), "--checkpoint", "c", "--out", "run")
        assert given.num_layers == 4 and given.label == "relative"
    else:
        given = fill(TrainSettings, "--config", str(file), "--out", "run")
        assert given.init is not None and given.epochs and not given.batch % (8 * given.accumulate)
        assert (given.lora_rank > 0) == file.stem.endswith("lora")
    for data in given.data:
        # The datasets are not here: the file itself is read, and it says how to get the first of them.
        with pytest.raises(AsyncVLAError, match="download"):
            dataset_specs([data])


@dataclass(frozen=True)
class Scene:
    """Settings with an option of each kind, and a field that is none."""

    names: tuple[str, ...] = option(help="Of things.", flag="--name", read=lambda names: names[::-1])
    numbers: tuple[int, ...] = option("0-2", "Of views.", read=lambda text: indices(text, "numbers"))
    parts: tuple[tuple[str, float], ...] = option(
        ("a=0.5", "b=0.5"), "Of a whole.", read=lambda texts: shares(texts, "--parts")
    )
    pause_s: float = option(0.0, "How long (ms).", flag="--pause-ms", read=lambda ms: ms / 1e3)
    count: int = option(3, "Of all.", 1, maximum=4)
    seen: str = ""


def scene_of(*words: str) -> tuple[Scene, bool, Strategy]:
    """Return what a command with these settings, options of its own and others receives."""
    seen: list[Any] = []

    def command(
        scene: Scene,
        *,
        live: Annotated[bool, typer.Option("--live")] = False,
        strategy: Annotated[Strategy, "How it decides"],
    ) -> None:
        seen.append((scene, live, strategy))

    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(with_settings(command))
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return seen[0]


def test_a_default_is_written_as_it_would_be_on_the_command_line():
    scene, live, strategy = scene_of("--name", "cup")
    assert (scene, live, strategy) == (Scene(("cup",)), False, Strategy())
    assert scene.numbers == (0, 1, 2) and scene.parts == (("a", 0.5), ("b", 0.5))


def test_what_is_written_becomes_what_it_means():
    words = "--name cup --name bowl --numbers 4,7-8 --parts c=1 --pause-ms 20 --count 4 --live --rounds 2"
    scene, live, strategy = scene_of(*words.split())
    assert scene == Scene(("bowl", "cup"), (4, 7, 8), (("c", 1.0),), 0.02, 4) and live
    assert strategy == Strategy(rounds=2)


@pytest.mark.parametrize("words", [["--count", "5"], ["--count", "0"], ["--seen", "all"], []])
def test_what_is_out_of_bounds_or_no_option_or_missing_is_refused(words: list[str]):
    with pytest.raises(AssertionError, match=words[0] if words else "--name"):
        scene_of(*words, *(["--name", "cup"] if words else []))


def test_a_mistake_in_what_is_written_is_named():
    with pytest.raises(AsyncVLAError, match="--numbers is 'x', expected indices"):
        scene_of("--name", "cup", "--numbers", "x")
