from __future__ import annotations

import pytest

from asyncvla_ros.common.written import indices, indices_or_all, key_values, shares
from asyncvla_ros.types import AsyncVLAError


def test_indices_take_lists_and_ranges():
    assert indices("0,2,5-7,2", "inits") == (0, 2, 5, 6, 7)
    for text in ("", "a", "1-"):
        with pytest.raises(AsyncVLAError, match="indices such as"):
            indices(text, "inits")
    with pytest.raises(AsyncVLAError, match="--inits is '0,9-5', but 9-5 runs backwards"):
        indices("0,9-5", "inits")


def test_all_is_no_index_in_particular():
    assert (indices_or_all("all", "tasks"), indices_or_all("1,3", "tasks")) == ((), (1, 3))


def test_keys_are_said_once_and_shares_are_numbers():
    assert key_values(["a=1", "b=c=d", "a=1"], "--of") == {"a": "1", "b": "c=d"}
    assert shares(("a=0.25", "b=0.75"), "--of") == (("a", 0.25), ("b", 0.75))
    with pytest.raises(AsyncVLAError, match="--of a is said twice"):
        key_values(["a=1", "a=2"], "--of")
    with pytest.raises(AsyncVLAError, match=r"--of is \['a=b'\], expected KIND=SHARE"):
        shares(("a=b",), "--of")
