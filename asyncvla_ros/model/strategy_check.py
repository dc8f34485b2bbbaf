"""What a strategy needs of a policy, and the check that the policy has it."""

from __future__ import annotations

from asyncvla_ros.model.config import AsyncVLAConfig
from asyncvla_ros.strategy import RATING, Strategy
from asyncvla_ros.types import ContractError


def check_strategy(strategy: Strategy, config: AsyncVLAConfig) -> None:
    """Check before the first observation that a policy can run a strategy.

    Args:
        strategy: Complete strategy, see ``AsyncVLAConfig.resolve``.
        config: Config of the policy.

    Raises:
        ContractError: If the strategy needs a rater that is missing, the variance of a single step, or a
        variance that the rater has not learned to read.
    """
    _require_rater(strategy, config)
    _require_drafts(strategy, config)
    _require_variance(strategy, config)


def rates(strategy: Strategy, config: AsyncVLAConfig) -> bool:
    """Return whether drafts are rated: to choose, to refine or, in mode ``sfm``, to tell the confidence."""
    if config.rater is None:
        return False
    if strategy.mode == "afm":
        return _rates_all(strategy) or strategy.select != "variance"
    return _rates_all(strategy) or _tells_confidence(strategy, config)


def watches(strategy: Strategy, config: AsyncVLAConfig) -> bool:
    """Return whether the strategy or the rater reads the variance of the denoising steps."""
    return _rater_watches(strategy, config) or (_selects_variance(strategy) and strategy.best_of == 1)


def confidence_threshold(strategy: Strategy, config: AsyncVLAConfig) -> float:
    """Return the confidence below which an action is refined, and an old one is not kept."""
    if strategy.threshold is not None and strategy.select != "variance":
        return strategy.threshold
    return config.rater.threshold if config.rater else 0.0


def _rates_all(strategy: Strategy) -> bool:
    return strategy.best_of != 1 and strategy.choose == "rater"


def _tells_confidence(strategy: Strategy, config: AsyncVLAConfig) -> bool:
    """Return whether a rater that nothing needs knows all that it reads."""
    assert config.rater is not None
    varies = strategy.denoise_steps != 1 and not _has_other_steps(strategy, config)
    return (varies or not config.rater.reads_variance) and not _lacks_drafts(strategy, config)


def _lacks_drafts(strategy: Strategy, config: AsyncVLAConfig) -> bool:
    return config.rater is not None and config.rater.compares and strategy.best_of == 1


def _has_other_steps(strategy: Strategy, config: AsyncVLAConfig) -> bool:
    return strategy.denoise_steps != config.num_denoise_steps


def _selects_variance(strategy: Strategy) -> bool:
    return strategy.mode == "afm" and strategy.select == "variance"


def _rater_watches(strategy: Strategy, config: AsyncVLAConfig) -> bool:
    return rates(strategy, config) and config.rater is not None and config.rater.reads_variance


def _require_rater(strategy: Strategy, config: AsyncVLAConfig) -> None:
    asking = [
        text
        for text, asks in (
            (f"choose 'rater' with best_of {strategy.best_of}", _rates_all(strategy)),
            ("select 'random'", strategy.mode == "afm" and strategy.select == "random"),
            (f"handover {strategy.handover!r}", strategy.handover in RATING),
        )
        if asks
    ]
    if asking and config.rater is None:
        raise ContractError(
            f"{' and '.join(asking)} needs a confidence rater, which this policy lacks; train one with "
            "`asyncvla train-rater`, or use select 'variance', choose 'mean' or handover 'commit'"
        )
    if strategy.handover in RATING and config.rater is not None and config.rater.reads:
        raise ContractError(
            f"handover {strategy.handover!r} has the rater judge the old plan, of which it does not know "
            f"what it has learned to read ({', '.join(config.rater.reads)}); train one that reads "
            "nothing but drafts"
        )


def _require_drafts(strategy: Strategy, config: AsyncVLAConfig) -> None:
    if rates(strategy, config) and _lacks_drafts(strategy, config):
        raise ContractError(
            "best_of is 1, but the rater has learned to read how an action lies among several drafts; use 2 "
            "or more, or mode 'sfm'"
        )


def _require_variance(strategy: Strategy, config: AsyncVLAConfig) -> None:
    if _selects_variance(strategy) and strategy.best_of != 1 and strategy.rounds != 1:
        raise ContractError(
            f"rounds is {strategy.rounds}, but select 'variance' of {strategy.best_of} drafts reads how far "
            "they are apart, which is not known of a refined action; use rounds 1 or best_of 1"
        )
    if not watches(strategy, config):
        return
    require_several("denoise_steps", strategy.denoise_steps)
    if strategy.mode == "afm" and strategy.rounds != 1:
        require_several("refine_steps", strategy.refine_steps)
    if _rater_watches(strategy, config) and _has_other_steps(strategy, config):
        raise ContractError(
            f"denoise_steps is {strategy.denoise_steps}, but the rater has learned to read the variance of "
            f"{config.num_denoise_steps} steps; leave it at that, or use mode 'sfm' without choose 'rater'"
        )


def require_several(name: str, steps: int | None) -> None:
    """Raise ContractError if the variance of a single step is to be read."""
    if steps == 1:
        raise ContractError(f"{name} is 1, expected more: in one step the estimate of an action cannot vary")
