"""Evaluate a policy server in SimplerEnv's Google-robot tasks; see docs/fractal.md.

It runs in SimplerEnv's Python, which needs neither torch nor the rest of this package's requirements.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import WebSocketException

from asyncvla_ros.common.noise_seed import noise_seed
from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.control.plan_memory import PlanMemory
from asyncvla_ros.serve.client import PolicyClient, RequestError
from asyncvla_ros.sim.evaluation.inference import Inference
from asyncvla_ros.sim.simpler.fractal_results import FractalEpisode, FractalSettings, summarize
from asyncvla_ros.sim.simpler.google_robot import (
    ACTION_DIM,
    ACTION_HZ,
    CAMERA,
    STATE_DIM,
    StickyGripper,
    env_action,
    max_steps,
    robot_state,
)
from asyncvla_ros.strategy import MODES, Strategy
from asyncvla_ros.types import ActionChunk, AsyncVLAError, ContractError, StageTimes


def check_policy(features: dict[str, Any], n_action_steps: int | None) -> None:
    """Check that a served policy can drive the Google robot.

    Raises:
        AsyncVLAError: If it cannot; the message names every difference.
    """
    wanted = {
        "cameras": (1, len(features["cameras"])),
        "states": (STATE_DIM, len(features["state_names"])),
        "actions": (ACTION_DIM, len(features["action_names"])),
        "action space": ("delta_ee_pose", features["action_space"]),
        "control rate [Hz]": (ACTION_HZ, features["control_hz"]),
    }
    wrong = [f"{name}: expected {a}, the policy has {b}" for name, (a, b) in wanted.items() if a != b]
    if wrong:
        raise ContractError(f"the served policy is none of the Google robot: {'; '.join(wrong)}")
    if n_action_steps is not None and not 1 <= n_action_steps <= features["chunk_size"]:
        raise AsyncVLAError(
            f"n_action_steps is {n_action_steps}, expected 1 to the {features['chunk_size']} actions "
            "of a chunk"
        )


def run_episode(
    env: Any, client: PolicyClient, features: dict[str, Any], settings: FractalSettings, number: int
) -> FractalEpisode:
    """Run one episode to its end; a solved task continues, because it can be undone."""
    world, camera = env.unwrapped, features["cameras"][0]["key"]
    execute = settings.n_action_steps or features["n_action_steps"]
    options = {"obj_init_options": {"episode_id": number}}
    obs, _ = env.reset(seed=noise_seed(settings.seed, number), options=options)
    first = instruction = world.get_language_instruction()
    gripper = StickyGripper()
    pending: list[np.ndarray] = []
    plans = PlanMemory()
    inferences: list[Inference] = []
    success = ever = ended = False
    steps = 0
    while steps < max_steps(settings.task) and not ended:
        if (now := world.get_language_instruction()) != instruction:
            # The next part of a long task: the plan for the previous one is void.
            instruction, gripper, pending, plans = now, StickyGripper(), [], PlanMemory()
        if not pending:
            seed, previous = noise_seed(settings.seed, number, len(inferences)), plans.previous(steps)
            reply = client.infer(
                {camera: obs["image"][CAMERA]["rgb"]},
                robot_state(world, obs),
                instruction,
                seed=seed,
                strategy=asdict(settings.strategy),
                previous=None if previous is None else vars(previous),
            )
            chunk = chunk_of_reply(reply)
            inferences.append(Inference(steps, seed, instruction, chunk))
            plans.note(steps, steps, chunk.actions, chunk.draft)
            pending = list(reply["actions"][:execute])
        obs, _, done, ended, _ = env.step(env_action(pending.pop(0), gripper))
        success, steps = bool(done), steps + 1
        ever = ever or success
    return FractalEpisode(number, first, success, ever, steps=steps, inferences=tuple(inferences))


def chunk_of_reply(reply: Mapping[str, Any]) -> ActionChunk:
    """Read what a server answered; see docs/serve.md."""
    told = ("confidence", "variance", "kept", "draft", "surprise", "disagreement")
    return ActionChunk(
        actions=reply["actions"],
        refined=reply["refined"],
        n_frozen=reply.get("committed", 0),
        times=StageTimes.of_keys(reply["times_ms"]),
        **{"confidence": None, **{name: reply[name] for name in told if name in reply}},
    )


def evaluate(
    env: Any,
    client: PolicyClient,
    settings: FractalSettings,
    on_episode: Callable[[dict[str, Any]], None] = lambda metrics: None,
) -> dict[str, Any]:
    """Run all episodes; call ``on_episode`` with the metrics so far after each.

    Raises:
        AsyncVLAError: If policy and environment do not fit.
        RequestError: If the server refuses.
    """
    features = with_present_keys(client.features())
    check_policy(features, settings.n_action_steps)
    # Steps stay open, as elsewhere: they are the checkpoint's, which is recorded.
    own = {k: v for k, v in features.get("strategy", {}).items() if not k.endswith("_steps")}
    settings = replace(settings, strategy=settings.strategy.complete(own))
    if env.unwrapped.control_freq != ACTION_HZ:
        raise ContractError(
            f"{settings.task} runs at {env.unwrapped.control_freq} Hz, expected {ACTION_HZ:g}"
        )
    episodes: list[FractalEpisode] = []
    metrics: dict[str, Any] = {}
    for number in range(settings.episodes):
        episodes.append(run_episode(env, client, features, settings, number=number))
        metrics = summarize(episodes, settings, features, env.unwrapped.sim_freq)
        on_episode(metrics)
    return metrics


def _make(task: str) -> Any:
    try:
        import simpler_env
    except ImportError as error:
        raise AsyncVLAError(f"{error}; this runs in SimplerEnv's own Python, see docs/fractal.md") from error
    tasks = [name for name in simpler_env.ENVIRONMENTS if name.startswith("google_robot")]
    if task not in tasks:
        raise AsyncVLAError(f"--task is {task!r}, choose one of {', '.join(tasks)}")
    return simpler_env.make(task)


def _write(metrics: dict[str, Any], out: Path) -> None:
    partial = out.with_name(f".{out.name}.partial")
    partial.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
    partial.replace(out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", default="google_robot_pick_coke_can", help="task of simpler_env")
    parser.add_argument("--episodes", type=int, default=25, help="how many (25)")
    parser.add_argument("--url", default="ws://127.0.0.1:8765", help="address that asyncvla serve printed")
    parser.add_argument("--mode", choices=MODES, help="default: as the checkpoint says")
    parser.add_argument("--seed", type=int, default=FractalSettings.seed, help="of scenes and noise (0)")
    parser.add_argument(
        "--n-action-steps", "--execute-steps", type=int, help="actions executed of each chunk"
    )
    parser.add_argument("--json", type=Path, required=True, help="receives the metrics after each episode")
    return parser.parse_args()


def main() -> None:
    """Run the command line: errors for the user are one line; exit codes as those of ``asyncvla``."""
    asked = _arguments()

    def report(metrics: dict[str, Any]) -> None:
        _write(metrics, asked.json)
        last = metrics["episodes"][-1]
        low, high = metrics["ci95"]
        print(
            f"episode {last['init']} ({last['instruction']}): {'solved' if last['success'] else 'not solved'}"
            f" after {last['steps']} steps; success {metrics['success_rate']:.1%} (n = {metrics['n']}, 95 % "
            f"interval {low:.1%} to {high:.1%}), at any step {metrics['success_ever_rate']:.1%}",
            flush=True,
        )

    try:
        if asked.episodes < 1 or asked.seed < 0:
            raise AsyncVLAError(
                f"--episodes is {asked.episodes} and --seed is {asked.seed}, expected at least 1 and 0"
            )
        asked.json.parent.mkdir(parents=True, exist_ok=True)
        settings = FractalSettings(
            asked.task, asked.episodes, Strategy(asked.mode), asked.seed, n_action_steps=asked.n_action_steps
        )
        with PolicyClient(asked.url) as client:
            evaluate(_make(asked.task), client, settings, report)
    except AsyncVLAError as error:
        sys.exit(_said(error, 2))
    except (OSError, RequestError, WebSocketException) as error:
        sys.exit(_said(error, 1))


def _said(error: Exception, code: int) -> int:
    print(f"fractal: {error}", file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
