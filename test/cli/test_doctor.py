"""``asyncvla doctor``: each check with machines that are not this one, and all of them on this one."""

from __future__ import annotations

import json
import sys

import pytest

from asyncvla_ros.cli import doctor as checks
from asyncvla_ros.cli.doctor import FAULT, OK, WARNING, Finding, ProgramOutput, ask, python
from asyncvla_ros.cli.main import main
from asyncvla_ros.paths import shipped_checkpoint
from asyncvla_ros.ros.middleware import fastdds_profile, udp_environment

NO = ProgramOutput("No module named 'it'", is_good=False)


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["asyncvla", "doctor", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0), capsys.readouterr().out

    return run


@pytest.fixture
def environment(monkeypatch):
    for name in ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_DISTRO"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def answers(**by_code: ProgramOutput):
    """In place of ``ask``: ``REAL_TIME=ProgramOutput(...)``; what is not named is not there."""

    def ask(command):
        return next((by_code[name] for name in by_code if getattr(checks, name) == command[-1]), NO)

    return ask


def levels(findings: list[Finding]) -> dict[str, str]:
    return {finding.subject: finding.level for finding in findings}


def test_without_a_fault_the_exit_code_is_0(run, environment):
    code, out = run()
    assert code == 0
    for word in ("Python", "messages", "real time", "kernel", "cores", "GPU", "checkpoint", "0 faults"):
        assert word in out


def test_a_fault_is_said_and_ends_with_1(run, environment, tmp_path):
    environment.setattr(checks, "ask", answers(REAL_TIME=ProgramOutput("[40, []]", is_good=True)))
    code, out = run("--checkpoint", str(tmp_path))
    assert code == 1
    assert "fault    ROS            rclpy cannot be used: No module named 'it'" in out
    assert "-> source /opt/ros/DISTRO/setup.bash" in out
    assert "fault    messages" in out and "is not an AsyncVLA checkpoint" in out
    assert "3 faults" in out


def test_what_a_program_says_or_why_it_failed():
    assert ask(python("print('fine')")) == ProgramOutput("fine", is_good=True)
    assert ask(python("import sys; sys.exit('no good')")) == ProgramOutput("no good", is_good=False)
    assert ask(python("import os; os._exit(102)")).text.endswith("ended with exit code 102")
    missing = ask(["/no/such/program"])
    assert not missing.is_good and "No such file" in missing.text


def test_another_distribution_is_a_warning(environment):
    there = ProgramOutput("rmw_fastrtps_cpp", is_good=True)
    assert checks.ros(there).level == OK
    environment.setenv("ROS_DISTRO", "foxy")
    assert checks.ros(there) == Finding(WARNING, "ROS", "foxy; tried with humble, jazzy, kilted")


def test_images_need_a_profile_or_large_buffers(environment, tmp_path):
    small = tmp_path / "rmem_max"
    small.write_text("212992\n")
    variable = next(iter(udp_environment()))
    found = list(checks.middleware("rmw_fastrtps_cpp", small))
    assert levels(found) == {"middleware": WARNING, "UDP buffers": WARNING}
    assert found[0].remedy.startswith(f"export {variable}={fastdds_profile()}")

    environment.setenv(variable, str(fastdds_profile()))
    (found,) = checks.middleware("rmw_fastrtps_cpp", small)
    assert "with the shipped profile" in found.text

    environment.setenv(variable, str(tmp_path / "absent.xml"))
    assert "which is no file" in next(checks.middleware("rmw_fastrtps_cpp", small)).text

    own = tmp_path / "own.xml"
    own.write_text("<dds/>")
    environment.setenv(variable, str(own))
    assert levels(list(checks.middleware("rmw_fastrtps_cpp", tmp_path / "none"))) == {"middleware": OK}
    assert levels(list(checks.middleware("rmw_cyclonedds_cpp", small))) == {
        "middleware": OK,
        "UDP buffers": WARNING,
    }


def test_every_refusal_of_real_time_is_a_warning():
    granted, refused = (
        ProgramOutput("[40, []]", is_good=True),
        ProgramOutput(json.dumps([40, ["no priority", "no memory"]]), is_good=True),
    )
    assert [finding.level for finding in checks.real_time(granted)] == [OK]
    assert [(finding.level, finding.text) for finding in checks.real_time(refused)] == [
        (WARNING, "no priority"),
        (WARNING, "no memory"),
    ]
    assert next(checks.real_time(NO)).level == WARNING


@pytest.mark.parametrize(
    ("version", "level"),
    (
        ("#1 SMP PREEMPT_RT Tue Jun 3", OK),
        ("#8-Ubuntu SMP PREEMPT_DYNAMIC", WARNING),
        ("#1 SMP PREEMPT RT", OK),
    ),
)
def test_only_a_real_time_kernel_is_one(version, level):
    assert checks.kernel(version).level == level


def test_the_governor_of_every_core_counts(tmp_path):
    assert list(checks.governor(tmp_path)) == []
    for core, name in enumerate(("performance", "performance")):
        file = tmp_path / f"cpu{core}" / "cpufreq" / "scaling_governor"
        file.parent.mkdir(parents=True)
        file.write_text(name + "\n")
    assert next(checks.governor(tmp_path)).level == OK
    file.write_text("powersave\n")
    finding = next(checks.governor(tmp_path))
    assert (finding.level, finding.text) == (WARNING, "performance, powersave")


def test_few_cores_are_a_warning():
    assert [checks.cores(count).level for count in (1, 3, 4, 64)] == [WARNING, WARNING, OK, OK]


def test_without_torch_only_the_controller_runs():
    assert checks.gpu(NO).level == WARNING and "the policy does not" in checks.gpu(NO).text
    assert checks.gpu(ProgramOutput('["2.8", "NVIDIA RTX"]', is_good=True)).text == "NVIDIA RTX, torch 2.8"
    assert "torch 2.8" in checks.gpu(ProgramOutput('["2.8", ""]', is_good=True)).text


def test_weights_that_are_only_a_pointer_are_a_fault(tmp_path):
    assert checks.weights(shipped_checkpoint()).level == OK
    (tmp_path / "features.json").write_text((shipped_checkpoint() / "features.json").read_text())
    assert checks.weights(tmp_path).level == FAULT
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    finding = checks.weights(tmp_path)
    assert finding.level == FAULT and "model.safetensors holds no weights" in finding.text


def test_a_clock_that_is_not_synchronized_is_a_warning():
    normal, adrift = "Leap status     : Normal", "Leap status     : Not synchronized"
    assert checks.clock(NO, NO).level == OK
    assert checks.clock(ProgramOutput("yes", is_good=True), NO).level == OK
    assert checks.clock(ProgramOutput("no", is_good=True), ProgramOutput(normal, is_good=True)).level == OK
    assert checks.clock(ProgramOutput("no", is_good=True), NO).level == WARNING
    assert checks.clock(NO, ProgramOutput(adrift, is_good=True)).level == WARNING
