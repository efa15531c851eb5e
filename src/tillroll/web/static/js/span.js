// Spans: the ranges that have names, and the span that a range is compared with.

import { nextOf, startOf } from "./grain.js";
import { DAY, HOUR } from "./time.js";

const days = (count) => ({ days: count });
const months = (count) => ({ months: count });
const rolling = (count) => ({ of: (zone, today) => [zone.addDays(today, 1 - count), zone.addDays(today, 1)], unit: days(count) });

/** The presets, as they are listed: a name for people, the range by the day that is today, and the unit it is moved by. */
const PRESETS = {
  today: { title: "Today", of: (zone, today) => [today, zone.addDays(today, 1)], unit: days(1), before: "yesterday" },
  yesterday: { title: "Yesterday", of: (zone, today) => [zone.addDays(today, -1), today], unit: days(1), before: "the day before" },
  week: { title: "This week", of: (zone, today) => [zone.weekOf(today), zone.addDays(zone.weekOf(today), 7)], unit: days(7), before: "last week" },
  "last-week": { title: "Last week", of: (zone, today) => [zone.addDays(zone.weekOf(today), -7), zone.weekOf(today)], unit: days(7), before: "the week before" },
  month: { title: "This month", of: (zone, today) => [zone.monthOf(today), zone.addMonths(zone.monthOf(today), 1)], unit: months(1), before: "last month" },
  "last-month": { title: "Last month", of: (zone, today) => [zone.addMonths(zone.monthOf(today), -1), zone.monthOf(today)], unit: months(1), before: "the month before" },
  quarter: { title: "This quarter", of: (zone, today) => [zone.quarterOf(today), zone.addMonths(zone.quarterOf(today), 3)], unit: months(3), before: "last quarter" },
  "last-quarter": { title: "Last quarter", of: (zone, today) => [zone.addMonths(zone.quarterOf(today), -3), zone.quarterOf(today)], unit: months(3), before: "the quarter before" },
  year: { title: "This year", of: (zone, today) => [zone.yearOf(today), zone.addMonths(zone.yearOf(today), 12)], unit: months(12), before: "last year" },
  "last-year": { title: "Last year", of: (zone, today) => [zone.addMonths(zone.yearOf(today), -12), zone.yearOf(today)], unit: months(12), before: "the year before" },
  "7d": { title: "7 days", ...rolling(7), before: "the 7 days before" },
  "30d": { title: "30 days", ...rolling(30), before: "the 30 days before" },
  "90d": { title: "90 days", ...rolling(90), before: "the 90 days before" },
  "12m": { title: "12 months", of: (zone, today) => [zone.addMonths(zone.addDays(today, 1), -12), zone.addDays(today, 1)], unit: months(12), before: "the 12 months before" },
  all: { title: "All", of: null, unit: null, before: "" },
};

export const PRESET_NAMES = Object.keys(PRESETS);
export const COMPARISONS = ["before", "year"];
export const presetTitle = (name) => PRESETS[name]?.title ?? "Custom";

/**
 * Return the range that a state asks for: {name, from, to, bounds}. `calendar` has the zone, what is now, and the first
 * and last day that have purchases; a range is widened to whole windows of the grain `finest`. `bounds` are the API's
 * parameters.
 */
export function rangeOf(state, calendar, finest = "hour") {
  const { zone, now, first, last } = calendar;
  const name = state.range ?? calendar.usual;
  if (name === "all") return { name, from: zone.dayOf(first), to: Math.max(zone.addDays(zone.dayOf(last), 1), zone.dayOf(first) + HOUR), bounds: {} };
  const given = name === "custom" ? [zone.parse(state.from), zone.parse(state.to)] : PRESETS[name].of(zone, zone.dayOf(now));
  const [from, to] = [startOf(finest, zone, given[0]), ceiling(finest, zone, given[1])];
  return { name, from, to, bounds: { from: zone.parameter(from), to: zone.parameter(to) } };
}

const ceiling = (grain, zone, at) => (startOf(grain, zone, at) === at ? at : nextOf(grain, zone, startOf(grain, zone, at)));

/**
 * Return what a range is compared with: {from, to, end, move, words}, or null when there is nothing before it. What is
 * not over is compared up to `end`, the last full step: `from` to `to` is as much of the span before. `move` takes an
 * instant of the range to the one of the span before that it is compared with.
 */
export function comparisonOf(kind, range, calendar, { grain, finest = "hour" }) {
  const { zone, now } = calendar;
  if (!COMPARISONS.includes(kind) || range.name === "all") return null;
  const asked = kind === "year" ? yearUnit(range, grain) : (PRESETS[range.name]?.unit ?? lengthOf(range, zone));
  const unit = inWhole(finest, asked, range);
  const move = (at) => moved(at, unit, zone);
  const full = startOf(finest, zone, now);
  const end = Math.max(range.from, Math.min(range.to, full));
  return { from: move(range.from), to: move(end), end, move, open: end < range.to, words: kind === "year" ? "a year before" : (PRESETS[range.name]?.before ?? "the period before") };
}

// Weeks are held against weeks: 52 of them are a day or two less than a year.
const yearUnit = (range, grain) => (grain === "week" || /week$/.test(range.name) ? days(364) : months(12));

function lengthOf({ from, to }, zone) {
  return zone.isMidnight(from) && zone.isMidnight(to) ? days(Math.round((zone.local(to) - zone.local(from)) / DAY)) : { seconds: to - from };
}

/** Return a unit in whole weeks or months, for a report that has nothing finer: at least as long as the range. */
function inWhole(finest, unit, { from, to }) {
  if (finest === "week") return days(7 * Math.max(1, Math.ceil(Math.max(unit.days ?? 0, (to - from) / DAY - 0.5) / 7)));
  if (finest === "month") return unit.months ? months(Math.max(unit.months, Math.round((to - from) / DAY / 30.44))) : months(Math.max(1, Math.round((to - from) / DAY / 30.44)));
  return unit;
}

function moved(at, unit, zone) {
  if (unit.seconds) return at - unit.seconds;
  return unit.months ? zone.addMonths(at, -unit.months) : zone.addDays(at, -unit.days);
}

/** Return the calendar of the data: its zone, now, its days with purchases, and the range that is usual for it. */
export function calendarOf(days, zone, now) {
  const today = zone.dayOf(now);
  const last = days.length ? days.at(-1).at : today;
  const stale = days.length > 0 && last < zone.addDays(today, -6);
  return { zone, now, days, first: days.length ? days[0].at : today, last: stale ? last : Math.max(last, today), latest: last, stale, usual: stale ? "all" : "7d" };
}

/** Return the columns of the span before, one for each: as long as the column has been so far. */
export const columnsBefore = (columns, { move, end }) => columns.map(({ from, to }) => ({ from: move(Math.min(from, end)), to: move(Math.min(to, end)), none: from >= end }));
