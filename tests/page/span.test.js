// Ranges, what they are compared with, grains and columns.

import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf, finer, grainOf, ticksOf } from "./js/grain.js";
import { PRESET_NAMES, calendarOf, columnsBefore, comparisonOf, rangeOf } from "./js/span.js";
import { DAY, HOUR, UTC, findZone } from "./js/time.js";

const stockholm = findZone("Europe/Stockholm");
const at = (text) => Date.parse(text) / 1000;
const days = [{ at: at("2025-01-05T00:00:00Z"), events: 3 }, { at: at("2026-11-27T00:00:00Z"), events: 4 }];
const now = at("2026-11-27T11:40:00Z"); // a Friday
const calendar = calendarOf(days, UTC, now);
const dates = ({ from, to }) => [from, to].map((one) => new Date(one * 1000).toISOString().slice(0, 16));
const range = (name, more = calendar) => rangeOf({ range: name }, more);

test("hours are labelled at even distances, over whatever days and however little room there is", () => {
  for (const zone of [UTC, stockholm]) {
    for (let day = 1; day <= 8; day += 1) {
      const from = zone.parse(`2026-11-0${day}`);
      const columns = columnsOf("hour", zone, { from, to: zone.addDays(from, 7) }, now);
      for (const room of [2, 3, 4, 6, 9, 14]) {
        const ticks = ticksOf("hour", zone, columns, room);
        assert.equal(new Set(ticks.slice(1).map((index, at) => index - ticks[at])).size <= 1, true, `${day} ${room}: ${ticks}`);
      }
    }
  }
});

test("hours of many days are labelled at midnights, however little room there is", () => {
  for (const days of [8, 30, 61, 92, 183]) {
    for (const zone of [UTC, stockholm]) {
      const from = zone.parse("2026-05-01");
      const columns = columnsOf("hour", zone, { from, to: zone.addDays(from, days) }, now);
      for (const room of [2, 4, 7, 12]) {
        const ticks = ticksOf("hour", zone, columns, room);
        if (columns.length / room > 24) assert.equal(ticks.every((index) => zone.local(columns[index].start) % 86_400 === 0), true, `${days} ${room}: ${ticks}`);
      }
    }
  }
});

test("presets are the days that their names say", () => {
  const expected = {
    today: ["2026-11-27", "2026-11-28"],
    yesterday: ["2026-11-26", "2026-11-27"],
    week: ["2026-11-23", "2026-11-30"],
    "last-week": ["2026-11-16", "2026-11-23"],
    month: ["2026-11-01", "2026-12-01"],
    "last-month": ["2026-10-01", "2026-11-01"],
    quarter: ["2026-10-01", "2027-01-01"],
    "last-quarter": ["2026-07-01", "2026-10-01"],
    year: ["2026-01-01", "2027-01-01"],
    "last-year": ["2025-01-01", "2026-01-01"],
    "7d": ["2026-11-21", "2026-11-28"],
    "30d": ["2026-10-29", "2026-11-28"],
    "90d": ["2026-08-30", "2026-11-28"],
    "12m": ["2025-11-28", "2026-11-28"],
    all: ["2025-01-05", "2026-11-28"],
  };
  assert.deepEqual(Object.keys(expected).toSorted(), PRESET_NAMES.toSorted());
  for (const [name, bounds] of Object.entries(expected)) assert.deepEqual(dates(range(name)), bounds.map((day) => `${day}T00:00`), name);
});

test("what is not over is compared up to the same hour", () => {
  for (const [name, from, to, words] of [
    ["today", "2026-11-26T00:00", "2026-11-26T11:00", "yesterday"],
    ["week", "2026-11-16T00:00", "2026-11-20T11:00", "last week"],
    ["month", "2026-10-01T00:00", "2026-10-27T11:00", "last month"],
    ["year", "2025-01-01T00:00", "2025-11-27T11:00", "last year"],
    ["7d", "2026-11-14T00:00", "2026-11-20T11:00", "the 7 days before"],
    ["last-month", "2026-09-01T00:00", "2026-10-01T00:00", "the month before"],
  ]) {
    const compared = comparisonOf("before", range(name), calendar, { grain: "day" });
    assert.deepEqual([...dates(compared), compared.words], [from, to, words], name);
  }
});

test("the year before has the same dates, and weeks the same weekdays", () => {
  const year = (name, grain) => dates(comparisonOf("year", range(name), calendar, { grain }));
  assert.deepEqual(year("last-month", "day"), ["2025-10-01T00:00", "2025-11-01T00:00"]);
  assert.deepEqual(year("last-week", "day"), ["2025-11-17T00:00", "2025-11-24T00:00"]);
  assert.equal(UTC.weekOf(comparisonOf("year", range("90d"), calendar, { grain: "week" }).from) + 6 * DAY, at("2025-08-31T00:00:00Z") );
});

