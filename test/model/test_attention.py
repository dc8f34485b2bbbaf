from __future__ import annotations

import torch

from asyncvla_ros.model import attention


def drawn(mask: torch.Tensor) -> list[str]:
    return ["".join("x" if seen else "." for seen in row) for row in mask.tolist()]


def test_mask_is_the_drawn_matrix():
    """Three prefix tokens, two draws of two actions."""
    mask = attention.full_mask(torch.ones(1, 3, dtype=torch.bool), draws=2, length=2)[0, 0]
    assert drawn(mask) == [
        "x......",
        "xx.....",
        "xxx....",
        "xxxxx..",
        "xxxxx..",
        "xxx..xx",
        "xxx..xx",
    ]


def test_padding_is_seen_by_nobody_but_itself():
    """The second of three prefix tokens is padding."""
    valid = torch.tensor([[True, False, True]])
    assert drawn(attention.full_mask(valid, draws=1, length=2)[0, 0]) == [
        "x....",
        "xx...",
        "x.x..",
        "x.xxx",
        "x.xxx",
    ]


def test_additive_form_is_zero_where_attended():
    mask = torch.tensor([True, False])
    form = attention.additive(mask)
    assert form[0] == 0 and form[1] < -1e30 and torch.isfinite(form).all()
