"""Callbacks that begin one after the other and go on side by side."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from asyncvla_ros.ros.policy.ordered_group import OrderedGroup

pytestmark = pytest.mark.ros


@pytest.fixture
def pool():
    """Two threads, as an executor has them."""
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        yield (lambda call: one.submit(call, None).result()), (lambda call: two.submit(call, None).result())


def test_the_next_begins_only_when_the_one_before_lets_it(pool):
    first, second = pool
    group = OrderedGroup()
    assert group.can_execute(None) and first(group.beginning_execution)
    assert not group.can_execute(None) and not second(group.beginning_execution)
    second(lambda _: group.let_next())
    assert not group.can_execute(None), "it is not the second one's to give"
    first(lambda _: group.let_next())
    assert group.can_execute(None) and second(group.beginning_execution)
    first(group.ending_execution)
    assert not group.can_execute(None), "the end of the first one is not that of the second"
    second(group.ending_execution)
    assert group.can_execute(None)
