// Which questions a report's chart, table and comparison put to the API, by what the report is.

import { everything, page as onePage, reportPath } from "./api.js";
import { MEASURES, add, nothing } from "./format.js";
import { columnsOf, grainOf, secondsOf, startOf } from "./grain.js";
import { barRows, timeModel } from "./model.js";
import { learn } from "./names.js";
import { isClosed, leanest, parseRow, timedSource } from "./reports.js";
import { columnsBefore, comparisonOf, rangeOf } from "./span.js";
import { DAY } from "./time.js";

export const ROWS = 100;
const BUSIEST = 12;
const STACKED_MOST = 12; // values that a part may have to be coloured by

/**
 * Return what a view of a report is made of: what is asked (`source`, `by`, `question`), and what is shown (`zone`,
 * `range`, `grain`, `columns`, `parts` of the table, `stack`, `measure`, `comparison`).
 */
export function planOf(reports, report, state, calendar) {
  const { zone } = calendar;
  const timed = timedSource(reports, report);
  const usual = report.window ? calendar.usual : "all";
  const finest = (timed ?? report).grains[0];
  const range = timed ? rangeOf({ ...state, range: state.range ?? usual }, calendar, finest) : rangeOf({ range: "all" }, calendar);
  const source = report.window || range.name === "all" || !timed ? report : timed;
  const { grain, said } = report.window ? grainOf(report.grains, state.grain, range) : { grain: null, said: null };
  const measure = MEASURES[state.measure];
  const parts = report.window ? [{ ...report.window, grain }, ...report.keys] : report.keys;
  const names = parts.map((part) => part.grain ?? part.name);
  const filters = Object.fromEntries(Object.entries(state.filters).filter(([name]) => report.has([name])));
  const comparison = timed && comparisonOf(state.compare, range, calendar, { grain, finest });
  const columns = report.window ? columnsOf(grain, zone, range, calendar.now) : [{ ...range, start: range.from, open: range.to > calendar.now, part: false }];
  const order = state.order === "datapoint" ? (report.keys.some((key) => key.kind === "bracket") ? "bracket" : null) : state.order;
  return {
    reports, report, source, timed, calendar, zone, range, grain, said, measure: state.measure, parts, names, filters, comparison, columns,
    stacks: stacksOf(report, filters, measure),
    stack: stackOf(report, state.stack, filters, measure),
    question: { ...range.bounds, ...zoned(source, zone), ...measured(state.measure), filters, by: source === report && names.join() === report.dimensions.join() ? undefined : names, order },
  };
}

const zoned = (report, zone) => (report.anyZone && zone.name !== "UTC" ? { zone: zone.name } : {});
/** The measures that are asked of the API beside the count, which it always tells. */
const measured = (measure) => (measure === "events" ? {} : { measures: "events,amount" });

/** Return the parts that a report's columns may be coloured by. */
function stacksOf(report, filters, measure) {
  if (!measure.adds) return [];
  return report.keys.filter((key) => (isClosed(key) ? key.values.length <= STACKED_MOST : filters[key.name]));
}

const stackOf = (report, wanted, filters, measure) => {
  const stacks = stacksOf(report, filters, measure);
  return stacks.find((part) => part.name === wanted) ?? stacks[0] ?? null;
};

export const tablePath = (plan, cursor) => reportPath(plan.source.name, { ...plan.question, limit: ROWS, cursor });
/** Return the address for other programs: the same rows from the first on. */
export const sharedPath = (plan) => reportPath(plan.source.name, plan.question);

/** Return the page of the table that begins at a cursor, with the totals, which the server tells on the first page only. */
export async function tablePage(plan, cursor, signal) {
  const first = onePage(tablePath(plan, null), { signal });
  const [page, { datapoints, events, amount }] = await Promise.all([cursor ? onePage(tablePath(plan, cursor), { signal }) : first, first]);
  const rows = placed(page.rows.map((row) => parseRow(row, plan.names, plan.source)), plan);
  await Promise.all(plan.report.keys.map((key) => learn(key, rows.map((row) => row.values[key.name]), signal)));
  return { ...page, datapoints, events, amount, rows };
}

