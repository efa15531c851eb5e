// From the rows of a report to what a chart draws. Knows reports by their dimensions, never by their names.

import { colorName } from "./charts/palette.js";
import { BRACKETS, METHODS, whole, word } from "./format.js";
import { DAY, HOUR, WEEK, WINDOW, floor, mondayOf, monthOf, parseWindow, rangeText, windowText } from "./time.js";

export const MONTH = 30.4375 * DAY; // for the width of a column; its start is the first of the month
const COLUMNS_MOST = 200;
export const HOURS_MOST = 31 * 24;
const SERIES_MOST = 8;

/** Return the keys of a report: its dimensions but the window. */
export const keysOf = (report) => report.dimensions.filter((dimension) => !WINDOW[dimension]);
export const windowOf = (report) => report.dimensions.find((dimension) => WINDOW[dimension]) ?? null;

/** Return whether a report can be asked about a part of all time: itself, or through another that counts the same. */
export const isTimed = (reports, report) => Boolean(windowOf(report) ?? findReport(reports, keysOf(report), true));

/** Return the leanest report that counts by all of these dimensions, with a window of time when one is wanted. */
export function findReport(reports, dimensions, timed) {
  return reports
    .filter((report) => dimensions.every((one) => report.dimensions.includes(one)) && (!timed || windowOf(report)))
    .toSorted((a, b) => a.dimensions.length - b.dimensions.length || Number(Boolean(windowOf(a))) - Number(Boolean(windowOf(b))))[0];
}

/** Return a row's values by dimension, the window as seconds. Inverse of how a datapoint is spelled. */
export function parseRow(row, dimensions) {
  const parts = row.datapoint.split("|");
  const values = { events: row.events };
  dimensions.forEach((dimension, index) => {
    values[dimension] = parts[index];
  });
  const window = dimensions.find((dimension) => WINDOW[dimension]);
  if (window) values.at = parseWindow(values[window]);
  return values;
}

/** Return whether a range is counted per hour or per day: what was asked for, else hours while the columns stay readable. */
export const grainOf = (report, wanted, range) =>
  windowOf(report) === "day" ? "day" : (wanted ?? (range.to - range.from <= 7 * DAY ? "hour" : "day"));

/** Return how a range is cut into columns: {window, start(seconds), next(start)}. */
export function columnsOf(grain, from, to) {
  const days = (to - from) / DAY;
  if (grain === "hour" && days * 24 <= HOURS_MOST) return { window: HOUR, start: (at) => floor(at, HOUR), next: (at) => at + HOUR };
  if (days <= COLUMNS_MOST) return { window: DAY, start: (at) => floor(at, DAY), next: (at) => at + DAY };
  if (days <= 7 * COLUMNS_MOST) return { window: WEEK, start: mondayOf, next: (at) => at + WEEK };
  return { window: MONTH, start: monthOf, next: (at) => monthOf(at + 45 * DAY) };
}

/** Return a chart's model over time of parsed rows, stacked by a dimension (or not at all, when it is null). */
export function timeModel(rows, { stack, from, to, grain, what = "Purchases" }) {
  const columns = columnsOf(grain, from, to);
  const at = [];
  for (let start = columns.start(from); start < to; start = columns.next(start)) at.push(start);
  const index = new Map(at.map((start, place) => [start, place]));
  const names = stackOf(rows, stack);
  const series = names.map(({ value, label }, place) => ({ value, label, color: stack === null ? "bracket-3" : colorName(value, place), values: new Array(at.length).fill(0) }));
  const places = new Map(names.map(({ value }, place) => [value, place]));
  for (const row of rows) {
    const column = index.get(columns.start(row.at));
    if (column !== undefined) series[places.get(stack === null ? null : row[stack]) ?? series.length - 1].values[column] += row.events;
  }
  return describe({ at, series, window: columns.window, from: at[0] ?? from, to: at.length ? columns.next(at.at(-1)) : to, what });
}

function stackOf(rows, stack) {
  if (stack === null) return [{ value: null, label: "Purchases" }];
  if (stack === "bracket" || stack === "method") {
    const present = new Set(rows.map((row) => row[stack]));
    const all = stack === "bracket" ? BRACKETS : METHODS;
    const shown = all.filter((value) => present.has(value));
    return (shown.length ? shown : all).map((value) => ({ value, label: word(stack, value) }));
  }
  const sums = new Map();
  for (const row of rows) sums.set(row[stack], (sums.get(row[stack]) ?? 0) + row.events);
  const ranked = [...sums].toSorted((a, b) => b[1] - a[1]).map(([value]) => ({ value, label: value }));
  return ranked.length <= SERIES_MOST ? ranked : [...ranked.slice(0, SERIES_MOST - 1), { value: null, label: "Others" }];
}

/** Add the words that stand for the picture: what it is, its total, and its peak. */
function describe(model) {
  const sums = model.at.map((_, index) => model.series.reduce((sum, one) => sum + one.values[index], 0));
  const total = sums.reduce((sum, one) => sum + one, 0);
  const peak = sums.reduce((best, one, index) => (one > sums[best] ? index : best), 0);
  const per = { [HOUR]: "hour", [DAY]: "day", [WEEK]: "week" }[model.window] ?? "month";
  return {
    ...model,
    total,
    per,
    label: `${model.what} per ${per}, ${rangeText(model.from, model.to)}`,
    summary: total === 0 ? "No purchases" : `${whole(total)} in total, most in ${windowText(model.at[peak], model.window)}: ${whole(sums[peak])}`,
  };
}

/** Return rows of bars: parsed rows grouped by one dimension, with parts by another. */
export function barRows(rows, { by, parts, order, link }) {
  const groups = new Map();
  for (const row of rows) {
    const group = groups.get(row[by]) ?? new Map();
    group.set(row[parts], (group.get(row[parts]) ?? 0) + row.events);
    groups.set(row[by], group);
  }
  const values = parts === "bracket" ? BRACKETS : METHODS;
  const names = order ? order.filter((name) => groups.has(name)) : [...groups.keys()];
  return names.map((name) => ({
    name,
    label: word(by, name),
    href: link({ [by]: [name] }),
    parts: values.map((value) => ({ label: word(parts, value), value: groups.get(name).get(value) ?? 0, color: colorName(value), href: link({ [by]: [name], [parts]: [value] }) })),
  }));
}
