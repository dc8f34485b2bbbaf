"""Retired names are still read."""

from __future__ import annotations

import json

from asyncvla_ros.common.renamed import with_present_keys


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
