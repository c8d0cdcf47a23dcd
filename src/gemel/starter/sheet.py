"""A person's CSV as a tidy table: which column is the twin, the time, which are signals.

Owns    reading any delimiter, decimal comma, time format, long or wide; units out of headers.
Never   gives up without saying which line, what, and how to mend it.
"""

import csv
import keyword
import re
from pathlib import Path

import polars as pl

from gemel.clock import SECOND
from gemel.errors import Invalid, NotFound
from gemel.starter.story import Signal
from gemel.units import known

TIMES = "time timestamp datetime date_time date ts t instant zeit zeitstempel uhrzeit".split()
TWINS = (
    "twin asset asset_id id device device_id machine machine_id machineid unit_id equipment "
    "turbine pump motor sensor_id wind_turbine_name serial tagname station anlage maschine"
).split()
SIGNALS = "signal variable tag parameter measurement metric channel sensor name quantity".split()
VALUES = "value val reading wert messwert".split()
UNIT_COLUMNS = "unit units uom einheit".split()
NOTHING = ["", "nan", "NaN", "NA", "N/A", "n/a", "null", "NULL", "None", "none", "-", "?"]
FORMS = [  # tried in this order; what names its day first comes before what names its month first
    "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%Y/%m/%d %H:%M:%S%.f", "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S%.f", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%d/%m/%Y %H:%M:%S%.f", "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S%.f", "%m/%d/%Y %H:%M", "%d-%m-%Y %H:%M:%S%.f", "%d-%m-%Y %H:%M",
    "%d/%m/%Y", "%m/%d/%Y", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S",
]  # fmt: skip
MOST_TWINS, MOST_SIGNALS = 500, 60
LATEST = 4_102_444_800.0  # s; the year 2100
UNITS = {
    "°c": "degC", "c": "degC", "degc": "degC", "deg_c": "degC", "celsius": "degC", "deg c": "degC",
    "℃": "degC", "°f": "degF", "f": "degF", "degf": "degF", "fahrenheit": "degF", "k": "K",
    "kelvin": "K", "rpm": "rpm", "1/min": "rpm", "r/min": "rpm", "min-1": "rpm", "u/min": "rpm",
    "hz": "Hz", "rad/s": "rad/s", "w": "W", "watt": "W", "kw": "kW", "mw": "MW", "nm": "N m",
    "n.m": "N m", "knm": "kN m", "pa": "Pa", "kpa": "kPa", "bar": "bar", "psi": "psi", "m/s": "m/s",
    "mps": "m/s", "mm/s": "mm/s", "mms": "mm/s", "km/h": "km/h", "kmh": "km/h", "l/min": "L/min",
    "lpm": "L/min", "l_min": "L/min", "m3/h": "m3/h", "m³/h": "m3/h", "l/s": "L/s", "%": "%",
    "pct": "%", "percent": "%", "perc": "%", "s": "s", "sec": "s", "min": "min", "h": "h",
    "deg": "deg", "°": "deg", "rad": "rad", "m": "m", "mm": "mm", "um": "um", "µm": "um",
    "v": "V", "volt": "V", "a": "A", "amp": "A", "-": "1", "1": "1",
}  # fmt: skip
NAMED = (  # a unit guessed from the signal's name alone, when the header tells none
    (r"temp|thermo", "degC"), (r"rpm|rot.*speed", "rpm"), (r"humid|percent|pct", "%"),
    (r"voltage", "V"), (r"current(?!ly)", "A"), (r"wind_?speed", "m/s"),
)  # fmt: skip
RISKY = frozenset("c f k w s h m v a min pa deg rad".split())  # as a suffix only in their own case
TAKEN = frozenset(  # names that the first kernel has for itself
    "version layout max_step flow step sense limits initial identity typical actual lag offset"
    " twin time".split()
)


# ---- reading ----------------------------------------------------------------------------------


def read(path: Path) -> tuple[pl.DataFrame, int]:
    """Every cell as text, and the number of the first data line."""
    if not path.is_file():
        raise NotFound("csv.no_file", f"there is no file {path}", mend="look at the path")
    with path.open("rb") as file:
        head = file.read(1 << 18)
    if not head.strip():
        raise hopeless(path, 1, "it is empty", "give a file with a header line and rows of numbers")
    if b"\0" in head:
        mend = "save it as CSV, UTF-8 (in a spreadsheet: Save as, CSV UTF-8)"
        raise hopeless(path, 1, "it is not a text file", mend)
    text = head.decode("utf-8-sig", "replace")
    lines = text.splitlines()[:200]
    skip = _header_line(lines)
    delimiter = max(",;\t|", key=lines[skip].count)
    try:
        table = pl.read_csv(
            path,
            separator=delimiter,
            skip_rows=skip,
            infer_schema_length=0,
            null_values=NOTHING,
            encoding="utf8-lossy",
        )
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise _ragged(path, delimiter, skip) or hopeless(
            path, skip + 1, f"it cannot be read: {problem}", "mend that line"
        ) from None
    table = table.rename({name: name.strip() for name in table.columns})
    if len(table) < 3 or table.width < 2:
        raise hopeless(
            path,
            skip + 1,
            f"it has {len(table)} rows and {table.width} column(s)",
            "give one column of times, at least one of numbers, and more than two rows",
        )
    return table, skip + 2


