"""The evaluation on the Google robot: its loop with a scripted policy, and whole against a real server."""

from __future__ import annotations

import ast
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asyncvla_ros.model.checkpoint_files import fingerprint
from asyncvla_ros.report import report
from asyncvla_ros.serve.client import PolicyClient
from asyncvla_ros.sim.simpler import fractal
from asyncvla_ros.sim.simpler.fractal import FractalSettings, evaluate
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import AsyncVLAError
from support.blocked_imports import run_with_only
from support.checkpoints import tiny_checkpoint
from support.fractal_checkpoint import fractal_checkpoint
from support.policy_server import policy_server
from support.simpler_stand_in import GoogleRobotTask, TimeLimit

PICK, OPEN = "google_robot_pick_coke_can", "google_robot_open_drawer"
PLACE = "google_robot_place_apple_in_closed_top_drawer"
ROOT = Path(__file__).parents[3]


class ScriptedClient:
    """Answers chunks of 8 whose action ``i`` of inference ``k`` moves x by ``k + i / 10`` millimeters."""

    def __init__(self, **changes: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self._features = {
            "cameras": [{"key": "head", "height": 256, "width": 320}],
            "state_names": list("xyzabcdg"),
            "action_names": list("xyzabcg"),
            "action_space": "delta_ee_pose",
            "control_hz": 3.0,
            "chunk_size": 8,
            "n_action_steps": 4,
            **changes,
        }

    def features(self) -> dict[str, Any]:
        return self._features

    def infer(self, images: dict, state: np.ndarray, instruction: str, **options: Any) -> dict[str, Any]:
        self.asked.append({"images": images, "state": state, "instruction": instruction, **options})
        actions = np.zeros((8, 7), np.float32)
        actions[:, 0] = 1e-3 * (len(self.asked) - 1 + np.arange(8) / 10)
        actions[:, 6] = 1
        return {"actions": actions, "refined": np.arange(8) < 2, "times_ms": {"total": 5.0}}


def run(
    task: str, client: Any, solved: tuple[int, ...] = (), **settings: Any
) -> tuple[dict, GoogleRobotTask]:
    env = GoogleRobotTask(task, solved)
    config = FractalSettings(task, **{"episodes": 1, **settings})
    return evaluate(TimeLimit(env), client, config), env


def test_the_first_actions_of_each_chunk_are_executed_and_then_the_policy_looks_again():
    client = ScriptedClient()
    metrics, env = run(PICK, client)
    assert metrics["episodes"][0]["steps"] == 80 and len(client.asked) == 20
    moved = 1e3 * np.array(env.actions)[:, 0]
    np.testing.assert_allclose(moved[:9], [0, 0.1, 0.2, 0.3, 1, 1.1, 1.2, 1.3, 2], atol=1e-5)
    first, seen = client.asked[0]["previous"], client.asked[1]
    assert first is None and seen["previous"]["delay"] == 0
    np.testing.assert_allclose(seen["previous"]["actions"][:, 0], [0.4e-3, 0.5e-3, 0.6e-3, 0.7e-3])
    assert (seen["images"]["head"][:16] == 200).all() and not seen["images"]["head"][16:].any()
    np.testing.assert_allclose(seen["state"][:3], [0.5006, 0.1, 0.9], atol=1e-6)
    assert seen["instruction"] == "pick coke can" and seen["strategy"]["mode"] == "afm"
    assert len({asked["seed"] for asked in client.asked}) == 20
    assert run(PICK, ScriptedClient(), n_action_steps=7)[0]["episodes"][0]["steps"] == 80


def test_success_at_the_last_step_and_at_any_step_are_told_apart():
    for solved, expected in (((), (0, 0)), ((30, 31), (0, 1)), ((80,), (1, 1))):
        metrics, env = run(PICK, ScriptedClient(), solved, episodes=2)
        assert (metrics["success_rate"], metrics["success_ever_rate"]) == expected
        assert len(env.actions) == 80, "an episode goes on after success"
        assert metrics["n"] == 2 and len(metrics["episodes"]) == 2
        low, high = metrics["ci95"]
        assert 0 <= low <= expected[0] <= high <= 1 and metrics["ci95"][1] - metrics["ci95"][0] > 0.3
    assert run(OPEN, ScriptedClient())[0]["episodes"][0]["steps"] == 113


def test_a_new_instruction_ends_the_plan_of_the_last_one():
    """After 101 steps the drawer task goes on to its second part, in the middle of a chunk."""
    client = ScriptedClient()
    metrics, env = run(PLACE, client)
    assert len(env.actions) == 200 and metrics["episodes"][0]["instruction"] == "open top drawer"
    told = [asked["instruction"] for asked in client.asked]
    assert told == ["open top drawer"] * 26 + ["place apple into top drawer"] * 25
    moved = 1e3 * np.array(env.actions)[:, 0]
    np.testing.assert_allclose(moved[98:103], [24.2, 24.3, 25, 26, 26.1], atol=1e-5)


def test_episodes_have_their_own_scenes_and_the_same_command_repeats_them():
    first, again = (run(PICK, ScriptedClient(), episodes=3, seed=seed)[1].resets for seed in (0, 0))
    assert first == again
    assert [options["obj_init_options"]["episode_id"] for _, options in first] == [0, 1, 2]
    seeds = {seed for seed, _ in first} | {seed for seed, _ in run(PICK, ScriptedClient(), seed=1)[1].resets}
    assert len(seeds) == 4 and all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"state_names": ["x"]}, "states: expected 8, the policy has 1"),
        ({"cameras": [{"key": "a"}, {"key": "b"}]}, "cameras: expected 1, the policy has 2"),
        ({"action_space": "ee_pose", "control_hz": 5.0}, "expected delta_ee_pose.*expected 3.0.* has 5.0"),
    ],
)
def test_a_policy_of_another_robot_is_refused(changes: dict[str, Any], message: str):
    with pytest.raises(AsyncVLAError, match=message):
        run(PICK, ScriptedClient(**changes))


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(AsyncVLAError, match="n_action_steps is 9, expected 1 to the 8 actions"):
        run(PICK, ScriptedClient(), n_action_steps=9)
    env = GoogleRobotTask(PICK)
    env.control_freq = 5
    with pytest.raises(AsyncVLAError, match="runs at 5 Hz, expected 3"):
        evaluate(TimeLimit(env), ScriptedClient(), FractalSettings(PICK, 1))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fractal_checkpoint(tmp_path_factory.mktemp("fractal") / "tiny")


