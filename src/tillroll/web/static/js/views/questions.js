// Which questions a report's chart and table put to the API, by the report's dimensions.

import { everything, page as onePage, reportPath } from "../api.js";
import { BRACKETS } from "../format.js";
import { barRows, columnsOf, findReport, grainOf, keysOf, parseRow, timeModel, windowOf } from "../model.js";
import { HOUR } from "../time.js";

export const ROWS = 100;
const BUSIEST = 12;

/** Return what a view of a report is made of, for a state and its range: dimensions, grain, filters, question. */
export function plan(reports, report, state, range, calendar) {
  const keys = keysOf(report);
  const window = windowOf(report);
  const grain = window && grainOf(report, state.grain, range);
  const dimensions = window ? [grain, ...keys] : keys;
  const filters = Object.fromEntries(Object.entries(state.filters).filter(([dimension]) => keys.includes(dimension)));
  // A report of all time is asked for less than that through one that has windows, where there is one.
  const source = window || range.range === "all" ? report : findReport(reports, keys, true);
  const by = source === report && dimensions.join() === report.dimensions.join() ? undefined : dimensions;
  const order = state.order === "datapoint" && keys.includes("bracket") ? "bracket" : state.order; // by amount, as people do
  const stack = keys.includes("bracket") ? (keys.includes("method") ? (state.stack ?? "bracket") : "bracket") : keys.includes("merchant") && filters.merchant ? "merchant" : null;
  return { reports, report, source, calendar, keys, window, grain, dimensions, filters, stack, range, question: { ...range.bounds, filters, by, order } };
}

export const tablePath = (plan, cursor) => reportPath(plan.source.name, { ...plan.question, limit: ROWS, cursor });

/** Return the page of the table that begins at a cursor, with the totals, which the server tells on the first page only. */
export async function tablePage(plan, cursor, signal) {
  if (!cursor) return onePage(tablePath(plan, null), { signal });
  const [page, first] = await Promise.all([onePage(tablePath(plan, cursor), { signal }), onePage(reportPath(plan.source.name, { ...plan.question, limit: 1 }), { signal })]);
  return { ...page, datapoints: first.datapoints, events: first.events };
}

/** Return the address for other programs: the same rows from the first on. */
export const sharedPath = (plan) => reportPath(plan.source.name, plan.question);

/** Return what the charts of a plan draw: {model} over time, {rows, share} of bars, or both. */
export async function chartData(plan, signal, link) {
  const { keys, window } = plan;
  if (window && keys.includes("merchant")) {
    const [model, busiest] = await Promise.all([merchantsOverTime(plan, signal), busiestMerchants(plan, signal, link)]);
    return { model, rows: busiest };
  }
  if (window) return { model: await overTime(plan, signal) };
  return keys.includes("merchant") ? { rows: await merchantsByMethod(plan, signal, link) } : { rows: await methodShares(plan, signal, link), share: true };
}

/** Return the grain a chart can draw: hours only as far as there is room for the columns. */
const drawnGrain = ({ grain, range }) => (columnsOf(grain, range.from, range.to).window === HOUR ? "hour" : "day");

async function overTime(plan, signal) {
  const { reports, stack, filters, range } = plan;
  const grain = drawnGrain(plan);
  const source = findReport(reports, ["hour", stack, ...Object.keys(filters)], true);
  const rows = await ask(source, [grain, stack], { ...range.bounds, filters }, signal);
  return timeModel(rows, { stack, from: range.from, to: range.to, grain });
}

/** All merchants together are what the calendar has already: the purchases of each day. */
async function merchantsOverTime(plan, signal) {
  const { report, calendar, filters, range } = plan;
  const rows = filters.merchant ? await ask(report, ["day", "merchant"], { ...range.bounds, filters }, signal) : calendar.days;
  return timeModel(rows, { stack: plan.stack, from: range.from, to: range.to, grain: "day" });
}

async function busiestMerchants(plan, signal, link) {
  const { reports, report, filters, range } = plan;
  const source = range.range === "all" ? findReport(reports, ["merchant"], false) : report;
  const rows = await ranked(source, { ...range.bounds, filters }, signal);
  return rows.map((row) => ({
    label: row.merchant,
    href: link({ merchant: [row.merchant] }),
    parts: [{ label: "Purchases", value: row.events, color: "bracket-3" }],
  }));
}

async function merchantsByMethod(plan, signal, link) {
  const { report, filters } = plan;
  const names = (await ranked(report, { filters }, signal)).map((row) => row.merchant);
  if (!names.length) return [];
  const rows = await ask(report, report.dimensions, { filters: { ...filters, merchant: names } }, signal);
  return barRows(rows, { by: "merchant", parts: "method", order: names, link });
}

async function methodShares(plan, signal, link) {
  const rows = await ask(plan.source, ["bracket", "method"], { ...plan.range.bounds, filters: plan.filters }, signal);
  return barRows(rows, { by: "bracket", parts: "method", order: BRACKETS, link });
}

async function ranked(report, question, signal) {
  const answer = await onePage(reportPath(report.name, { ...question, by: ["merchant"], order: "-events", limit: BUSIEST }), { signal });
  return answer.rows.map((row) => parseRow(row, ["merchant"]));
}

async function ask(report, by, question, signal) {
  const whole = by.join() === report.dimensions.join();
  const rows = await everything(report.name, { ...question, by: whole ? undefined : by }, { signal });
  return rows.map((row) => parseRow(row, by));
}
