from __future__ import annotations

from typing import Any

import pytest

from asyncvla_ros.strategy import Strategy, strategy_of_parameters
from asyncvla_ros.types import AsyncVLAError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"mode": "fast"}, r"mode is 'fast', choose one of \('afm', 'sfm'\)"),
        ({"select": "worst"}, r"select is 'worst', choose one of \('rater', 'random', 'variance'\)"),
        ({"rounds": 0}, "rounds is 0, expected at least 1"),
        ({"best_of": 0}, "best_of is 0, expected at least 1"),
        ({"denoise_steps": 0}, "denoise_steps is 0, expected at least 1"),
        ({"threshold": 1.5}, "threshold is 1.5, expected a confidence from 0 to 1"),
        ({"choose": "best"}, r"choose is 'best', choose one of \('rater', 'mean', 'medoid', 'coherent'\)"),
        ({"handover": "jump"}, "handover is 'jump', choose one of .'switch', 'ensemble', 'guided', 'commit'"),
        ({"guidance": -1.0}, "guidance is -1.0, expected a weight of at least 0"),
        ({"rounds": 1.5}, "rounds is 1.5, expected at least 1"),
        ({"select": "variance"}, "threshold is None, select 'variance' expects a variance"),
    ],
)
def test_values_out_of_range_say_what_was_expected(values: dict[str, Any], message: str):
    with pytest.raises(AsyncVLAError, match=message):
        Strategy(**values)


def test_a_variance_may_exceed_one():
    assert Strategy(select="variance", threshold=1.5).threshold == 1.5


def test_defaults_of_the_checkpoint_come_before_those_of_the_paper():
    complete = Strategy(best_of=2).complete(
        {"mode": "sfm", "best_of": 4, "choose": "mean", "denoise_steps": 1}
    )
    assert complete == Strategy("sfm", "rater", None, 1, 1, None, 2, "mean", "switch", "identity", 5.0)
    assert Strategy().complete({}) == Strategy(
        "afm", "rater", None, 1, None, None, 1, "rater", "switch", "identity", 5.0
    )


def test_a_threshold_stays_with_the_quantity_that_it_is_of():
    defaults = {"select": "variance", "threshold": 3.0}
    assert Strategy().complete(defaults).threshold == 3.0
    assert Strategy(select="rater").complete(defaults).threshold is None
    assert Strategy(select="random").complete({"threshold": 0.3}).threshold == 0.3
    assert Strategy(rounds=2).over({"mode": None}) == Strategy(rounds=2)


def test_parameters_of_the_node_say_nothing_where_they_are_empty():
    nothing = {"mode": "", "threshold": -1.0, "rounds": 0, "guidance": -1.0, "seed": 3, "commit": False}
    assert strategy_of_parameters(nothing) == Strategy()
    some = {**nothing, "mode": "sfm", "threshold": 0.0, "rounds": 2, "guidance": 0.0}
    assert strategy_of_parameters(some) == Strategy("sfm", threshold=0.0, rounds=2, guidance=0.0)
    assert strategy_of_parameters({"commit": True}) == Strategy(handover="commit")
    assert strategy_of_parameters({"commit": True, "handover": "keep"}) == Strategy(handover="keep")


def test_what_reads_the_plan_in_execution():
    for values, reads in (
        ({}, False),
        ({"handover": "commit"}, True),
        ({"best_of": 2, "choose": "coherent"}, True),
        ({"choose": "coherent"}, False),
    ):
        assert Strategy(**values).complete({}).reads_previous == reads
