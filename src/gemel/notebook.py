"""How things look in a notebook: cards, tables, bars and one small chart, as HTML.

Owns    the look: ink of the page it stands on (light or dark), a few inline styles, inline SVG.
Never   asks another host for anything, runs no script, and shows no word that it has not escaped.
"""

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from gemel.clock import SECOND, format_duration

# Tones that can be read on white and on black; all else is the ink of the page.
TWIN, GOOD, DOUBT, BAD = "#d9662b", "#3f9b72", "#c08a1e", "#d64b4b"
_FAINT = "rgba(128,128,128,.28)"
_MARKS = {"ok": ("●", GOOD), "warning": ("▲", DOUBT), "failed": ("■", BAD), "note": ("○", "")}
_CELL = f"padding:3px 14px 3px 0;border-bottom:1px solid {_FAINT};vertical-align:top"
LONG = 48  # letters of a cell above which it may break


class Safe(str):
    """HTML that is escaped already."""

    __slots__ = ()


Cell = str | Safe


def safe(text: object) -> Safe:
    """A word as HTML shows it."""
    return text if isinstance(text, Safe) else Safe(html.escape(str(text)))


def number(value: float | None, std: float | None = None, unit: str = "") -> str:
    """A number with as many digits as its standard deviation bears, which is told with it.

    >>> number(81.2345, 0.31, "degC"), number(3000.0, unit="rpm"), number(0.00042)
    ('81.23 ± 0.31 °C', '3000 rpm', '0.00042')
    """
    if value is None or not math.isfinite(value):
        return "–"
    told = f"{value:.5g}"
    if std is not None and math.isfinite(std) and std > 0:
        places = max(1 - math.floor(math.log10(std)), 0)
        short = places < 7 and max(abs(value), std) < 1e9
        whole = round(value, places) + 0.0  # no −0.0
        told = f"{whole:.{places}f} ± {std:.{places}f}" if short else f"{value:.5g} ± {std:.2g}"
    return f"{told} {label(unit)}".rstrip()


def label(unit: str) -> str:
    """A unit as people write it.

    >>> label("degC"), label("K/degC"), label("1")
    ('°C', 'K/°C', '')
    """
    return "" if unit == "1" else unit.replace("degC", "°C").replace("degF", "°F")


def when(instant: int | None) -> str:
    """An instant to the second, UTC.

    >>> when(1_484_373_600_000_000_000)
    '2017-01-14 06:00:00'
    """
    return f"{datetime.fromtimestamp(instant // SECOND, UTC):%Y-%m-%d %H:%M:%S}" if instant else "–"


def age(instant: int | None, at: int) -> str:
    """How long ago it was."""
    return format_duration(max(at - instant, 0) / SECOND) + " ago" if instant else "never"


def status(kind: str, word: str) -> Safe:
    """A shape, a word and a colour: none of them alone."""
    shape, colour = _MARKS[kind]
    tint = f"color:{colour}" if colour else "opacity:.7"
    return Safe(f'<span style="{tint}">{shape}</span>&nbsp;{safe(word)}')


def bar(index: float, std: float) -> Safe:
    """A health index, 1 as new, 0 at the limit, with its standard deviation."""
    full = max(0.0, min(1.0, index))
    colour = BAD if full < 0.3 else DOUBT if full < 0.7 else GOOD
    box = "display:inline-block;width:72px;height:8px;border-radius:2px;vertical-align:baseline"
    fill = f"linear-gradient(to right,{colour} {100 * full:.0f}%,{_FAINT} 0)"
    told = f"{index:.2f}" + (f" ± {std:.2f}" if std >= 0.005 else "")
    return Safe(f'<span style="{box};background:{fill}"></span>&nbsp;{told}')


def in_step(held: bool) -> Safe:
    """Whether a twin tracks its asset."""
    return status("ok", "in step") if held else status("warning", "out of step")