@pytest.fixture(scope="module")
def url(checkpoint: Path) -> Iterator[str]:
    with policy_server(checkpoint) as (_, address):
        yield address


def test_a_served_policy_drives_the_robot(url: str, checkpoint: Path):
    env = GoogleRobotTask(PICK, (80,))
    with PolicyClient(url) as client:
        config = FractalSettings(PICK, 1, Strategy("sfm"), n_action_steps=8)
        first = evaluate(TimeLimit(env), client, config)
        moved = np.array(env.actions)
        evaluate(TimeLimit(env), client, config)
    np.testing.assert_array_equal(env.actions, moved)
    assert first["success_rate"] == 1 and first["mode"] == "sfm" and first["refined_fraction"] == 0
    assert first["settings"]["checkpoint"] == first["policy"]["checkpoint"] == fingerprint(checkpoint)
    assert len(moved) == 80 and np.ptp(moved[:, :3], axis=0).min() > 0.1


@pytest.fixture
def simpler_env(tmp_path: Path) -> Path:
    """Make a folder with a module ``simpler_env`` that is the stand-in."""
    (tmp_path / "simpler_env.py").write_text("from support.simpler_stand_in import ENVIRONMENTS, make\n")
    return tmp_path


def command(url: str, out: Path, *options: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in a Python without torch, with ``path`` added to its module path."""
    places = [str(place) for place in (ROOT, ROOT / "test", path) if place is not None]
    arguments = ["fractal", "--url", url, "--json", str(out), *options]
    code = (
        f"import runpy, sys; sys.path[:0] = {places!r}; sys.argv = {arguments!r}; "
        "runpy.run_module('asyncvla_ros.sim.simpler.fractal', run_name='__main__')"
    )
    return run_with_only(("numpy", "scipy", "msgpack", "websockets"), code)


def test_the_command_needs_no_torch_and_its_result_can_be_reported(url: str, simpler_env: Path):
    out = simpler_env / "out" / "fractal.json"
    result = command(url, out, "--task", OPEN, "--episodes", "2", path=simpler_env)
    assert result.returncode == 0, result.stderr
    assert "episode 1 (pick coke can): not solved after 113 steps; success 0.0% (n = 2, " in result.stdout
    metrics = json.loads(out.read_text())
    assert metrics["suite"] == OPEN and metrics["n"] == 2 and len(metrics["ci95"]) == 2
    assert metrics["settings"]["control_hz"] == 3 and metrics["settings"]["sim_hz"] == 513
    assert [file.name for file in out.parent.iterdir()] == ["fractal.json"]
    page = report(out.parent, simpler_env / "results.md")[0].read_text()
    assert f"| fractal | {OPEN} | {metrics['settings']['checkpoint'][:4]} | afm | - | 0/2 |" in page


def test_what_is_wrong_is_one_line(url: str, simpler_env: Path):
    out = simpler_env / "fractal.json"
    for options, path, code, message in (
        (("--task", "widowx_stack_cube"), simpler_env, 2, "choose one of google_robot_pick_coke_can, "),
        (("--n-action-steps", "9"), simpler_env, 2, "n_action_steps is 9"),
        (("--episodes", "0"), simpler_env, 2, "--episodes is 0"),
        ((), None, 2, "No module named 'simpler_env'; this runs in SimplerEnv's own Python"),
        (("--url", "ws://127.0.0.1:1"), simpler_env, 1, "refused"),
    ):
        result = command(url, out, *options, path=path)
        assert result.returncode == code, result.stderr
        assert message in result.stderr and len(result.stderr.splitlines()) == 1
    assert not out.exists()


def test_a_policy_that_is_served_for_another_robot_is_refused(simpler_env: Path):
    with policy_server(tiny_checkpoint(simpler_env / "libero")) as (_, address):
        result = command(address, simpler_env / "fractal.json", path=simpler_env)
    assert result.returncode == 2 and "cameras: expected 1, the policy has 2" in result.stderr


def test_it_is_the_python_of_the_simulator():
    for name in ("fractal.py", "fractal_results.py", "google_robot.py"):
        ast.parse(Path(fractal.__file__).with_name(name).read_text(), feature_version=(3, 10))
