"""JSON files of results, and their common parts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncvla_ros.common.renamed import with_present_keys
from asyncvla_ros.strategy import RATING, Strategy
from asyncvla_ros.types import AsyncVLAError

#: Settings by which an evaluation differs from the official one, with their names.
CONTROLS = {
    "blank_images": "blank images",
    "displace_m": "displaced",
    "wrong_instruction": "wrong instruction",
    "random_placements": "random placements",
}
_REFINING = ("select", "threshold", "rounds", "refine_steps")
_KINDS = {
    "eval": "success_rate",
    "bridge": "success_last",
    "bench": "cached_ms",
    "rater": "auroc_worst_quarter",
    "demos": "action_accuracy",
    "expert": "expert_suite",
}


@dataclass(frozen=True)
class Source:
    """A JSON file with its content."""

    name: str
    values: Mapping[str, Any]


def load(folder: Path) -> dict[str, list[Source]]:
    """Sort the JSON files under a folder by kind; ignore others."""
    found: dict[str, list[Source]] = {kind: [] for kind in _KINDS}
    for file in sorted(folder.rglob("*.json")):
        try:
            values = json.loads(file.read_text(), object_hook=with_present_keys)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise AsyncVLAError(f"{file} is no JSON file: {error}") from error
        if not isinstance(values, dict) or "latency_ms" in values:
            continue  # A demo's result: over ROS, with other noise.
        for kind, key in _KINDS.items():
            if key in values:
                found[kind].append(Source(str(file.relative_to(folder).with_suffix("")), values))
    if not any(found.values()):
        raise AsyncVLAError(
            f"{folder} has no result, expected JSON files of `asyncvla eval`, `bench policy` or the "
            "rater.json of `train-rater`"
        )
    return found


def strategy_of(values: Mapping[str, Any], mode: str | None = None) -> str:
    """Return ``arm_of`` and the number of executed actions; ``mode`` replaces the mode."""
    arm = arm_of(values, **({} if mode is None else {"mode": mode}))
    executed = values["settings"].get("n_action_steps")
    return f"{arm}, n_action_steps {executed}" if executed else arm


def arm_of(values: Mapping[str, Any], **instead: Any) -> str:
    """Return the mode and the differences from the paper's strategy; arguments replace fields."""
    default = vars(Strategy().complete({}))
    given = _strategy(values) | instead
    # Fields that nothing reads make no difference: the choice of a single draft, guidance without ``guided``.
    refining = set(_REFINING) - ({"threshold"} if given["handover"] in RATING else set())
    ignored = {
        "mode",
        *(refining if given["mode"] == "sfm" else ()),
        *(("choose",) if given["best_of"] == 1 else ()),
        *(("jacobian", "guidance") if given["handover"] != "guided" else ()),
    }
    changed = [
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in given.items()
        if k not in ignored and v is not None and v != default.get(k)
    ]
    return ", ".join([given["mode"], *changed])


def euler_steps(values: Mapping[str, Any]) -> int:
    """Return how many Euler steps an inference has at most; a stage of unknown steps counts one."""
    given = _strategy(values)
    draft, refinement = given["denoise_steps"] or 1, given["refine_steps"] or 1
    return int(given["best_of"] * draft + (given["rounds"] * refinement if given["mode"] == "afm" else 0))


def switches(values: Mapping[str, Any]) -> bool:
    """Return whether each chunk replaced the one before it, with no other handover."""
    return bool(_strategy(values)["handover"] == "switch")


def _strategy(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the strategy of an evaluation; what it leaves open is as in the paper."""
    said = {k: v for k, v in values["settings"]["strategy"].items() if v is not None}
    return {**vars(Strategy().complete({})), **said}


def interval_of(values: Mapping[str, Any]) -> int | None:
    """Return the control steps between inferences, or executed of a chunk; None: the checkpoint's own."""
    settings = values["settings"]
    return settings.get("replan") if settings.get("delay") else settings.get("n_action_steps")


def short(fingerprint: str | None) -> str:
    """Return the start of a checkpoint's fingerprint, which identifies a policy; ``-`` for none."""
    return (fingerprint or "-")[:4]


def controls_of(values: Mapping[str, Any]) -> str:
    """Return the differences of an evaluation from the official one; empty if there are none."""
    settings = values["settings"]
    delay, world = settings.get("delay", 0), settings.get("world", "still")
    timing = f"delay {delay}, replan {settings['replan']}" if delay else ""
    return ", ".join(filter(None, (placed(values), timing, "" if world == "still" else f"world {world}")))


def placed(values: Mapping[str, Any]) -> str:
    """Return the differences from the official evaluation, except delay and world."""
    settings = values["settings"]
    placement = settings.get("placement", "official")
    names = [(name, settings.get(key)) for key, name in CONTROLS.items()]
    chosen = [f"{name} {100 * v:g} cm" if name == "displaced" else name for name, v in names if v]
    if placement != "official":
        chosen = [f"{placement} placements", *(name for name in chosen if name != "random placements")]
    if settings.get("render", "full") != "full":
        chosen.append("decimated meshes")
    return ", ".join(chosen)


def provenance_lines(sources: Iterable[Source]) -> list[str]:
    """Make one line per combination of versions and machine."""
    made = {
        "; ".join(
            ", ".join(f"{k} {v}" for k, v in source.values.get(part, {}).items())
            for part in ("versions", "machine")
        )
        for source in sources
        if "versions" in source.values
    }
    return [f"- {line}" for line in sorted(made)]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