/** Return rows with the instants at which their windows begin: many rows share one. */
function placed(rows, { grain, zone }) {
  if (!grain) return rows;
  const known = new Map();
  for (const row of rows) {
    const text = row.values[grain];
    if (!known.has(text)) known.set(text, zone.window(text));
    row.at = known.get(text);
  }
  return rows;
}

async function ask(report, names, question, { zone, grain, signal }) {
  const whole = names.join() === report.dimensions.join();
  const rows = await everything(report.name, { ...question, ...zoned(report, zone), by: whole ? undefined : names }, { signal });
  return placed(rows.map((row) => parseRow(row, names, report)), { grain, zone });
}

/** Return the report that is asked for a chart over time: of those that count the same, the one with least in it. */
function chartSource({ reports, report, filters, stack, zone }) {
  if (report.own) return report;
  const names = [...new Set([...(stack ? [stack.name] : []), ...Object.keys(filters)])];
  return leanest(reports, names, { timed: true, anyZone: zone.name !== "UTC" }) ?? report;
}

/** Return the chart over time of a plan, with the span before it as a line, and both totals. */
export async function overTime(plan, signal) {
  const { filters, range, stack, grain, zone, columns, measure } = plan;
  const source = chartSource(plan);
  const question = { ...range.bounds, ...measured(measure), filters };
  const [rows, compared] = await Promise.all([
    ask(source, stack ? [grain, stack.name] : [grain], question, { zone, grain, signal }),
    plan.comparison ? comparedSums(plan, source, [], filters, [0, columns.length - 1], signal) : null,
  ]);
  const before = compared && columns.map((_, index) => (compared.before[index].none ? null : (compared.before[index].sums.get("") ?? nothing())));
  const model = timeModel(rows, { columns, grain, zone, stack, measure, before });
  if (!compared) return { model, compared: null };
  const now = model.totals.map((sums, index) => (columns[index].open ? (compared.now.get("") ?? nothing()) : columns[index].from >= plan.comparison.end ? nothing() : sums));
  return { model, compared: { now: total(now), before: total(before.filter(Boolean)) } };
}

function total(list) {
  const sums = nothing();
  for (const one of list) add(sums, one);
  return sums;
}

const keyOf = (row, names) => names.map((name) => row.values[name]).join("|");

/**
 * Return what columns `first` to `last` of a plan are compared with: `before`, for each column the sums of the span
 * before by the key of `names`; `now`, those of the column that is not over up to where the comparison ends.
 */
async function comparedSums(plan, source, names, filters, [first, last], signal) {
  const { comparison, columns, zone, measure, grain } = plan;
  const spans = columnsBefore(columns, comparison).map((span) => ({ ...span, sums: new Map() }));
  const bounds = spans.slice(first, last + 1).filter((span) => span.to > span.from);
  const open = columns.findIndex((column) => column.open);
  const asked = { ...measured(measure), filters };
  const asksNow = open >= first && open <= last && comparison.end > columns[open].from;
  const [rows, nowRows] = await Promise.all([
    bounds.length ? beforeRows(source, names, { ...asked, from: zone.parameter(bounds[0].from), to: zone.parameter(bounds.at(-1).to) }, bounds, { zone, grain, signal }) : [],
    asksNow ? ask(source, names.length ? names : [source.grains.at(-1)], { ...asked, from: zone.parameter(columns[open].from), to: zone.parameter(comparison.end) }, { zone, grain: null, signal }) : [],
  ]);
  for (const row of rows) {
    const span = grain ? spans.find(({ from, to }) => from <= row.at && row.at < to) : spans[0];
    if (span) count(span.sums, keyOf(row, names), row);
  }
  const now = new Map();
  for (const row of nowRows) count(now, keyOf(row, names), row);
  return { before: spans, now };
}

function count(sums, key, row) {
  if (!sums.has(key)) sums.set(key, nothing());
  add(sums.get(key), row);
}