def quality(grade: int, reason: str) -> Safe:
    """good, uncertain or bad, and why."""
    kind, word = (("ok", "good"), ("warning", "uncertain"), ("failed", "bad"))[grade]
    return status(kind, f"{word}: {reason}" if reason else word)


def key(colour: str, word: str) -> Safe:
    """One entry of a legend: a stroke of a colour, and what it stands for."""
    stroke = f"display:inline-block;width:18px;border-top:2px solid {colour}"
    style = f"{stroke};vertical-align:middle;margin-right:5px"
    return Safe(f'<span style="margin-right:16px"><span style="{style}"></span>{safe(word)}</span>')


def table(heads: Sequence[str], rows: Iterable[Sequence[Cell]], right: str = "") -> Safe:
    """right: a letter a column, r where numbers stand at the right."""
    align = [
        f"text-align:{'right' if right[k : k + 1] == 'r' else 'left'}" for k in range(len(heads))
    ]
    head = "".join(
        f'<th style="{_CELL};{how};white-space:nowrap;font-weight:normal;opacity:.65">'
        f"{safe(text)}</th>"
        for text, how in zip(heads, align, strict=False)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td style="{_CELL};{how};{_breaks(text)}">{safe(text)}</td>'
            for text, how in zip(row, align, strict=False)
        )
        + "</tr>"
        for row in rows
    )
    style = "border-collapse:collapse;font-size:inherit;font-variant-numeric:tabular-nums"
    style += ";margin:6px 0;border:0;text-align:left;background:none"
    parts = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return Safe(f'<table style="{style}">{parts}</table>')


def _breaks(text: Cell) -> str:
    long = not isinstance(text, Safe) and len(text) > LONG
    return "min-width:260px;white-space:normal" if long else "white-space:nowrap"


def card(title: str, about: Cell, *parts: Cell) -> str:
    """A title, a line about it, and what follows."""
    told = "".join(part if isinstance(part, Safe) else line(part) for part in parts if part)
    head = f'<b>{safe(title)}</b>&nbsp; <span style="opacity:.65">{safe(about)}</span>'
    style = "font-size:13px;line-height:1.45;margin:4px 0;overflow-x:auto"
    return f'<div style="{style}">{head}{told}</div>'


def line(text: Cell) -> Safe:
    """One quiet line."""
    return Safe(f'<div style="opacity:.75">{safe(text)}</div>')


def part(title: str) -> Safe:
    """The head of a part of a card."""
    return Safe(f'<div style="margin-top:8px;font-weight:600">{safe(title)}</div>')


# ---- the chart --------------------------------------------------------------------------------

WIDE, HIGH, LEFT, TOP, FOOT, STRIP = 880, 330, 62, 14, 22, 62


@dataclass(frozen=True)
class Chart:
    """What a chart shows; instants ns, values in one unit.

    instant, value, good (N,): measured · at, mean, low, high (M,): expected and its band
    left_at, left, left_band (K,): the residual strip and half the width of its band
    spoiled: (start, end, bad?) spans · limits: values · marks: (instant, number)
    """

    start: int
    end: int
    unit: str
    instant: np.ndarray
    value: np.ndarray
    good: np.ndarray
    at: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    left_at: np.ndarray
    left: np.ndarray
    left_band: np.ndarray
    spoiled: list[tuple[int, int, bool]] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    marks: list[tuple[int, int]] = field(default_factory=list)


