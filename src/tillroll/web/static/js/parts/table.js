// The table behind a chart: one page of a report, sortable, with the totals of all its pages.

import { h, icon, vars } from "../dom.js";
import { dimensionWord, plural, whole, word } from "../format.js";
import { parseRow } from "../model.js";
import { DAY, HOUR, WINDOW, clockText, dayText, dayTextShort, isoDay, now } from "../time.js";

/**
 * Return the table of a page: {rows, datapoints, events, next}. `sort(order)` and `turn("first" | "back" | "on")` are
 * called when asked for; `link(filters)` is the address of the same report narrowed down.
 */
export function reportTable({ page, dimensions, order, start, caption, sort, turn, link }) {
  const rows = page.rows.map((row) => ({ ...parseRow(row, dimensions), datapoint: row.datapoint }));
  const most = Math.max(1, ...rows.map((row) => row.events));
  const table = h(
    "table",
    { class: "data" },
    h("caption", { class: "sr" }, caption),
    h("thead", {}, h("tr", {}, ...dimensions.map((dimension, index) => head(dimension, index, order, sort)), eventsHead(order, sort))),
    h("tbody", {}, ...rows.map((row) => bodyRow(row, dimensions, most, link))),
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: dimensions.length }, `Total of ${plural(page.datapoints, "row")}`), h("td", { class: "num", id: "total-events" }, whole(page.events)))),
  );
  return [
    h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": caption }, table),
    pager(page, start, turn),
  ];
}

function head(dimension, index, order, sort) {
  if (index > 0) return h("th", { scope: "col" }, dimensionWord(dimension));
  const sorted = order === "datapoint";
  return h("th", { scope: "col", "aria-sort": sorted ? "ascending" : null }, sortButton(dimensionWord(dimension), sorted, "sort-up", () => sort("datapoint")));
}

function eventsHead(order, sort) {
  const sorted = order === "-events";
  return h("th", { scope: "col", class: "num", "aria-sort": sorted ? "descending" : null }, sortButton("Purchases", sorted, "sort-down", () => sort("-events")));
}

const sortButton = (text, sorted, name, onclick) => h("button", { type: "button", class: sorted ? "sort sorted" : "sort", id: `sort-${name}`, onclick }, text, icon(name));

function bodyRow(row, dimensions, most, link) {
  const count = h("td", { class: "num count" }, whole(row.events));
  return h("tr", { "data-datapoint": row.datapoint }, ...dimensions.map((dimension) => cell(row, dimension, link)), vars(count, { part: `${((100 * row.events) / most).toFixed(1)}%` }));
}

function cell(row, dimension, link) {
  if (dimension === "merchant") return h("td", { class: "name" }, h("a", { href: link({ merchant: [row.merchant] }), title: row.merchant }, row.merchant));
  if (!WINDOW[dimension]) return h("td", {}, word(dimension, row[dimension]));
  return h("td", { class: "when" }, windowLabel(row.at, WINDOW[dimension]));
}

/** Return a window as the table writes it: the year only where it is another than this one. */
function windowLabel(at, window) {
  const day = isoDay(at).slice(0, 4) === isoDay(now()).slice(0, 4) ? dayTextShort(at) : dayText(at);
  return window === HOUR ? [day, " ", h("b", {}, clockText(at))] : day;
}

function pager(page, start, turn) {
  const last = start + page.rows.length;
  const button = (name, label, to, on) => h("button", { type: "button", class: "button small", id: `page-${to}`, disabled: !on, onclick: () => turn(to) }, name === "on" ? label : icon(name), name === "on" ? icon("right") : label);
  const shown = page.rows.length ? `${whole(start + 1)}–${whole(last)} of ${whole(page.datapoints)}` : "No rows";
  return h(
    "nav",
    { class: "pager", "aria-label": "Pages" },
    h("p", { class: "num", id: "page-shown" }, shown),
    h("div", { class: "buttons" }, start > 0 ? button("first", "First", "first", true) : null, button("left", "Back", "back", start > 0), button("on", "Next", "on", Boolean(page.next))),
  );
}

/** Return the numbers of a chart over time as a table: one row a column of the chart. */
export function modelTable(model, limit = 400) {
  const label = (at) => (model.window === HOUR ? `${dayText(at)}, ${clockText(at)}` : model.window <= 7 * DAY ? dayText(at) : dayText(at).replace(/^\d+ /, ""));
  const rows = model.at.map((at, index) => ({ at, values: model.series.map((one) => one.values[index]) })).filter((row) => row.values.some(Boolean));
  return h(
    "table",
    { class: "data" },
    h("caption", { class: "sr" }, model.label),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, model.per), ...model.series.map((one) => h("th", { scope: "col", class: "num" }, one.label)))),
    h("tbody", {}, ...rows.slice(0, limit).map((row) => h("tr", {}, h("th", { scope: "row" }, label(row.at)), ...row.values.map((value) => h("td", { class: "num" }, whole(value)))))),
  );
}
