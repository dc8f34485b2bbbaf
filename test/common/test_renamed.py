"""Retired names are still read."""

from __future__ import annotations

import json

from asyncvla_ros.common.renamed import with_present_keys, with_present_options


def test_retired_keys_are_read_by_their_present_names_at_every_depth():
    text = '{"tick_ms": {"p50": 1}, "episodes": [{"decisions": 2}], "settings": {"execute_steps": 4}}'
    assert json.loads(text, object_hook=with_present_keys) == {
        "inference_ms": {"p50": 1},
        "episodes": [{"inferences": 2}],
        "settings": {"n_action_steps": 4},
    }


def test_a_retired_key_beside_the_present_one_stays_for_whoever_checks_the_keys():
    both = {"execute_steps": 4, "n_action_steps": 2}
    assert with_present_keys(both) == both


def test_each_retired_option_is_told_once():
    given = ["init", "--execute-steps=4", "--action-chunk-size", "8", "--out", "a=b"]
    arguments, lines = with_present_options(given)
    assert arguments == ["init", "--n-action-steps=4", "--chunk-size", "8", "--out", "a=b"]
    assert lines == [
        "--execute-steps is deprecated, use --n-action-steps",
        "--action-chunk-size is deprecated, use --chunk-size",
    ]
