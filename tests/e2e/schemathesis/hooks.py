"""What Schemathesis needs to be told: how to make values that JSON Schema has no words for."""

from __future__ import annotations

import datetime
import string

import schemathesis
from hypothesis import strategies as st

from tillroll.core.dimension import BRACKETS
from tillroll.core.limits import METHODS

_PRINTABLE = st.text(st.characters(categories=("L", "N", "P", "S"), exclude_characters="|"), min_size=1, max_size=128)
_ASCII = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=128)
_PAST = st.datetimes(datetime.datetime(1, 1, 2), datetime.datetime(2025, 1, 1))  # noqa: DTZ001 UTC is said below
_DAYS = st.dates().map(datetime.date.isoformat)
_HOURS = st.builds(lambda day, hour: f"{day}T{hour:02}:00:00Z", _DAYS, st.integers(0, 23))


@st.composite
def _datapoints(draw: st.DrawFn) -> str:
    day, method, bracket = draw(_DAYS), draw(st.sampled_from(METHODS)), draw(st.sampled_from(BRACKETS))
    hour = f"{day}:{draw(st.integers(0, 23)):02}"
    merchant = f"m{draw(st.text(string.ascii_letters + string.digits + '-', max_size=20))}"
    forms = [f"{hour}|{bracket}", f"{hour}|{bracket}|{method}", f"{bracket}|{method}", f"{day}|{merchant}"]
    return draw(st.sampled_from([*forms, f"{merchant}|{method}"]))


FORMATS = {
    "name": _ASCII,  # also a header
    "merchant": _PRINTABLE.filter(lambda text: text not in BRACKETS and len(text) != 10),
    "zone": st.sampled_from(["UTC", "Etc/UTC"]),
    "date-time": _PAST.map(lambda moment: f"{moment.isoformat()}Z"),
    "datapoint": _datapoints(),
    "day-bound": _DAYS,
    "hour-bound": st.one_of(_DAYS, _HOURS),
    "cursor": st.builds(lambda events, day: f"{events}|{day}", st.integers(0, 10**9), _DAYS),
}
for name, strategy in FORMATS.items():
    schemathesis.openapi.format(name, strategy)
for media_type in ("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"):
    schemathesis.serializer.alias(media_type, "text/plain")