/** Ask for the span before by the same grain where its columns begin as the grain's do, else by what they can be added up of. */
function beforeRows(source, names, question, spans, { zone, grain, signal }) {
  if (!grain) return ask(source, names, question, { zone, grain, signal });
  const aligned = spans.every(({ from }) => startOf(grain, zone, from) === from);
  const finest = source.grains.find((one) => secondsOf(one) >= Math.min(DAY, secondsOf(grain))) ?? grain;
  const used = aligned ? grain : finest;
  return ask(source, [used, ...names], question, { zone, grain: used, signal });
}

/** Return for each row of a table's page what it is compared with: {now, before}, or null where that has not begun. */
export async function comparedRows(plan, rows, signal) {
  const { comparison, columns, filters, grain } = plan;
  if (!comparison || !rows.length) return null;
  const names = plan.report.keys.map((key) => key.name);
  const index = new Map(columns.map(({ start }, place) => [start, place]));
  const places = rows.map((row) => (grain ? index.get(row.at) : 0));
  const shown = { ...filters };
  for (const key of plan.report.keys) if (!isClosed(key)) shown[key.name] = [...new Set(rows.map((row) => row.values[key.name]))];
  const source = grain ? plan.source : plan.timed;
  const { before, now } = await comparedSums(plan, source, names, shown, [Math.min(...places), Math.max(...places)], signal);
  return rows.map((row, at) => {
    const place = places[at];
    if (before[place] === undefined || before[place].none) return null;
    const key = keyOf(row, names);
    return { now: columns[place].open ? (now.get(key) ?? nothing()) : row, before: before[place].sums.get(key) ?? nothing() };
  });
}

/** Return the sums of a plan without windows up to where the comparison ends, and of the span before. */
export async function comparedTotals(plan, signal) {
  const { comparison, zone, filters, measure, timed, report } = plan;
  if (!comparison) return null;
  const names = report.keys.slice(0, 1).map((key) => key.name);
  const sums = async (from, to) => total(to > from ? await ask(timed, names, { ...measured(measure), filters, from: zone.parameter(from), to: zone.parameter(to) }, { zone, grain: null, signal }) : []);
  const [now, before] = await Promise.all([sums(plan.range.from, comparison.end), sums(comparison.from, comparison.to)]);
  return { now, before };
}

/** Return the bars beside a report's chart: {by, cut, rows}, and of an open part the `count` of its values. Null when the report has no part that bars could be of. */
export async function barsOf(plan, signal, link) {
  const { report, filters, range, zone, measure } = plan;
  const by = report.window ? report.keys.find((key) => !isClosed(key)) : report.keys[0];
  if (!by) return null;
  const cut = report.window ? null : (report.keys.find((key) => key !== by && isClosed(key)) ?? null);
  const source = !report.own && report.window && range.name === "all" ? leanest(plan.reports, [by.name]) : plan.source;
  const question = { ...range.bounds, ...measured(measure), filters };
  if (isClosed(by)) {
    const rows = await ask(source, cut ? [by.name, cut.name] : [by.name], { ...question, filters }, { zone, grain: null, signal });
    return { by, cut, rows: barRows(rows, { by, cut, order: by.values, measure, link }) };
  }
  const most = await busiest(source, by, { ...question, ...zoned(source, zone) }, MEASURES[measure].order ?? "-events", signal);
  const order = most.rows.map((row) => row.values[by.name]);
  const [rows] = await Promise.all([cut && order.length ? ask(source, [by.name, cut.name], { ...question, filters: { ...filters, [by.name]: order } }, { zone, grain: null, signal }) : most.rows, learn(by, order, signal)]);
  return { by, cut, count: most.count, rows: barRows(rows, { by, cut, order, measure, link }) };
}

/** Return the rows of the values that have most, and how many values there are. */
async function busiest(report, by, question, order, signal) {
  const { rows, datapoints } = await onePage(reportPath(report.name, { ...question, by: [by.name], order, limit: BUSIEST }), { signal });
  return { rows: rows.map((row) => parseRow(row, [by.name], report)), count: datapoints };
}
