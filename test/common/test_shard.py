from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncvla_ros.common.shard import WHOLE, Shard
from asyncvla_ros.types import AsyncVLAError


@given(st.integers(1, 40), st.integers(0, 60))
def test_shards_are_equal_shares_that_together_are_all_in_order(count: int, more: int) -> None:
    items = list(range(count + more))
    shares = [Shard.parse(f"{index}/{count}").take(items, "items") for index in range(1, count + 1)]
    assert [item for share in shares for item in share] == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_whole_is_one_of_one() -> None:
    assert Shard.parse("1/1") == WHOLE
    assert WHOLE.take([3, 1, 2], "items") == (3, 1, 2)
    assert str(Shard.parse("2/10")) == "2/10"


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/0", "-1/2", "1/2/3", "a/b", " 1/2", "1/2\n"])
def test_another_form_is_one_error_that_says_what_is_expected(text: str) -> None:
    with pytest.raises(AsyncVLAError, match="expected I/N with I from 1 to N"):
        Shard.parse(text)


def test_more_shards_than_items_are_refused_by_each_of_them() -> None:
    for index in (1, 4):
        with pytest.raises(
            AsyncVLAError, match=rf"--shard is {index}/4, but episodes are 3; choose N from 1 to 3"
        ):
            Shard(index, 4).take(["a", "b", "c"], "episodes")
