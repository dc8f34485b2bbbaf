"""The report of a replay, as one self-contained page."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from asyncvla_ros.report.replay_pictures import (
    draw_confidence,
    draw_horizon,
    draw_moment,
    draw_over_time,
    draw_reliability,
)
from asyncvla_ros.report.replay_record import PicturedMoment, ReplayRecord

# Most problems or gaps to list; the page counts the rest.
LISTED = 20
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#222;max-width:70rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
td,th{padding:.2rem .7rem;text-align:right;border-bottom:1px solid #eee}
td:first-child,th:first-child{text-align:left}
svg{max-width:100%;height:auto}img{max-width:100%;border-radius:3px}
.tiles{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}
.tile{background:#f4f5f7;border-radius:6px;padding:.5rem .9rem}.tile b{display:block;font-size:1.3rem}
.strip{display:flex;gap:.4rem;overflow-x:auto}.strip figure{margin:0;min-width:8rem;font-size:.75rem}
.problem{background:#fff4e5;border-left:4px solid #e69100;padding:.4rem .8rem;margin:.4rem 0}
.moment{display:flex;flex-wrap:wrap;gap:1rem;align-items:flex-start;margin:1rem 0}
.moment img{width:13rem}small{color:#666}
"""


def replay_page(metrics: Mapping[str, Any], record: ReplayRecord) -> str:
    """Write the page.

    Args:
        metrics: Content of metrics.json.
        record: Chunks and images.
    """
    names, units = list(metrics["mae"]), metrics["units"]
    sections = [
        f"<h1>{escape(str(metrics['robot']))} on {escape(_name(metrics['bag']))}</h1>",
        f"<small>asked: {escape('; '.join(metrics['instructions']))}; compared with: "
        f"{escape(metrics['target'])}</small>",
        _tiles(metrics),
        *_problems(metrics),
        "<h2 id=errors>Errors</h2>",
        _errors(metrics),
        "<h2 id=time>Predicted and done</h2>",
        "<p>The action that is due at once, of each inference, beside what was done then.</p>",
        draw_over_time(record, names, units),
        "<h2 id=horizon>Error by step of the chunk</h2>",
        draw_horizon(metrics["mae_by_step"], units),
        "<h2 id=confidence>Confidence</h2>",
        *_confidence(metrics, record),
        "<h2 id=streams>Streams</h2>",
        _streams(metrics["streams"]),
        *_gaps(metrics["gaps"]),
        "<h2 id=worst>Worst moments</h2>",
        *(_moment(seen, names, metrics["tolerance"]) for seen in record.worst),
        "<h2 id=made>Made with</h2>",
        f"<pre>{escape(json.dumps(_made(metrics), indent=1, default=str))}</pre>",
    ]
    head = f"<meta charset=utf-8><title>replay of {escape(_name(metrics['bag']))}</title>"
    return f"<!doctype html><html lang=en>{head}<style>{_STYLE}</style>{''.join(sections)}</html>\n"


def _name(bag: str) -> str:
    return bag.rstrip("/").rpartition("/")[2] or bag


def _tiles(metrics: Mapping[str, Any]) -> str:
    confidence = metrics["confidence"]
    within = [share for share in metrics["within_tolerance"].values() if share is not None]
    tiles = {
        "inferences": f"{metrics['inferences']}",
        "actions compared": f"{metrics['compared_steps']}",
        "within tolerance": f"{np.mean(within):.0%}" if within else "-",
        "refined": f"{metrics['refined_share']:.0%}",
        "mean confidence": f"{confidence['mean']:.2f}" if confidence else "-",
        "inference p50 / p95": "{p50:.0f} / {p95:.0f} ms".format(**metrics["inference_ms"]),
        "recorded": f"{metrics['recorded_s']:.1f} s",
        "times real time": f"{metrics['realtime_factor']:.1f}",
    }
    cells = (f"<div class=tile>{name}<b>{value}</b></div>" for name, value in tiles.items())
    return f"<div class=tiles>{''.join(cells)}</div>"


def _problems(metrics: Mapping[str, Any]) -> Iterable[str]:
    lines = [
        *metrics["problems"],
        *(f"{n} times no inference: {text}" for text, n in metrics["failures"].items()),
    ]
    if not metrics["compared_steps"]:
        lines.insert(0, f"nothing could be compared with {metrics['target']}")
    for line in lines[:LISTED]:
        yield f"<div class=problem>{escape(line)}</div>"
    if len(lines) > LISTED:
        yield f"<div class=problem>and {len(lines) - LISTED} more, see metrics.json</div>"


