// Time, as the page reckons it: zones, and what datapoints spell.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DAY, HOUR, UTC, findZone } from "./js/time.js";

const stockholm = findZone("Europe/Stockholm");
const at = (text) => Date.parse(text) / 1000;

test("a day has 23 hours when clocks go forward, and 25 when they go back", () => {
  for (const [zone, date, hours] of [["Europe/Stockholm", "2026-03-29", 23], ["Europe/Stockholm", "2026-10-25", 25], ["America/New_York", "2026-03-08", 23], ["America/New_York", "2026-11-01", 25], ["Asia/Tokyo", "2026-03-29", 24]]) {
    const clocks = findZone(zone);
    const start = clocks.parse(date);
    assert.equal(clocks.addDays(start, 1) - start, hours * HOUR, `${zone} ${date}`);
  }
});

test("a local time that clocks leave out is when they go past it", () => {
  assert.equal(stockholm.instant(at("2026-03-29T02:30:00Z")), at("2026-03-29T01:00:00Z"));
  assert.equal(stockholm.instant(at("2026-10-25T02:30:00Z")), at("2026-10-25T00:30:00Z"), "the first of two");
});

test("windows of every kind begin when their text says", () => {
  for (const [text, zone, instant] of [
    ["2011-12-03:10", stockholm, "2011-12-03T10:00:00Z"],
    ["2026-10-25:02+02:00", stockholm, "2026-10-25T00:00:00Z"],
    ["2026-10-25:02+01:00", stockholm, "2026-10-25T01:00:00Z"],
    ["2026-10-25:02+05:30", UTC, "2026-10-24T20:30:00Z"],
    ["2026-10-25:02-04:00", UTC, "2026-10-25T06:00:00Z"],
    ["1900-01-01:00+00:19:32", UTC, "1899-12-31T23:40:28Z"],
    ["2026-10-25", stockholm, "2026-10-24T22:00:00Z"],
    ["2026-10", stockholm, "2026-09-30T22:00:00Z"],
    ["2026-W01", UTC, "2025-12-29T00:00:00Z"],
    ["2020-W53", UTC, "2020-12-28T00:00:00Z"],
    ["2027-W01", UTC, "2027-01-04T00:00:00Z"],
    ["2026-W44", stockholm, "2026-10-25T23:00:00Z"],
  ]) assert.equal(zone.window(text), at(instant), text);
});

test("months are counted to the last day that a month has", () => {
  assert.equal(UTC.addMonths(at("2026-03-31T14:00:00Z"), -1), at("2026-02-28T14:00:00Z"));
  assert.equal(UTC.addMonths(at("2024-02-29T00:00:00Z"), -12), at("2023-02-28T00:00:00Z"));
  assert.equal(UTC.addMonths(at("2026-01-15T00:00:00Z"), -1), at("2025-12-15T00:00:00Z"));
});

test("a range is written with its last day, and not the day after it", () => {
  const written = (from, to, zone = UTC) => zone.rangeText(zone.parse(from), zone.parse(to));
  assert.equal(written("2026-11-01", "2026-12-01"), "1 – 30 Nov 2026");
  assert.equal(written("2026-11-01", "2026-11-02"), "Sun, 1 Nov 2026");
  assert.equal(written("2025-12-30", "2026-01-02"), "30 Dec 2025 – 1 Jan 2026");
  assert.equal(written("2026-10-25", "2026-10-26", stockholm), "Sun, 25 Oct 2026");
  assert.equal(written("2026-11-01T10:00:00Z", "2026-11-01T12:00:00Z"), "1 Nov 2026, 10:00–12:00");
});

test("what a parameter says is what it was made from", () => {
  for (const zone of [UTC, stockholm, findZone("America/New_York")]) {
    for (let hour = at("2026-10-24T00:00:00Z"); hour < at("2026-11-03T00:00:00Z"); hour += HOUR) assert.equal(zone.parse(zone.parameter(hour)), hour);
  }
});

test("no parameter is made of what is no date", () => {
  for (const text of ["2026-02-30", "2026-13-01", "yesterday", "", null, "2026-01-01T25:00:00Z", "2026-1-1"]) assert.equal(UTC.parse(text), null, String(text));
  assert.equal(UTC.parse("2024-02-29"), Date.UTC(2024, 1, 29) / 1000);
  assert.equal(DAY, 86_400);
});