def svg(told: Chart, words: str) -> Safe:
    """The chart; `words` say it to who cannot see it."""
    strip = len(told.left) > 0
    floor = HIGH - FOOT - (STRIP if strip else 0)
    span = extent(told.value, told.good, told.low, told.high, told.limits)
    out = [
        f'<svg viewBox="0 0 {WIDE} {HIGH}" role="img" aria-label="{safe(words)}" '
        'style="width:100%;max-width:1100px;display:block;margin:6px 0" '
        'font-size="11" font-family="system-ui,sans-serif" fill="currentColor">'
    ]
    out += _spoiled(told, floor)
    out += _frame(told, TOP, floor, span)
    if len(told.at):
        area = [*_points(told, told.at, told.high, TOP, floor, span)]
        area += [*_points(told, told.at, told.low, TOP, floor, span)][::-1]
        corners = " ".join(f"{x},{y}" for x, y in area)
        out.append(f'<polygon points="{corners}" fill="{TWIN}" fill-opacity=".2"/>')
    out.append(_path(told, told.instant, told.value, TOP, floor, span, "currentColor", 1.0))
    if len(told.at):
        out.append(_path(told, told.at, told.mean, TOP, floor, span, TWIN, 1.6))
    out += [_level(limit, floor, span) for limit in told.limits if span[0] <= limit <= span[1]]
    out += _marks(told, floor)
    if strip:
        out += _strip(told, floor + 12, HIGH - FOOT)
    out += _days(told)
    return Safe("".join(out) + "</svg>")