def _errors(metrics: Mapping[str, Any]) -> str:
    rows = []
    for name, error in metrics["mae"].items():
        interval = metrics["mae_ci95"][name]
        rows.append(
            [
                name,
                metrics["units"][name],
                _number(error),
                "-" if interval is None else f"{_number(interval[0])} to {_number(interval[1])}",
                _number(metrics["tolerance"][name]),
                "-" if error is None else f"{metrics['within_tolerance'][name]:.0%}",
            ]
        )
    blocks = metrics["blocks"]
    note = f"<p><small>Intervals: bootstrap over {blocks['n']} blocks of {blocks['seconds']:g} s.</small></p>"
    head = ("dof", "unit", "mean absolute error", "95 %", "tolerance", "within it")
    return _table(head, rows) + note


def _confidence(metrics: Mapping[str, Any], record: ReplayRecord) -> Iterable[str]:
    confidence = metrics["confidence"]
    if any(np.isfinite(moment.confidence).any() for moment in record.columns.values()):
        yield draw_confidence(record)
    yield _thumbnails(record)
    if confidence is None:
        yield "<p>The policy has no rater, or too little could be compared to judge it.</p>"
        return
    ranks = confidence["auroc_worst_quarter"]
    yield (
        f"<p>Calibration error (ECE) {_number(confidence['ece'])}; that an action of the worst quarter is "
        f"rated below another one: {_number(ranks)} (AUROC; 0.5 is chance), on {confidence['n']} actions. "
        "Confidence is of the draft, the error of what came of it.</p>"
    )
    yield draw_reliability(confidence)


def _thumbnails(record: ReplayRecord) -> str:
    cells = []
    for key in sorted(record.thumbnails):
        seen = record.thumbnails[key]
        pictures = "".join(map(_image, seen.images.values()))
        cells.append(f"<figure>{pictures}<figcaption>{seen.moment.time_s:.1f} s</figcaption></figure>")
    return f"<div class=strip>{''.join(cells)}</div>"


def _streams(streams: Mapping[str, Any]) -> str:
    rows = [
        [
            name,
            str(one["received"]),
            str(one["used"]),
            str(one["gaps"]),
            ", ".join(f"{count} {reason}" for reason, count in one["dropped"].items()) or "none",
        ]
        for name, one in streams.items()
    ]
    reasons = [
        f"<p><small>{escape(name)}, {count} times: {escape(reason)}</small></p>"
        for name, one in streams.items()
        for reason, count in one["reasons"].items()
    ]
    return _table(("stream", "messages", "used", "gaps", "not used"), rows) + "".join(reasons[:LISTED])


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if not gaps:
        yield "<p>No stream had a gap.</p>"
        return
    rows = [[one["stream"], f"{one['begin_s']:.2f}", f"{one['seconds']:.2f}"] for one in gaps[:LISTED]]
    yield "<h2 id=gaps>Gaps</h2>" + _table(("stream", "at [s]", "lasted [s]"), rows)
    if len(gaps) > LISTED:
        yield f"<p><small>The longest; {len(gaps) - LISTED} more are in metrics.json.</small></p>"


def _moment(seen: PicturedMoment, names: Sequence[str], tolerance: Mapping[str, float]) -> str:
    moment = seen.moment
    pictures = "".join(map(_image, seen.images.values()))
    known = moment.confidence[np.isfinite(moment.confidence)]
    rated = f", confidence {known.mean():.2f}" if known.size else ""
    return (
        f"<div class=moment><div><b>{moment.time_s:.2f} s</b>: {moment.error:.1f} tolerances{rated}<br>"
        f"<small>{escape(moment.instruction)}</small></div>{pictures}"
        f"<div>{draw_moment(moment, names, tolerance)}</div></div>"
    )


def _made(metrics: Mapping[str, Any]) -> dict[str, Any]:
    return {key: metrics.get(key) for key in ("checkpoint", "settings", "versions", "machine", "peak_rss_mb")}


def _image(jpeg: bytes) -> str:
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(cell)}" for cell in head)
    lines = ("".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<table><tr>{titles}{''.join(f'<tr>{line}' for line in lines)}</table>"
