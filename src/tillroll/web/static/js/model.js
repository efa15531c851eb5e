// From the rows of a report to what a chart draws. Reckons, and draws nothing.

import { colorName } from "./charts/palette.js";
import { MEASURES, add, nothing, sumOf, word } from "./format.js";
import { windowText } from "./grain.js";
import { shortOf } from "./names.js";
import { isClosed } from "./reports.js";

const SERIES_MOST = 8;

/** Return a chart's model over time: rows ({at, values, events, amount}) in columns, stacked by a part, or by none. */
export function timeModel(rows, { columns, grain, zone, stack, measure, before = null, title = MEASURES[measure].title }) {
  const names = MEASURES[measure].adds ? seriesOf(rows, stack, measure) : [{ value: null, label: MEASURES[measure].title, color: "bracket-3" }];
  const places = new Map(names.map(({ value }, place) => [value, place]));
  const sums = names.map(() => columns.map(nothing));
  const index = new Map(columns.map(({ start }, place) => [start, place]));
  for (const row of rows) {
    const column = index.get(row.at);
    if (column !== undefined) add(sums[places.get(stack ? row.values[stack.name] : null) ?? names.length - 1][column], row);
  }
  const { of } = MEASURES[measure];
  const totals = columns.map((_, column) => sumOf(sums.map((one) => one[column])));
  return {
    columns,
    grain,
    zone,
    measure,
    totals,
    series: names.map((name, place) => ({ ...name, values: sums[place].map((one) => Number(of(one))) })),
    before: before?.map((one) => (one ? Number(of(one)) : null)) ?? null,
    label: `${title} per ${grain}, ${zone.rangeText(columns[0]?.from ?? 0, columns.at(-1)?.to ?? 1)}`,
    summary: summaryOf(totals, columns, { grain, zone, measure }),
  };
}

/** Return the words that stand for the picture: the total, and the peak. */
function summaryOf(totals, columns, { grain, zone, measure }) {
  const { of, text } = MEASURES[measure];
  const all = sumOf(totals);
  if (!all.events) return "No purchases";
  const values = totals.map((one) => Number(of(one)));
  const peak = values.indexOf(Math.max(...values));
  const most = `most in ${windowText(grain, zone, columns[peak].start)}: ${text(of(totals[peak]))}`;
  return `${text(of(all))} ${MEASURES[measure].adds ? "in total" : "on average"}, ${most}`;
}

function seriesOf(rows, stack, measure) {
  if (!stack) return [{ value: null, label: MEASURES[measure].title, color: "bracket-3" }];
  const name = (value, place) => ({ value, label: word(stack, value), color: colorName(stack, value, place) });
  if (isClosed(stack) && stack.values.length <= SERIES_MOST) {
    const present = new Set(rows.map((row) => row.values[stack.name]));
    const shown = stack.values.filter((value) => present.has(value));
    return (shown.length ? shown : stack.values).map(name);
  }
  const sums = new Map();
  for (const row of rows) sums.set(row.values[stack.name], (sums.get(row.values[stack.name]) ?? 0) + Number(MEASURES[measure].of(row)));
  const ranked = [...sums].toSorted((a, b) => b[1] - a[1]).map(([value]) => value);
  const shown = ranked.length <= SERIES_MOST ? ranked : ranked.slice(0, SERIES_MOST - 1);
  const ordered = isClosed(stack) ? stack.values.filter((value) => shown.includes(value)) : shown;
  return [...ordered.map(name), ...(ranked.length > shown.length ? [{ value: null, label: "Others", color: "series-8" }] : [])];
}

/** Return rows of bars: rows grouped by one part, cut by another (or by none), with the addresses they lead to. */
export function barRows(rows, { by, cut, order, measure, link }) {
  const groups = new Map();
  for (const row of rows) {
    const group = groups.get(row.values[by.name]) ?? new Map();
    groups.set(row.values[by.name], group);
    const value = cut ? row.values[cut.name] : null;
    if (!group.has(value)) group.set(value, nothing());
    add(group.get(value), row);
  }
  const names = order.filter((name) => groups.has(name));
  const { of, adds } = MEASURES[measure];
  const values = cut && adds ? cutValues(groups, cut) : [null];
  return names.map((name) => {
    const group = groups.get(name);
    const cell = (value) => of(cut && adds ? (group.get(value) ?? nothing()) : sumOf([...group.values()]));
    return {
      name,
      label: by.search ? shortOf(name) : word(by, name),
    title: word(by, name) === name ? name : `${word(by, name)} (${name})`,
      href: link({ [by.name]: [name] }),
      total: of(sumOf([...group.values()])),
      parts: values.map((value, place) => ({
        label: value === null ? MEASURES[measure].title : word(cut, value),
        value: Number(cell(value)),
        text: cell(value),
        color: value === null ? "bracket-3" : colorName(cut, value, place),
        href: link({ [by.name]: [name], ...(value === null ? {} : { [cut.name]: [value] }) }),
      })),
    };
  });
}

const cutValues = (groups, cut) => (isClosed(cut) ? cut.values : [...new Set([...groups.values()].flatMap((group) => [...group.keys()]))].toSorted());
