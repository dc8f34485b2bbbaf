"""What a person sees who starts an executable, and changes their mind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

NODES = ("controller", "libero_sim", "policy", "visualizer")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_it_loads_is_no_error(number):
    # The signal comes in the middle of the import.
    interrupted = (
        "import importlib, os\n"
        f"importlib.import_module = lambda name: os.kill(os.getpid(), {int(number)})\n"
        "from asyncvla_ros.ros.policy_node import main\n"
        "main()"
    )
    ended = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_to_load_the_executables_takes_neither_torch_nor_matplotlib():
    loads = "".join(f"import asyncvla_ros.ros.{name}.node\n" for name in NODES)
    # What an unfit matplotlib prints when it is loaded hides the line that matters.
    heavy = "import sys; print([name for name in ('torch', 'matplotlib', 'numba') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", loads + heavy], capture_output=True, text=True, timeout=120)
    assert ended.stdout.strip() == "[]", ended.stderr
