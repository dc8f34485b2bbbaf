"""Fixtures of all tests. What needs ROS imports it inside, so that unit tests run without it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from asyncvla_ros.ros.domain import free_domain
from asyncvla_ros.sim.simpler.bridge.vulkan import render_backend, vulkan_environment
from support.node_process import NodeProcess, node_command

if TYPE_CHECKING:
    from support.ros_client import RosClient


# A busy machine is no failure: nothing here asserts how long anything takes.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _has_vulkan() -> bool:
    """Try it in a separate process, which also finds whether mani-skill's renderer is installed."""
    try_it = f"import sapien; sapien.render.RenderSystem({'cuda' if render_backend() == 'gpu' else 'cpu'!r})"
    command, variables = [sys.executable, "-c", try_it], vulkan_environment(os.environ)
    return subprocess.run(command, env=variables, capture_output=True, check=False).returncode == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips exactly what a machine can lack: a GPU, Vulkan, and a ROS distribution's launch files."""
    if any(item.get_closest_marker("gpu") for item in items) and not _has_gpu():
        _skip(items, "gpu", "no CUDA GPU")
    if any(item.get_closest_marker("vulkan") for item in items) and not _has_vulkan():
        _skip(items, "vulkan", "no Vulkan to render with; python3 tools/vulkan.py unpacks one")
    if importlib.util.find_spec("launch_ros") is None:
        _skip(items, "launch", "launch_ros is not installed; it comes with a ROS distribution")


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def ros_domain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int | None]:
    """Give each test marked ``ros`` a ROS_DOMAIN_ID of its own, on this machine only."""
    if request.node.get_closest_marker("ros") is None:
        yield None
        return
    with free_domain() as domain:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield domain


@pytest.fixture
def start_process(ros_domain: int | None) -> Iterator[Callable[..., NodeProcess]]:
    """Start ``python <arguments>`` processes; end them, with all their children, after the test.

    Their output is printed at the end: pytest shows it when the test failed.
    """
    started: list[NodeProcess] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> NodeProcess:
        process = NodeProcess(arguments, env)
        started.append(process)
        return process

    yield start
    for process in reversed(started):
        code = process.stop()
        print(f"--- python {' '.join(process.command)} (exit code {code})\n{process.output}")


@pytest.fixture
def start_node(start_process: Callable[..., NodeProcess]) -> Callable[..., NodeProcess]:
    """Start ``asyncvla_ros.ros.<module>``: ``start_node("policy_node", params={...}, remap={...})``."""

    def start(module: str, env: dict[str, str] | None = None, **options: Any) -> NodeProcess:
        return start_process(*node_command(module, **options), env=env)

    return start


@pytest.fixture
def ros_client(ros_domain: int | None) -> Iterator[RosClient]:
    """Yield a spinning node in the test's own process, see ``support.ros_client``."""
    from support.ros_client import RosClient

    assert ros_domain is not None, "a test that uses ros_client must be marked ros"
    with RosClient() as client:
        yield client
