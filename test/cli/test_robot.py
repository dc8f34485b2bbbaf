"""``asyncvla check`` and ``new-robot``, from the arguments to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from asyncvla_ros.cli.main import main
from asyncvla_ros.paths import share_dir, shipped_checkpoint
from asyncvla_ros.robot.contract_file import load_robot
from asyncvla_ros.robot.listing import listings
from support.drafts import filled_in
from support.urdf import URDF

ROBOTS = sorted(path.stem for path in (share_dir() / "config" / "robots").glob("*.yaml"))


@dataclass(frozen=True)
class Result:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def run(monkeypatch, capsys) -> Callable[..., Result]:
    """Run the command line in this process: another one would spend its time on imports."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["asyncvla", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Result(int(end.value.code or 0), *capsys.readouterr())

    return run


def test_check_explains_a_contract_and_that_it_fits(run):
    result = run("check", "--robot", "libero_panda", "--checkpoint", str(shipped_checkpoint()))
    assert result.returncode == 0, result.stderr
    for word in ("agentview/image_raw", "ee_r11", "delta per step", "~/command", "0.5 s"):
        assert word in result.stdout
    assert f"libero_panda fits {shipped_checkpoint()}" in result.stdout


def test_check_lists_every_mismatch_and_exits_with_1(run):
    result = run("check", "--robot", "ur5e", "--checkpoint", str(shipped_checkpoint()))
    assert result.returncode == 1
    assert f"ur5e does not fit {shipped_checkpoint()}" in result.stdout
    for word in (
        "emergency stop: time",
        "/io_and_status_controller/safety_mode",
        "following error",
        "0.69 s",
    ):
        assert word in result.stdout, "check says what a stop takes, and what else stops the arm"
    for line in (
        "- cameras: the checkpoint expects agentview, wrist, the robot has base, wrist",
        "- action space: the checkpoint expects delta_ee_pose, the robot has joint_position",
    ):
        assert line in result.stdout


def test_bad_usage_of_check_exits_with_2(run, tmp_path):
    unknown = run("check", "--robot", "ur17")
    assert unknown.returncode == 2 and "Traceback" not in unknown.stderr
    assert ", ".join(ROBOTS) in unknown.stderr
    assert run("check").returncode == 2
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: broken\n")
    result = run("check", "--robot", str(broken))
    assert result.returncode == 2 and "the key action is missing" in result.stderr
    no_checkpoint = run("check", "--robot", "ur5e", "--checkpoint", str(tmp_path))
    assert no_checkpoint.returncode == 2 and "is not an AsyncVLA checkpoint" in no_checkpoint.stderr


@pytest.mark.parametrize("name", ROBOTS)
def test_every_shipped_contract_can_be_explained(name):
    robot = load_robot(share_dir() / "config" / "robots" / f"{name}.yaml")
    for listing in listings(robot):
        assert listing.rows and all(len(row) == len(listing.columns) for row in listing.rows)


def test_new_robot_writes_a_contract_that_check_explains_once_filled_in(run, tmp_path):
    urdf, out = tmp_path / "arm.urdf", tmp_path / "robots" / "arm.yaml"
    urdf.write_text(URDF)
    result = run("new-robot", "arm", "--urdf", str(urdf), "--out", str(out))
    assert result.returncode == 0, result.stderr
    assert f"{out}: fill in 5 lines (FILL_IN)" in result.stdout
    blank = run("check", "--robot", str(out))
    assert blank.returncode == 2 and "not filled in yet: FILL_IN in line 5, 15" in blank.stderr
    out.write_text(filled_in(out.read_text()))
    whole = run("check", "--robot", str(out))
    assert whole.returncode == 0 and "arm is a valid contract; to compare it with a policy" in whole.stdout
    again = run("new-robot", "arm", "--urdf", str(urdf), "--out", str(out))
    assert again.returncode == 2 and "exists; choose another file with --out" in again.stderr


def test_bad_usage_of_new_robot_exits_with_2(run, tmp_path):
    out = str(tmp_path / "arm.yaml")
    for arguments, message in (
        (("arm",), "expected --urdf FILE, --live, or both"),
        (("my arm", "--live"), "expected letters, digits and _"),
        (("arm", "--urdf", str(tmp_path / "absent.urdf")), "cannot read the URDF"),
    ):
        result = run("new-robot", *arguments, "--out", out)
        assert result.returncode == 2 and message in result.stderr, result.stderr
