"""Parameters of recorder_node."""

from __future__ import annotations

from dataclasses import dataclass

from asyncvla_ros.ros.parameters import parameter

AROUND = ("tasks", "episodes", "nothing")


@dataclass(frozen=True)
class RecorderParameters:
    """Parameters of recorder_node."""

    robot: str = parameter(
        "libero_panda", "Robot contract: a name in config/robots or a .yaml", read_only=True
    )
    out: str = parameter("episodes", "Folder that receives a folder for each episode", read_only=True)
    around: str = parameter(
        "tasks",
        "What begins and ends an episode beside services and keys: tasks of the policy, episodes of a "
        "simulator, or nothing",
        choices=AROUND,
        read_only=True,
    )
    instruction: str = parameter("", "Instruction of episodes without one; empty: what the chunks say")
    chunk_topic: str = parameter(
        "policy/action_chunk", "Topic of the action chunks", read_only=True, is_topic=True
    )
    task_topic: str = parameter(
        "policy/run_task/_action/status", "Status of the policy's tasks", read_only=True, is_topic=True
    )
    episode_status_topic: str = parameter(
        "", "Simulator's EpisodeStatus; empty: none", read_only=True, is_topic=True
    )
    policy: str = parameter("policy", "Node that is asked how it decides; empty: none", read_only=True)
    keyboard: bool = parameter(False, "Takes keys from the terminal", read_only=True)
    autostart: bool = parameter(False, "Configure and activate at the start", read_only=True)