def extent(
    value: np.ndarray, good: np.ndarray, low: np.ndarray, high: np.ndarray, limits: list[float]
) -> tuple[float, float]:
    """What of the values is shown: the good ones and the band, and a limit that is near."""
    values = np.concatenate([value[good] if good.any() else value, low, high])
    values = values[np.isfinite(values)]
    least, most = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = (most - least) or abs(most) or 1.0
    near = [limit for limit in limits if least - 0.4 * room <= limit <= most + 0.4 * room]
    return min([least, *near]) - 0.06 * room, max([most, *near]) + 0.06 * room


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers between two, `most` at most.

    >>> ticks(70.2, 81.7)
    [72.5, 75.0, 77.5, 80.0]
    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(k * size for k in (1, 2, 2.5, 3, 5, 10) if k * size >= rough * 0.9999)
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 12) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def hours(start: int, end: int, most: int = 7) -> list[int]:
    """Round instants between two, `most` at most."""
    steps = [1, 5, 15, 30, 60, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400]
    steps += [86400 * k for k in (2, 7, 14, 30, 91, 182, 365, 3650)]
    wide = (end - start) / SECOND / most
    step = int(next((s for s in steps if s >= wide), steps[-1])) * SECOND
    return list(range(-(-start // step) * step, end + 1, step))


def day(instant: int, step: int) -> str:
    """An instant of an axis, as short as its steps allow."""
    at = datetime.fromtimestamp(instant // SECOND, UTC)
    if step >= 86_400 * SECOND:
        return f"{at:%d %b %Y}" if at.day == 1 and at.month == 1 else f"{at:%d %b}"
    if at.hour == at.minute == at.second == 0:
        return f"{at:%d %b}"
    return f"{at:%H:%M}" if step >= 60 * SECOND else f"{at:%H:%M:%S}"


def gaps(instant: np.ndarray) -> np.ndarray:
    """Where a line breaks: the places before which much longer than usual nothing came."""
    if len(instant) < 3:
        return np.zeros(0, np.int64)
    step = np.diff(instant)
    return np.flatnonzero(step > 5 * np.median(step)) + 1


def _x(told: Chart, instant: np.ndarray | float) -> np.ndarray:
    share = (np.asarray(instant, np.float64) - told.start) / max(told.end - told.start, 1)
    return LEFT + np.clip(share, 0.0, 1.0) * (WIDE - LEFT - 10)


def _points(
    told: Chart,
    instant: np.ndarray,
    value: np.ndarray,
    top: float,
    floor: float,
    span: tuple[float, float],
) -> Iterable[tuple[float, float]]:
    share = (np.clip(value, *span) - span[0]) / (span[1] - span[0])
    return zip(
        np.round(_x(told, instant), 1).tolist(),
        np.round(floor - share * (floor - top), 1).tolist(),
        strict=True,
    )


def _path(
    told: Chart,
    instant: np.ndarray,
    value: np.ndarray,
    top: float,
    floor: float,
    span: tuple[float, float],
    colour: str,
    width: float,
) -> str:
    breaks = set(gaps(instant).tolist()) | {0}
    steps = (
        f"{'M' if k in breaks else 'L'}{x},{y}"
        for k, (x, y) in enumerate(_points(told, instant, value, top, floor, span))
    )
    shape = f'fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"'
    return f'<path d="{"".join(steps)}" {shape}/>'


def _text(x: float, y: float, words: str, anchor: str, opacity: float = 0.65) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" opacity="{opacity}">'
        f"{safe(words)}</text>"
    )


def _frame(told: Chart, top: float, floor: float, span: tuple[float, float]) -> Iterable[str]:
    for value in ticks(*span):
        y = floor - (value - span[0]) / (span[1] - span[0]) * (floor - top)
        yield f'<line x1="{LEFT}" x2="{WIDE - 10}" y1="{y:.1f}" y2="{y:.1f}" stroke="{_FAINT}"/>'
        yield _text(LEFT - 8, y + 4, f"{value:g}", "end")
    yield _text(4, top - 3, label(told.unit), "start")


def _spoiled(told: Chart, floor: float) -> Iterable[str]:
    for start, end, bad in told.spoiled:
        left, right = (float(_x(told, t)) for t in (start, end))
        yield (
            f'<rect x="{left - 1:.1f}" y="{TOP}" width="{max(right - left, 1) + 2:.1f}" '
            f'height="{floor - TOP:.1f}" fill="{BAD if bad else DOUBT}" fill-opacity=".22"/>'
        )


def _level(limit: float, floor: float, span: tuple[float, float]) -> str:
    y = floor - (limit - span[0]) / (span[1] - span[0]) * (floor - TOP)
    shape = f'stroke="{BAD}" stroke-width="1.2" stroke-dasharray="5 4"'
    words = _text(WIDE - 12, y - 4, f"limit {limit:g}", "end", 0.8)
    return f'<line x1="{LEFT}" x2="{WIDE - 10}" y1="{y:.1f}" y2="{y:.1f}" {shape}/>{words}'


def _marks(told: Chart, floor: float) -> Iterable[str]:
    for instant, count in told.marks:
        x = float(_x(told, instant))
        yield (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP + 4}" y2="{floor}" stroke="currentColor" '
            f'stroke-opacity=".55" stroke-dasharray="2 3"/>'
            f'<circle cx="{x:.1f}" cy="{TOP + 2}" r="7.5" fill="{TWIN}"/>'
            f'<text x="{x:.1f}" y="{TOP + 6}" text-anchor="middle" fill="#fff">{count}</text>'
        )


def _strip(told: Chart, top: float, floor: float) -> Iterable[str]:
    """Measured less expected, over the width of its band."""
    reach = float(np.max(np.abs(np.concatenate([told.left, told.left_band])), initial=1e-9)) * 1.1
    span = (-reach, reach)
    area = [*_points(told, told.left_at, told.left_band, top, floor, span)]
    area += [*_points(told, told.left_at, -told.left_band, top, floor, span)][::-1]
    corners = " ".join(f"{x},{y}" for x, y in area)
    middle = (top + floor) / 2
    yield f'<polygon points="{corners}" fill="{TWIN}" fill-opacity=".2"/>'
    yield f'<line x1="{LEFT}" x2="{WIDE - 10}" y1="{middle}" y2="{middle}" stroke="{TWIN}"/>'
    yield _path(told, told.left_at, told.left, top, floor, span, "currentColor", 1.0)
    size = ticks(0.0, reach, 2)[-1]
    for value in (-size, 0.0, size):
        y = middle - value / reach * (floor - top) / 2
        yield _text(LEFT - 8, y + 4, f"{value:+g}" if value else "0", "end")
    yield _text(WIDE - 12, top - 2, "measured − expected", "end")


def _days(told: Chart) -> Iterable[str]:
    at = hours(told.start, told.end)
    step = at[1] - at[0] if len(at) > 1 else SECOND
    for instant in at:
        x = float(_x(told, instant))
        anchor = "end" if x > WIDE - 30 else "middle"
        yield _text(min(x, WIDE - 10), HIGH - 6, day(instant, step), anchor)
