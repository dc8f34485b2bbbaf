"""``asyncvla bench transport``: how many camera images arrive, and how late, with and without our profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import UInt32

from asyncvla_ros.data.message_content import to_ns
from asyncvla_ros.ros import qos
from asyncvla_ros.ros.bench.arm import CAMERAS, camera_topic
from asyncvla_ros.ros.bench.observer import Observer, tails
from asyncvla_ros.ros.bench.settings import TransportSettings
from asyncvla_ros.ros.domain import isolated_domain
from asyncvla_ros.ros.middleware import fastdds_environment, fastdds_profile
from asyncvla_ros.ros.processes import NodeProcesses
from asyncvla_ros.types import AsyncVLAError, RunError

PROCESSES = 2
# For the last images to arrive, and for two processes to start [s].
GRACE_S, START_S = 1.0, 30.0


def bench_transport(settings: TransportSettings) -> dict[str, Any]:
    """Run once with the defaults of Fast DDS and once with ``config/fastdds.xml``.

    Returns:
        ``default`` and ``profile``, each with ``sent``, ``received``, ``p50_ms``, ``p95_ms`` and ``p99_ms``
        from the stamp of an image to its arrival in Python.

    Raises:
        AsyncVLAError: ``/dev/shm`` has no room for the profile.
        RunError: a process failed.
    """
    profile = fastdds_environment(PROCESSES)
    if not profile:
        raise AsyncVLAError(
            f"/dev/shm has no room for the segments of {PROCESSES} processes with {fastdds_profile()}; "
            "in a container start it with --shm-size=1g"
        )
    with isolated_domain() as isolation:
        metrics = {
            name: _in_own_process(settings, {**isolation, **environment})
            for name, environment in (("default", {}), ("profile", profile))
        }
    return {**metrics, "settings": asdict(settings)}


def _in_own_process(settings: TransportSettings, environment: dict[str, str]) -> dict[str, Any]:
    """Measure in a new process, because Fast DDS reads its profile once per process."""
    inherited = {key: value for key, value in os.environ.items() if "DEFAULT_PROFILES_FILE" not in key}
    result = subprocess.run(
        [sys.executable, "-m", "asyncvla_ros.ros.bench.transport", json.dumps(asdict(settings))],
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    if result.returncode:
        raise RunError(f"the receiving process ended with exit code {result.returncode}")
    metrics: dict[str, Any] = json.loads(result.stdout)
    return metrics


def _receive(settings: TransportSettings) -> dict[str, Any]:
    frames = round(settings.hz * settings.seconds)
    expected = frames * settings.cameras
    late_ms: list[float] = []
    sent: list[int] = []
    kind = Image if settings.transport == "raw" else CompressedImage
    with (
        tempfile.TemporaryDirectory() as folder,
        NodeProcesses(Path(folder), {}) as nodes,
        Observer(nodes) as observer,
    ):
        for camera in CAMERAS[: settings.cameras]:
            observer.subscribe(
                kind,
                camera_topic(camera, settings.transport),
                qos.sensor("best_effort"),
                lambda image, now_ns: late_ms.append((now_ns - to_ns(image.header.stamp)) / 1e6),
            )
        observer.subscribe(UInt32, "arm/sent", qos.STATUS, lambda message, _: sent.append(message.data))
        parameters = {key: value for key, value in asdict(settings).items() if key != "seconds"}
        parameters |= {"frames": frames, "joint_hz": 0.0, "autostart": True}
        nodes.start("arm", "asyncvla_ros.ros.bench.arm_node", [], parameters)
        observer.wait(lambda: bool(sent), "end of the images", settings.seconds + START_S)
        observer.settle(lambda: len(late_ms) == expected, GRACE_S)
    metrics = {f"{name}_ms": value for name, value in tails(late_ms).items()}
    return {"sent": sent[0] * settings.cameras, "received": len(late_ms), **metrics}


if __name__ == "__main__":
    print(json.dumps(_receive(TransportSettings(**json.loads(sys.argv[1])))))
