"""``asyncvla demo`` as a user runs it: whatever happens, no node outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.types import RunError
from support.checkpoints import tiny_checkpoint

pytestmark = [pytest.mark.ros, pytest.mark.libero, pytest.mark.slow, pytest.mark.timeout(400)]


def start_demo(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "asyncvla_ros.cli", "demo", "--headless", "--rendering", "decimated"]
    checkpoint = tiny_checkpoint(tmp_path / "tiny", n_action_steps=7)
    command += ["--inits", "0", "--checkpoint", str(checkpoint), "--out", str(tmp_path / "out"), *options]
    pipe = subprocess.PIPE
    # Ignored signals are inherited; a test runner in the background ignores SIGINT.
    return subprocess.Popen(
        command, stdout=pipe, stderr=subprocess.STDOUT, text=True, preexec_fn=_default_sigint
    )


def _default_sigint() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def nodes_of(folder: Path) -> list[int]:
    """Node processes that write their log into this test's folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            is_node = b"asyncvla_ros.ros." in (entry / "cmdline").read_bytes()
            if is_node and (entry / "fd" / "1").readlink().is_relative_to(folder):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def read_until(process: subprocess.Popen[str], text: str) -> str:
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if text in line:
            return output
    raise AssertionError(f"the demo ended before it said {text!r}:\n{output}")


def test_an_episode_ends_with_metrics_and_pictures(tmp_path: Path):
    metrics = tmp_path / "demo.json"
    demo = start_demo(tmp_path, "--json", str(metrics))
    output, _ = demo.communicate(timeout=380)
    assert demo.returncode == 0, output
    result = json.loads(metrics.read_text())
    (episode,) = result["episodes"]
    assert episode["steps"] == 280, "random weights solve nothing"
    assert episode["inferences"] == 40, "one for each seven steps, as the checkpoint says"
    assert (
        0 < result["latency_ms"]["camera_to_chunk"]["p50"] <= result["latency_ms"]["camera_to_command"]["p99"]
    )
    assert (tmp_path / "out" / "demo.mp4").stat().st_size > 10_000
    assert list((tmp_path / "out").glob("timeline_*.png"))
    said = (tmp_path / "out" / "logs" / "libero_sim.log").read_text()
    assert "not solved in 280 control steps" in said
    warned = [log for log in (tmp_path / "out" / "logs").glob("*.log") if "[WARN]" in log.read_text()]
    assert not warned, "nothing is wrong with an episode that ends"
    assert not nodes_of(tmp_path)


def test_ctrl_c_leaves_no_process_behind(tmp_path: Path):
    demo = start_demo(tmp_path)
    read_until(demo, "episode from initial state 0")
    assert nodes_of(tmp_path)
    demo.send_signal(signal.SIGINT)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert not nodes_of(tmp_path)


def test_a_killed_node_fails_the_demo_with_its_log(tmp_path: Path):
    demo = start_demo(tmp_path)
    read_until(demo, "episode from initial state 0")
    policy = next(
        pid for pid in nodes_of(tmp_path) if b"policy_node" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(policy, signal.SIGKILL)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 1 and "node policy ended with exit code -9" in output
    assert not nodes_of(tmp_path)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [("--inits", "0-50", "initial states 0 to 49"), ("--mode", "sync", "expected one of afm, sfm")],
)
def test_bad_usage_exits_with_2_and_the_choices(tmp_path: Path, option: str, value: str, message: str):
    demo = start_demo(tmp_path, option, value)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 2 and message in output
    assert not nodes_of(tmp_path)


def test_a_node_that_cannot_start_says_why(tmp_path: Path):
    with NodeProcesses(tmp_path / "logs", {}) as nodes:
        nodes.start("policy", "asyncvla_ros.ros.nothing", [], {})
        nodes._running["policy"].wait(60)
        with pytest.raises(RunError, match="No module named"):
            nodes.check()
