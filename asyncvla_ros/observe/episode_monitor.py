"""The episode monitor, which combines signals of each inference to one score with a limit.

Each signal is standardized by its values in successful episodes and averaged over the last few inferences,
of which those count where it is known; the score is the largest average:

    score_t = max over signals s of  mean over the last w inferences of (s - mean_s) / std_s

The limit is conformal over whole episodes (as in FAIL-Detect, arXiv 2503.08558): of episodes like the
successful ones by which it was chosen, about a share alpha ever exceeds it.

    surprise       distance of the observation from the training data, see ``model.monitor``
    disagreement   distance of the new plan from the previous one in their overlap (as STAC, arXiv 2410.04640)
    doubt          1 - mean confidence of the rater
    variance       mean denoising variance of the draft
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from asyncvla_ros.common.normalization import NormStats
from asyncvla_ros.types import ActionChunk, CheckpointError, Previous

SIGNALS = ("surprise", "disagreement", "doubt", "variance")
LIMITS = "monitor.json"
WINDOW = 4
ALPHA = 0.05
# Messages for a doubtful episode by signal.
_TEXTS = {
    "surprise": "the observation is unlike those that the policy was trained on",
    "disagreement": "consecutive plans contradict each other",
    "doubt": "the rater doubts the actions",
    "variance": "the actions varied while they were denoised",
}


@dataclass(frozen=True)
class EpisodeLimits:
    """Parameters of an episode monitor.

    Attributes:
        signals: Mean and standard deviation of each signal in successful episodes.
        limit: Limit of the score.
        window: Inferences of a running mean.
        alpha: Share of successful episodes that may exceed the limit.
        episodes: Number of successful episodes by which the limit was chosen.
        source: Kind of these episodes: ``demonstrations`` or ``evaluation``.
    """

    signals: Mapping[str, tuple[float, float]]
    limit: float
    window: int = WINDOW
    alpha: float = ALPHA
    episodes: int = 0
    source: str = "demonstrations"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.signals) - set(SIGNALS))
        if unknown or not self.signals:
            raise CheckpointError(f"a monitor of {unknown or 'nothing'}, choose of {SIGNALS}")
        for name, (mean, std) in self.signals.items():
            if not math.isfinite(mean) or not 0 < std < math.inf:
                raise CheckpointError(
                    f"the monitor's {name} is {mean} and {std}, expected a mean and a deviation"
                )
        if isinstance(self.window, bool) or not isinstance(self.window, int) or self.window < 1:
            raise CheckpointError(f"the monitor's window is {self.window!r}, expected at least 1 inference")
        if not math.isfinite(self.limit):
            raise CheckpointError(f"the monitor's limit is {self.limit!r}, expected a number")

    def allowed(self, signal: str) -> float:
        """Return the running mean of a signal above which an episode is doubtful."""
        mean, std = self.signals[signal]
        return mean + self.limit * std


@dataclass(frozen=True)
class Doubt:
    """State of an episode up to an inference.

    Attributes:
        score: See the module's description.
        signal: The signal with the largest average; empty if none is known.
        value: Running mean of that signal.
        allowed: Running mean above which the episode is doubtful.
    """

    score: float
    signal: str
    value: float
    allowed: float

    @property
    def is_doubtful(self) -> bool:
        """Whether the score is above its limit."""
        return self.value > self.allowed

    def __str__(self) -> str:
        text = _TEXTS.get(self.signal, "nothing is known of the episode")
        return f"{text}: {self.signal} {self.value:.3g}, limit {self.allowed:.3g}"


class EpisodeMonitor:
    """Monitor successive episodes. Not thread-safe.

    Args:
        limits: Fitted parameters.
    """

    def __init__(self, limits: EpisodeLimits):
        self.limits = limits
        self._recent: dict[str, deque[float | None]] = {}
        self.reset()

    def reset(self) -> None:
        """Begin a new episode."""
        self._recent = {name: deque(maxlen=self.limits.window) for name in self.limits.signals}

    def note(self, signals: Mapping[str, float | None]) -> Doubt:
        """Note the known signals of an inference; return the state of the episode."""
        for name, recent in self._recent.items():
            value = signals.get(name)
            recent.append(value if value is not None and math.isfinite(value) else None)
        worst = Doubt(-math.inf, "", -math.inf, math.inf)
        for name, recent in self._recent.items():
            known = [value for value in recent if value is not None]
            if not known:
                continue
            mean, std = self.limits.signals[name]
            value = float(np.mean(known))
            if (score := (value - mean) / std) > worst.score:
                worst = Doubt(score, name, value, self.limits.allowed(name))
        return worst


def scores(limits: EpisodeLimits, episode: Sequence[Mapping[str, float | None]]) -> np.ndarray:
    """Compute the score after each inference of an episode, (inferences,)."""
    monitor = EpisodeMonitor(limits)
    return np.array([monitor.note(signals).score for signals in episode])


def signals_of(chunk: ActionChunk) -> dict[str, float | None]:
    """Return the signals of an inference, by the names in ``SIGNALS``."""
    confidence, variance = (
        None if known is None else float(np.mean(known)) for known in (chunk.confidence, chunk.variance)
    )
    doubt = None if confidence is None else 1 - confidence
    return {
        "surprise": chunk.surprise,
        "disagreement": chunk.disagreement,
        "doubt": doubt,
        "variance": variance,
    }


def disagreement(previous: Previous | None, chunk: ActionChunk, stats: NormStats) -> float | None:
    """Compute the mean squared distance of a plan to the previous one, where they overlap and none was kept.

    Args:
        previous: Rest of the previous plans, as generated.
        chunk: The new plan.
        stats: Statistics of actions, in the units of the checkpoint.

    Returns:
        The distance in normalized units; None without overlap.
    """
    if previous is None:
        return None
    older = previous.drafts[-1] if previous.drafts else previous.actions
    newer = chunk.actions if chunk.draft is None else chunk.draft
    count = min(len(older), len(newer))
    made = np.arange(count) >= chunk.n_frozen if chunk.kept is None else ~chunk.kept[:count]
    distance = stats.normalize(newer[:count]) - stats.normalize(older[:count])
    return float(np.mean(np.square(distance[made]))) if made.any() else None


def fit_limits(
    episodes: Sequence[Sequence[Mapping[str, float | None]]],
    names: Sequence[str] = SIGNALS,
    window: int = WINDOW,
    alpha: float = ALPHA,
    source: str = "evaluation",
) -> EpisodeLimits:
    """Fit limits: standardize signals and choose the limit on successful episodes.

    The limit is the ceil((n + 1) (1 - alpha))-th smallest of the n episodes' largest scores. With too few
    episodes for that it is the largest, and the share of false alarms may exceed ``alpha``.

    Args:
        episodes: Signals of each inference of each episode.
        names: Signals to use, if they occur.
        window: Inferences of a running mean.
        alpha: Share of successful episodes that may exceed the limit.
        source: See ``EpisodeLimits``.

    Raises:
        CheckpointError: If no signal is known.
    """
    moments = {}
    for name in names:
        known = [v for episode in episodes for signals in episode if (v := signals.get(name)) is not None]
        if known:
            moments[name] = (float(np.mean(known)), max(float(np.std(known)), 1e-9))
    draft = EpisodeLimits(moments, 0.0, window, alpha, episodes=len(episodes), source=source)
    largest = np.sort([scores(draft, episode).max() for episode in episodes if len(episode)])
    rank = min(len(largest), math.ceil((len(largest) + 1) * (1 - alpha)))
    return EpisodeLimits(
        moments, float(largest[rank - 1]), window, alpha, episodes=len(episodes), source=source
    )


def save_limits(folder: Path, limits: EpisodeLimits) -> None:
    """Write limits into a checkpoint folder."""
    (folder / LIMITS).write_text(json.dumps(asdict(limits), indent=1) + "\n")


def load_limits(folder: Path) -> EpisodeLimits | None:
    """Read the limits of a checkpoint folder; None without them.

    Raises:
        CheckpointError: If the file is unreadable.
    """
    file = folder / LIMITS
    if not file.is_file():
        return None
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
        signals = {name: (float(mean), float(std)) for name, (mean, std) in values.pop("signals").items()}
        return EpisodeLimits(signals, **values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{file} holds no limits of a monitor: {error!r}") from error
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from error