test("a custom range is compared with as much before it", () => {
  const custom = rangeOf({ range: "custom", from: "2026-11-10", to: "2026-11-13" }, calendar);
  assert.deepEqual(dates(comparisonOf("before", custom, calendar, { grain: "day" })), ["2026-11-07T00:00", "2026-11-10T00:00"]);
  const hours = rangeOf({ range: "custom", from: "2026-11-10T10:00:00Z", to: "2026-11-10T13:00:00Z" }, calendar);
  assert.deepEqual(dates(comparisonOf("before", hours, calendar, { grain: "hour" })), ["2026-11-10T07:00", "2026-11-10T10:00"]);
});

test("all time, and what nobody asked to compare, is compared with nothing", () => {
  assert.equal(comparisonOf("before", range("all"), calendar, { grain: "day" }), null);
  assert.equal(comparisonOf(null, range("7d"), calendar, { grain: "day" }), null);
});

test("a day that clocks change on is compared with the same hours of the day before", () => {
  const clocks = calendarOf(days, stockholm, at("2026-10-25T14:20:00Z")); // 15:20, of a day of 25 hours
  const compared = comparisonOf("before", rangeOf({ range: "today" }, clocks), clocks, { grain: "hour" });
  assert.deepEqual(dates(compared), ["2026-10-23T22:00", "2026-10-24T13:00"]);
});

test("the grain suits the range, and one that would be too much is replaced and told", () => {
  const all = ["hour", "day", "week", "month"];
  const grain = (name, wanted = null) => grainOf(all, wanted, range(name));
  assert.equal(grain("today").grain, "hour");
  assert.equal(grain("30d").grain, "day");
  assert.equal(grain("12m").grain, "week");
  assert.equal(grain("30d", "week").grain, "week");
  assert.deepEqual([grain("12m", "hour").grain, grain("12m", "hour").said], ["day", "Too many hours in this range: shown by day."]);
  assert.equal(grainOf(["day", "week", "month"], "hour", range("today")).grain, "day");
  assert.deepEqual([finer(all, "month"), finer(all, "hour")], ["week", null]);
});

test("columns are whole but for those the range cuts, and the one that is not over", () => {
  const weeks = columnsOf("week", UTC, range("month"), now);
  assert.deepEqual(weeks.map(({ part }) => part), [true, false, false, false, true, true]);
  assert.deepEqual(weeks.map(({ open }) => open), [false, false, false, false, true, false]);
  assert.equal(weeks[0].to - weeks[0].from, DAY, "the first of November was a Sunday");
  assert.equal(columnsOf("hour", stockholm, rangeOf({ range: "custom", from: "2026-10-25", to: "2026-10-26" }, calendarOf(days, stockholm, now)), now).length, 25);
  assert.equal(columnsOf("day", stockholm, rangeOf({ range: "custom", from: "2026-03-28", to: "2026-03-31" }, calendarOf(days, stockholm, now)), now).length, 3);
});

test("each column is compared with as long a span as it has been so far", () => {
  const shown = range("week");
  const columns = columnsOf("day", UTC, shown, now);
  const before = columnsBefore(columns, comparisonOf("before", shown, calendar, { grain: "day" }));
  assert.deepEqual(before.map(({ from, to }) => (to - from) / HOUR), [24, 24, 24, 24, 11, 0, 0]);
  assert.deepEqual(before.map(({ none }) => none), [false, false, false, false, false, true, true]);
});

test("labels under a chart are as many as there is room for", () => {
  for (const name of PRESET_NAMES) {
    for (const grain of ["hour", "day", "week", "month"]) {
      const { grain: used } = grainOf(["hour", "day", "week", "month"], grain, range(name));
      const columns = columnsOf(used, UTC, range(name), now);
      for (const room of [4, 12]) assert.ok(ticksOf(used, UTC, columns, room).length <= room + 2, `${name} ${used} ${room}`);
    }
  }
});

test("a report that counts weeks or months is asked and compared in whole ones", () => {
  const weeks = rangeOf({ range: "7d" }, calendar, "week");
  assert.deepEqual(dates(weeks), ["2026-11-16T00:00", "2026-11-30T00:00"]);
  const compared = comparisonOf("before", weeks, calendar, { grain: "week", finest: "week" });
  assert.deepEqual(dates(compared), ["2026-11-02T00:00", "2026-11-09T00:00"]);
  const months = rangeOf({ range: "90d" }, calendar, "month");
  assert.deepEqual(dates(months), ["2026-08-01T00:00", "2026-12-01T00:00"]);
  assert.deepEqual(dates(comparisonOf("before", months, calendar, { grain: "month", finest: "month" })), ["2026-04-01T00:00", "2026-07-01T00:00"]);
  assert.deepEqual(dates(rangeOf({ range: "custom", from: "2026-11-10T10:20:00Z", to: "2026-11-10T13:00:00Z" }, calendar, "day")), ["2026-11-10T00:00", "2026-11-11T00:00"]);
});
