"""Comparison of handovers, with late answers and in moving worlds: success, steps and jerk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asyncvla_ros.report.paired import HEADINGS, PairedSuccess
from asyncvla_ros.report.results import Source, arm_of, interval_of, placed, short, table
from asyncvla_ros.sim.evaluation.stats import paired_ratio, wilson_interval
from asyncvla_ros.types import AsyncVLAError

#: Suite, task and initial state.
_Key = tuple[str, int, int]
_Ratio = tuple[float, tuple[float, float]] | None
#: Metrics to compare on the episodes that both solved, with their names.
RATIOS = {"steps": "steps", "jerk_inside": "jerk inside", "jerk_seam": "jerk at seams"}


@dataclass(frozen=True)
class Setting:
    """Settings that the strategies of a comparison share.

    Attributes:
        policy: Start of the checkpoint's fingerprint.
        control: Differences from the official episodes, and the seed.
        world: Motion of the world.
        delay: Time from an observation to its answer [control steps].
        replan: Time between observations [control steps]; None: the checkpoint's.
    """

    policy: str
    control: str
    world: str
    delay: int
    replan: int | None

    @property
    def timing(self) -> tuple[str, str, str]:
        """World, delay and replan as cells of a table."""
        return self.world, str(self.delay), "-" if self.replan is None else str(self.replan)


@dataclass(frozen=True)
class Run:
    """Episodes of one strategy in one setting.

    Attributes:
        setting: Setting of the episodes.
        arm: The strategy.
        switch: The same strategy with handover ``switch``.
        naive: That with a single draft.
        episodes: Episodes as in the results.
    """

    setting: Setting
    arm: str
    switch: str
    naive: str
    episodes: dict[_Key, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def suites(self) -> tuple[str, ...]:
        """Suites of its episodes."""
        return tuple(sorted({suite for suite, _, _ in self.episodes}))

    def of(self, suites: Sequence[str]) -> Run:
        """Return the episodes of some suites."""
        return replace(self, episodes={k: e for k, e in self.episodes.items() if k[0] in suites})


@dataclass(frozen=True)
class Pairing:
    """Comparison of a run with a baseline on their common episodes.

    Attributes:
        run: The run.
        baseline: The baseline.
        suites: Suites of the episodes.
        success: Success of both on these.
        both: Number of pairs that both solved.
        ratios: On those, ratios of run to baseline for ``RATIOS``, see ``paired_ratio``.
    """

    run: Run
    baseline: Run
    suites: tuple[str, ...]
    success: PairedSuccess
    both: int
    ratios: Mapping[str, _Ratio]


def runs_of(evaluations: Sequence[Source]) -> list[Run]:
    """Return runs with late answers, moving worlds or a handover, and runs to compare them with.

    Those are the lockstep runs of the same strategies, and of their ``switch`` and ``naive``.

    Raises:
        AsyncVLAError: If two files have the same episode.
    """
    runs: dict[tuple[Setting, str], Run] = {}
    for source in evaluations:
        setting, arm = _setting(source), arm_of(source.values)
        switch = arm_of(source.values, handover="switch")
        naive = arm_of(source.values, handover="switch", best_of=1)
        run = runs.setdefault((setting, arm), Run(setting, arm, switch, naive))
        rows = {(source.values["suite"], e["task"], e["init"]): e for e in source.values["episodes"]}
        if both := run.episodes.keys() & rows.keys():
            raise AsyncVLAError(
                f"{source.name} has {len(both)} episodes of {source.values['suite']} ({arm}) that another "
                "file has, too; keep one of the two"
            )
        run.episodes.update(rows)
    unusual = [run for run in runs.values() if _is_unusual(run)]
    shown = {_subject(run, arm) for run in unusual for arm in (run.arm, run.switch, run.naive)}
    return sorted((run for run in runs.values() if _subject(run, run.arm) in shown), key=_order)


def _order(run: Run) -> tuple[Any, ...]:
    s = run.setting
    return s.policy, s.control, s.world != "still", s.world, s.delay, s.replan or 0, run.arm


def _setting(source: Source) -> Setting:
    settings = source.values["settings"]
    delay = settings.get("delay", 0)
    seed = f"seed {settings['seed']}"
    control = ", ".join(filter(None, (placed(source.values), seed)))
    replan = interval_of(source.values)
    policy = short(settings.get("checkpoint"))
    return Setting(policy, control, settings.get("world", "still"), delay, replan=replan)


def _is_unusual(run: Run) -> bool:
    return run.setting.delay > 0 or run.setting.world != "still" or run.arm != run.switch


def _subject(run: Run, arm: str) -> tuple[str, str, str]:
    return run.setting.policy, run.setting.control, arm


def pairings(runs: Sequence[Run]) -> Iterator[Pairing]:
    """Compare each strategy with its ``switch``, ``naive`` and itself in lockstep: by suite, then pooled."""
    for run in runs:
        for other in runs:
            same_world = replace(other.setting, delay=run.setting.delay, replan=run.setting.replan)
            if other is run or same_world != run.setting:
                continue
            switch = other.setting == run.setting and other.arm in (run.switch, run.naive)
            lockstep = other.arm == run.arm and other.setting.delay == 0 < run.setting.delay
            if switch or lockstep:
                yield from _by_suite(run, other)


def _by_suite(run: Run, baseline: Run) -> Iterator[Pairing]:
    shared = sorted({suite for suite, _, _ in run.episodes.keys() & baseline.episodes.keys()})
    for suites in [(suite,) for suite in shared] + ([tuple(shared)] if len(shared) > 1 else []):
        yield pair(run.of(suites), baseline.of(suites))


def pair(run: Run, baseline: Run) -> Pairing:
    """Compare two runs on their common episodes, at least one."""
    keys = sorted(run.episodes.keys() & baseline.episodes.keys())
    one, other = [baseline.episodes[k] for k in keys], [run.episodes[k] for k in keys]
    before, after = [bool(e["success"]) for e in one], [bool(e["success"]) for e in other]
    both = [(a, b) for a, b in zip(one, other, strict=True) if a["success"] and b["success"]]
    suites = tuple(sorted({suite for suite, _, _ in keys}))
    return Pairing(
        run=run,
        baseline=baseline,
        suites=suites,
        success=PairedSuccess.of(before, after),
        both=len(both),
        ratios={name: _ratio(both, name) for name in RATIOS},
    )


def _ratio(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], name: str) -> _Ratio:
    known = [(a[name], b[name]) for a, b in pairs if None not in (a.get(name), b.get(name))]
    return paired_ratio([a for a, _ in known], [b for _, b in known])


def delay_table(runs: Sequence[Run]) -> str:
    """Make one row per run and suite, and one for all suites of a run."""
    head = ("policy", "control", "world", "delay", "replan", "strategy", "suites", "solved")
    rows = []
    for whole in runs:
        several = [whole] if len(whole.suites) > 1 else []
        for run in [*(whole.of((suite,)) for suite in whole.suites), *several]:
            s = run.setting
            rows.append([s.policy, s.control, *s.timing, run.arm, ", ".join(run.suites), *_row(run)])
    last = ("success (95 %, Wilson)", "inferences per solved task", "dry steps", "target moved")
    return table([*head, *last], rows)


def _row(run: Run) -> list[str]:
    rows = list(run.episodes.values())
    solved, n = sum(e["success"] for e in rows), len(rows)
    low, high = wilson_interval(solved, n)
    # Over all episodes: the cost of a solved task.
    inferences = sum(e["inferences"] for e in rows) if all("inferences" in e for e in rows) else None
    dry = sum(e.get("dry_steps", 0) for e in rows) / n
    moved = sum(e.get("moved_step") is not None for e in rows)
    return [
        f"{solved}/{n}",
        f"{solved / n:.1%} ({low:.1%} to {high:.1%})",
        "-" if inferences is None or not solved else f"{inferences / solved:.1f}",
        f"{dry:.1f}",
        f"{moved}/{n}" if run.setting.world in ("jump", "drift") else "-",
    ]


def pairing_table(found: Sequence[Pairing]) -> str:
    """Make one row per pairing; ratios are over the episodes that both solved."""
    rows = []
    for p in found:
        s, other = p.run.setting, p.baseline.setting
        against = p.baseline.arm if other == s else f"itself, delay 0, replan {other.timing[2]}"
        rows.append(
            [
                *(s.policy, s.control, *s.timing, p.run.arm, against, ", ".join(p.suites)),
                *(*p.success.cells, str(p.both), *(_shown(p.ratios[name]) for name in RATIOS)),
            ]
        )
    head = ("policy", "control", "world", "delay", "replan", "strategy", "compared with", "suites")
    return table([*head, *HEADINGS, "both solved", *RATIOS.values()], rows)


def _shown(ratio: _Ratio) -> str:
    return "-" if ratio is None else f"x {ratio[0]:.2f} ({ratio[1][0]:.2f} to {ratio[1][1]:.2f})"
