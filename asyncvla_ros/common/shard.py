"""Equal shares of work for machines that do not communicate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from asyncvla_ros.types import AsyncVLAError

Item = TypeVar("Item")

#: Key of a shard's whole episodes in its result.
SHARD_EPISODES = "shard_episodes"


@dataclass(frozen=True)
class Shard:
    """Share ``index`` (from 1) of ``count``; by default all of the work."""

    index: int = 1
    count: int = 1

    @staticmethod
    def parse(text: str) -> Shard:
        """Parse a share: ``2/8`` -> Shard(2, 8).

        Raises:
            AsyncVLAError: the text has another form, or there is no such share.
        """
        form = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
        shard = Shard(int(form[1]), int(form[2])) if form else Shard(0, 0)
        if not 1 <= shard.index <= shard.count:
            raise AsyncVLAError(f"--shard is {text!r}, expected I/N with I from 1 to N, such as 1/4 to 4/4")
        return shard

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def take(self, items: Sequence[Item], what: str) -> tuple[Item, ...]:
        """Return this share's items, which are neighbors; sizes of shares differ by one item at most.

        Args:
            items: All items, in the same order on every machine.
            what: Name of the items, for the error.

        Raises:
            AsyncVLAError: there are fewer items than shares.
        """
        if 0 < len(items) < self.count:
            raise AsyncVLAError(
                f"--shard is {self}, but {what} are {len(items)}; choose N from 1 to {len(items)}"
            )
        first, last = (place * len(items) // self.count for place in (self.index - 1, self.index))
        return tuple(items[first:last])


WHOLE = Shard()