def _header_line(lines: list[str]) -> int:
    """The first line with as many cells as most lines have: exports open with remarks."""
    counts = [max(line.count(d) for d in ",;\t|") for line in lines]
    usual = max(set(counts[len(counts) // 2 :]), key=counts[len(counts) // 2 :].count)
    return next((k for k, count in enumerate(counts) if count == usual and lines[k].strip()), 0)


def _ragged(path: Path, delimiter: str, skip: int) -> Invalid | None:
    """The first line with another number of cells than the header."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        for _ in range(skip):
            next(file)
        rows = csv.reader(file, delimiter=delimiter)
        header = next(rows, [])
        for row in rows:
            if row and len(row) > len(header):
                told = f"it has {len(row)} cells, the header has {len(header)}"
                return hopeless(path, rows.line_num + skip, told, "quote cells that hold a comma")
    return None


def hopeless(path: Path, line: int, message: str, mend: str) -> Invalid:
    return Invalid("csv.unusable", message, where=f"{path}, line {line}", mend=mend)


# ---- shape ------------------------------------------------------------------------------------


def tidy(
    table: pl.DataFrame, first: int, path: Path, zone: str, warnings: list[str]
) -> tuple[pl.DataFrame, list[Signal], str]:
    """The wide tidy table (twin, time, one column a signal), its signals, and the shape it had."""
    low = {name.lower().replace(" ", "_"): name for name in table.columns}
    when, used = _times(table, low, path, first, zone, warnings)
    rest = [name for name in table.columns if name not in used]
    signal, value = (_first(low, names, rest) for names in (SIGNALS, VALUES))
    long = signal is not None and value is not None and _numbers(table[signal]) is None
    if long and signal and value:
        rest = [name for name in rest if name not in (signal, value)]
    unit = _first(low, UNIT_COLUMNS, rest) if long else None
    twin = _twin_column(table, low, [name for name in rest if name != unit])
    ids = (
        _ids(table[twin]) if twin else pl.Series([plain_id(path.stem)[:64] or "twin"] * len(table))
    )
    if ids.n_unique() > MOST_TWINS:
        told = f"column '{twin}' names {ids.n_unique()} twins"
        raise hopeless(path, first, told, f"split the file: a first plant takes {MOST_TWINS}")
    base = pl.DataFrame({"twin": ids, "time": when})
    if long and signal and value:
        _lost(table[value], _forced(table[value]), first, warnings)
        wide, signals = _from_long(table, base, signal, value, unit, warnings)
        shape = "long"
    else:
        others = [name for name in rest if name != twin]
        wide, signals = _from_wide(table, base, others, first, warnings)
        shape = "wide"
    if not signals:
        told = "there is no column of numbers"
        raise hopeless(path, first, told, "give at least one column that holds numbers")
    if len(signals) > MOST_SIGNALS:
        warnings.append(f"only the first {MOST_SIGNALS} of {len(signals)} signals are taken")
        signals = signals[:MOST_SIGNALS]
        wide = wide.select("twin", "time", *(s.name for s in signals))
    wide = wide.filter(pl.col("time").is_not_null() & pl.col("twin").is_not_null())
    return wide.sort(["time", "twin"], maintain_order=True), signals, shape


def _from_wide(
    table: pl.DataFrame, base: pl.DataFrame, names: list[str], first: int, warnings: list[str]
) -> tuple[pl.DataFrame, list[Signal]]:
    signals: list[Signal] = []
    columns: list[pl.Series] = []
    for header in names:
        numbers = _numbers(table[header])
        if numbers is None or numbers.is_null().all():
            continue
        if re.search("time|date", header.lower()) and _epoch(table[header], len(table)) is not None:
            continue  # another time
        _lost(table[header], numbers, first, warnings)
        signals.append(_signal(header, "", {s.name for s in signals}))
        columns.append(numbers.alias(signals[-1].name))
    return base.with_columns(columns), signals


def _from_long(
    table: pl.DataFrame,
    base: pl.DataFrame,
    signal: str,
    value: str,
    unit: str | None,
    warnings: list[str],
) -> tuple[pl.DataFrame, list[Signal]]:
    units = table[unit].fill_null("") if unit else pl.Series([""] * len(table))
    rows = base.with_columns(
        table[signal].alias("_signal"), _forced(table[value]).alias("_value"), units.alias("_unit")
    ).drop_nulls(["_signal", "_value", "time"])
    signals: list[Signal] = []
    names: dict[str, str] = {}
    told = rows.group_by("_signal", maintain_order=True).agg(pl.col("_unit").first())
    for header, its in told.iter_rows():
        signals.append(_signal(header, its, {s.name for s in signals}))
        names[header] = signals[-1].name
    rows = rows.with_columns(pl.col("_signal").replace(names))
    if twice := len(rows) - rows.n_unique(["twin", "time", "_signal"]):
        warnings.append(f"{twice} samples stand twice (same twin, time, signal): the last counts")
    wide = rows.pivot("_signal", index=["twin", "time"], values="_value", aggregate_function="last")
    return wide, signals


def _first(low: dict[str, str], names: list[str], among: list[str]) -> str | None:
    return next((low[name] for name in names if low.get(name) in among), None)


def _twin_column(table: pl.DataFrame, low: dict[str, str], rest: list[str]) -> str | None:
    """By its name; else the only column of few words."""
    few = max(2, len(table) // 5)
    for name in TWINS:
        column = low.get(name)
        if column is not None and column in rest and table[column].n_unique() <= few:
            return column
    wordy = [n for n in rest if _numbers(table[n]) is None and 1 < table[n].n_unique() <= few]
    return wordy[0] if len(wordy) == 1 and table[wordy[0]].n_unique() <= 50 else None


def _ids(column: pl.Series) -> pl.Series:
    known: dict[str, str] = {}
    for text in column.drop_nulls().unique(maintain_order=True):
        plain = plain_id(str(text))[:60] or "twin"
        known[text] = plain if plain not in known.values() else f"{plain}-{len(known)}"
    return column.replace_strict(known, default=None, return_dtype=pl.String)


def plain_id(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text.strip()).strip("-.")


def _numbers(column: pl.Series) -> pl.Series | None:
    """The column as numbers; None when more than one cell in twenty is none."""
    numbers = _forced(column)
    lost = numbers.null_count() - column.null_count()
    return None if lost > 0.05 * max(1, len(column) - column.null_count()) else numbers


def _forced(column: pl.Series) -> pl.Series:
    """Cells as numbers: 3.14; 3,14 and 1.234,5 as half of Europe writes them; 1,234.5."""
    text = column.cast(pl.String).str.strip_chars()
    if text.str.contains(r",\d{3}\.").any():
        text = text.str.replace_all(",", "", literal=True)
    comma = text.str.contains(",", literal=True)
    other = text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)
    plain = pl.select(pl.when(comma).then(other).otherwise(text)).to_series()
    number = plain.cast(pl.Float64, strict=False)
    return pl.select(pl.when(number.is_finite()).then(number)).to_series()


def _lost(column: pl.Series, numbers: pl.Series, first: int, warnings: list[str]) -> None:
    """Say which cells of a column of numbers hold none."""
    lost = numbers.is_null() & column.is_not_null()
    if count := int(lost.sum()):
        row = int(lost.arg_true()[0])
        warnings.append(
            f"{count} cells of '{column.name}' are no number and are left out; the first is in "
            f"line {first + row}: '{str(column[row])[:30]}'"
        )


# ---- time -------------------------------------------------------------------------------------


def _times(
    table: pl.DataFrame, low: dict[str, str], path: Path, first: int, zone: str, warn: list[str]
) -> tuple[pl.Series, list[str]]:
    """Instants in UTC, and the columns they were read from."""
    if "date" in low and "time" in low and low["date"] != low["time"]:
        both = table[low["date"]] + " " + table[low["time"]]
        if (found := _instants(both, zone, warn)) is not None:
            return _complete(found, both, path, first, warn), [low["date"], low["time"]]
    named = [low[name] for name in TIMES if name in low]
    named += [n for n in table.columns if "time" in n.lower() or "date" in n.lower()]
    for name in dict.fromkeys([*named, *table.columns]):
        numbers_too = name in named
        found = _instants(table[name], zone, warn, numbers=numbers_too)
        if found is not None:
            return _complete(found, table[name], path, first, warn), [name]
    tried = named[0] if named else table.columns[0]
    told = f"no column holds times; '{tried}' begins with '{str(table[tried][0])[:40]}'"
    mend = "name the column time, and write ISO 8601, for example 2026-03-01T12:00:00Z"
    raise hopeless(path, first, told, mend)


def _complete(
    found: pl.Series, text: pl.Series, path: Path, first: int, warn: list[str]
) -> pl.Series:
    lost = found.is_null()
    if (count := int(lost.sum())) > 0:
        row = int(lost.arg_true()[0])
        warn.append(
            f"{count} rows have no readable time and are left out; "
            f"the first is line {first + row}: '{str(text[row])[:30]}'"
        )
    if found.n_unique() < 3:
        told = "fewer than three different times"
        raise hopeless(path, first, told, "give a file that spans some time")
    return found


def _instants(
    column: pl.Series, zone: str, warn: list[str], numbers: bool = True
) -> pl.Series | None:
    """Text as instants; None when more than one in a hundred is not to be read."""
    text = column.cast(pl.String).str.strip_chars()
    there = len(text) - text.null_count()
    if not there:
        return None
    if numbers and (epoch := _epoch(text, there)) is not None:
        return epoch
    plain = text.str.replace("T", " ", literal=True)
    zoned = plain.str.replace(r"\s*Z$", "+00:00").str.replace(r"\s+([+-]\d\d:?\d\d)$", "${1}")
    for form in ("%Y-%m-%d %H:%M:%S%.f%z", "%Y-%m-%d %H:%M%z"):
        read = zoned.str.to_datetime(form, time_unit="ns", time_zone="UTC", strict=False)
        if read.null_count() - text.null_count() <= 0.01 * there:
            return read
    best = _best_form(plain, text.null_count(), there)
    if best is None:
        return None
    form, naive = best
    if form.startswith(("%d/%m", "%d-%m")) and _fits(plain, form.replace("%d/%m", "%m/%d"), naive):
        warn.append(f"times are read day first ({form}); if the month comes first, mend the file")
    try:
        local = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    except pl.exceptions.PolarsError:
        raise Invalid(
            "csv.zone",
            f"'{zone[:40]}' is not a time zone",
            mend="write --zone Europe/Paris, America/Chicago, UTC …",
        ) from None
    warn.append(f"times name no zone: they are taken as {zone} (another: --zone Europe/Paris)")
    return local.dt.convert_time_zone("UTC")


def _best_form(plain: pl.Series, nulls: int, there: int) -> tuple[str, pl.Series] | None:
    for form in FORMS:
        read = plain.head(2000).str.to_datetime(form, time_unit="ns", strict=False)
        if read.null_count() > 0.5 * min(2000, len(plain)):
            continue
        read = plain.str.to_datetime(form, time_unit="ns", strict=False)
        if read.null_count() - nulls <= 0.01 * there:
            return form, read
    return None


def _fits(plain: pl.Series, form: str, naive: pl.Series) -> bool:
    other = plain.str.to_datetime(form, time_unit="ns", strict=False)
    return other.null_count() <= naive.null_count()


def _epoch(text: pl.Series, there: int) -> pl.Series | None:
    """Seconds, ms, µs or ns since 1970, by their size; small numbers are no instants."""
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() - text.null_count() > 0.01 * there:
        return None
    middle = float(numbers.median() or 0.0)  # type: ignore[arg-type]
    for scale in (1.0, 1e3, 1e6, 1e9):
        if 6e8 <= middle / scale <= LATEST:
            ns = (numbers * (SECOND / scale)).round().cast(pl.Int64, strict=False)
            return ns.cast(pl.Datetime("ns", "UTC"))
    return None


# ---- signals ----------------------------------------------------------------------------------


def _signal(header: str, unit: str, taken: set[str]) -> Signal:
    """Name and unit of a header: `speed [rpm]`, `temp_degC`, `Power (kW)`, `pressure/bar`."""
    told, stem = unit.strip(), header.strip()
    match = re.fullmatch(r"(.*?)[\s_]*[\[({]\s*([^\])}]*)\s*[\])}]\s*", stem)
    if match and match[1]:
        stem, told = match[1], told or match[2]
    elif not told:
        stem, told = _suffix(stem)
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_").lower() or "signal"
    if name[0].isdigit():
        name = f"signal_{name}"
    if keyword.iskeyword(name) or name in TAKEN:
        name = f"{name}_value"
    while name in taken or name in ("twin", "time"):
        name += "_"
    if found := (told if known(told) else UNITS.get(told.lower())):
        return Signal(header, name, found, "from the header")
    if told:
        return Signal(header, name, "1", f"the file says '{told}', which is no unit Gemel knows")
    for pattern, guessed in NAMED:
        if re.search(pattern, name):
            return Signal(header, name, guessed, "guessed from the name")
    return Signal(header, name, "1", "the file names no unit")


def _suffix(stem: str) -> tuple[str, str]:
    for cut in re.finditer(r"[\s_/]+", stem):
        head, tail = stem[: cut.start()], stem[cut.end() :]
        low = tail.lower()
        if head and (known(tail) or (low in UNITS and low not in RISKY)) and tail != "1":
            return head, tail
        if head and low in RISKY and low in UNITS and tail in ("C", "F", "W", "V", "A", "K"):
            return head, tail
    return stem, ""
