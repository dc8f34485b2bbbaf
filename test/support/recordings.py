"""Recordings of an arm of two joints whose motion is known, and a policy that knows it, too."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from asyncvla_ros.bags.messages import Messages
from asyncvla_ros.bags.writer import BagWriter
from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.data.robot_policy import Question
from asyncvla_ros.model.config import RaterConfig
from asyncvla_ros.robot.contract import RobotContract
from asyncvla_ros.robot.contract_file import parse_robot
from asyncvla_ros.strategy import Strategy
from asyncvla_ros.types import ActionChunk, CameraFeature, FeatureContract, Observation, StageTimes

BEGIN_NS, STEP_NS, MS = 1_700_000_000_000_000_000, 50_000_000, 1_000_000
HEIGHT, WIDTH, LENGTH = 24, 32, 8
CONTRACT: dict[str, Any] = {
    "name": "two_joints",
    "action_hz": 20.0,
    "base_frame": "base",
    "cameras": [
        {"key": "front", "topic": "front/image_raw", "transport": "raw"},
        {"key": "hand", "topic": "hand/image_raw/compressed", "transport": "compressed"},
    ],
    "state": [{"type": "JointState", "topic": "joint_states", "joints": ["j1", "j2"], "names": ["a", "b"]}],
    "action": {
        "space": "joint_position",
        "dofs": [
            {"name": name, "unit": "rad", "scale": 1.0, "limits": {"position": [-2.0, 2.0]}}
            for name in ("a", "b")
        ],
    },
    "outputs": [
        {"adapter": "action_command", "topic": "~/command"},
        {"adapter": "forward_position", "topic": "arm/commands", "dofs": ["a", "b"], "joints": ["j1", "j2"]},
    ],
    "timeouts": {"chunk_s": 0.5, "observation_s": 0.5},
}
FEATURES = FeatureContract(
    cameras=(CameraFeature("front", HEIGHT, WIDTH), CameraFeature("hand", HEIGHT, WIDTH)),
    state_names=("a", "b"),
    action_names=("a", "b"),
    action_space="joint_position",
    action_hz=20.0,
)


def two_joints(**changes: Any) -> RobotContract:
    return parse_robot({**CONTRACT, **changes}, "two_joints")


def write_contract(folder: Path) -> Path:
    file = folder / "two_joints.yaml"
    file.write_text(yaml.safe_dump(CONTRACT, sort_keys=False))
    return file


def motion(time_ns: int) -> np.ndarray:
    """(2,) where the joints are, and what is commanded [rad]."""
    seconds = (time_ns - BEGIN_NS) / 1e9
    return np.array([np.sin(seconds), np.cos(seconds)])


def picture(step: int) -> np.ndarray:
    """Of one gray, which tells the step."""
    return np.full((HEIGHT, WIDTH, 3), step % 200, np.uint8)


class Recording:
    """Writes messages of the arm; use as a context manager.

    Args:
        folder: Of the recording.
        namespace: Of the robot.
    """

    def __init__(self, folder: Path, namespace: str = ""):
        self.bag = BagWriter(folder)
        self.make: Messages = self.bag.messages
        self._namespace = namespace

    def __enter__(self) -> Recording:
        self.bag.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:
        self.bag.__exit__(*details)

    def write(self, topic: str, log_ns: int, message: Any) -> None:
        self.bag.write(f"{self._namespace}/{topic}", log_ns, message)

    def front(self, stamp_ns: int, step: int, log_ns: int | None = None, **changes: Any) -> None:
        """Write a raw picture."""
        values = {"height": HEIGHT, "width": WIDTH, "encoding": "rgb8", "step": 3 * WIDTH}
        values |= {"data": picture(step).ravel(), **changes}
        message = self.make.make("sensor_msgs/msg/Image", header=self.make.header(stamp_ns), **values)
        self.write("front/image_raw", log_ns or stamp_ns, message)

    def hand(self, stamp_ns: int, step: int) -> None:
        """Write a compressed picture."""
        message = self.make.make(
            "sensor_msgs/msg/CompressedImage",
            header=self.make.header(stamp_ns),
            format="png",
            data=cv2.imencode(".png", picture(step))[1].ravel(),
        )
        self.write("hand/image_raw/compressed", stamp_ns, message)

    def joints(self, stamp_ns: int, names: Collection[str] = ("j1", "j2"), log_ns: int | None = None) -> None:
        """Where the joints are, in this order."""
        known = dict(zip(("j1", "j2"), motion(stamp_ns), strict=True))
        message = self.make.make(
            "sensor_msgs/msg/JointState",
            header=self.make.header(stamp_ns),
            name=list(names),
            position=np.array([known.get(name, 0.0) for name in names]),
        )
        self.write("joint_states", log_ns or stamp_ns, message)

    def command(self, stamp_ns: int, source: int = 1) -> None:
        """Write a command that was executed."""
        message = self.make.make(
            "asyncvla_msgs/msg/ActionCommand",
            header=self.make.header(stamp_ns),
            source=source,
            action_space="joint_position",
            dof_names=["a", "b"],
            action=motion(stamp_ns).astype(np.float32),
        )
        self.write("controller/command", stamp_ns, message)

    def chunk(self, stamp_ns: int, instruction: str = "lift it") -> None:
        """Write a chunk of the policy."""
        actions = np.stack([motion(stamp_ns + step * STEP_NS) for step in range(LENGTH)])
        message = self.make.make(
            "asyncvla_msgs/msg/ActionChunk",
            header=self.make.header(stamp_ns),
            chunk_id=1,
            action_space="joint_position",
            dof_names=["a", "b"],
            step=self.make.duration(STEP_NS),
            actions=actions.astype(np.float32).ravel(),
            instruction=instruction,
        )
        self.write("policy/action_chunk", stamp_ns, message)

    def step(self, step: int, *parts: Callable[..., None]) -> int:
        """All of a control step, or some of it; returns its stamp [ns]."""
        stamp_ns = BEGIN_NS + step * STEP_NS
        for part in parts or (self.joints, self.front, self.hand, self.command):
            arguments = (stamp_ns, step) if part in (self.front, self.hand) else (stamp_ns,)
            part(*arguments)
        return stamp_ns


def write_recording(folder: Path, steps: int = 80, **changes: Any) -> Path:
    """Write a whole recording: every stream at each control step, a chunk at every fourth."""
    with Recording(folder, **changes) as recording:
        for step in range(steps):
            stamp_ns = recording.step(step)
            if step % 4 == 0:
                recording.chunk(stamp_ns)
    return folder


class KnowingPolicy:
    """Decides what was done, and ``offset`` more; its confidence falls along the chunk."""

    features = FEATURES
    chunk_size = LENGTH
    rater = RaterConfig(num_layers=1)
    action_stats = NormStats.of(np.random.default_rng(0).uniform(-1, 1, size=(50, 2)))

    def __init__(self, offset: tuple[float, float] = (0.0, 0.0)):
        self.offset = np.array(offset)
        self.asked: list[Observation] = []

    def resolve(self, strategy: Strategy) -> Strategy:
        return strategy.complete({"denoise_steps": 1, "refine_steps": 1})

    def check(self, strategy: Any) -> None:
        pass

    def unknown_words(self, instruction: str) -> tuple[str, ...]:
        return ()

    def infer(self, observation: Observation, strategy: Any, previous: Any, seed: int | None) -> ActionChunk:
        self.asked.append(observation)
        due = [observation.stamp_ns + step * STEP_NS for step in range(LENGTH)]
        actions = np.stack([motion(time_ns) + self.offset for time_ns in due]).astype(np.float32)
        confidence = np.linspace(0.9, 0.2, LENGTH, dtype=np.float32)
        refined = np.arange(LENGTH) >= LENGTH // 2
        return ActionChunk(actions, confidence, refined, 0, StageTimes(1, 2, 3, 4, 10))


class KnowingInference:
    """``bags.inference.InferencePool`` of such a policy, at once."""

    name, workers = "knowing", 1

    def __init__(self, offset: tuple[float, float] = (0.0, 0.0)):
        self.policy: Any = KnowingPolicy(offset)

    def ask(self, question: Question) -> Future[ActionChunk]:
        future: Future[ActionChunk] = Future()
        future.set_result(question.answer(self.policy))
        return future

    def peak_rss_mb(self) -> float:
        return 0.0
