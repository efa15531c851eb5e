// The table behind a chart: one page of a report, as long as the page, with shares, what was before, and all pages' totals.

import { h, icon, vars } from "../dom.js";
import { MEASURES, change, partTitle, percent, plural, whole, word } from "../format.js";
import { rowText, windowText } from "../grain.js";

/**
 * Return the table of a page of a plan: {rows, datapoints, events, amount, next}, each row's `compared` beside it.
 * `sort(order)` and `turn("first" | "back" | "on")` are called when asked for; `into(row, part)` is the address that a cell
 * leads to, `behind(row)` that of its number.
 */
export function reportTable({ plan, page, compared, order, start, caption, sort, turn, into, behind }) {
  const measure = MEASURES[plan.measure];
  const sums = { events: page.events, amount: page.amount };
  const most = Math.max(1, ...page.rows.map((row) => Number(measure.of(row))));
  const shares = measure.adds;
  const columns = [
    ...plan.parts.map((part, index) => ({ head: partHead(part, index, order, sort), cell: (row) => partCell(plan, row, part, into), class: "" })),
    ...(plan.measure === "events" ? [] : [{ head: valueHead("events", order, sort, "side"), cell: (row) => h("td", { class: "num side" }, whole(row.events)), total: whole(page.events) }]),
    { head: valueHead(plan.measure, order, sort), cell: (row) => valueCell(row, measure, behind), total: measure.text(measure.of(sums)), id: "total-value" },
    ...(shares ? [{ head: h("th", { scope: "col", class: "num side" }, "Share"), cell: (row) => shareCell(Number(measure.of(row)), most, Number(measure.of(sums))), total: page.rows.length ? "100%" : "" }] : []),
    ...(compared ? [{ head: h("th", { scope: "col", class: "num side" }, "Before"), cell: (_, index) => h("td", { class: "num side before" }, compared[index] ? measure.text(measure.of(compared[index].before)) : "–"), total: "" }, { head: h("th", { scope: "col", class: "num" }, "Change"), cell: (_, index) => changeCell(compared[index], measure), total: "" }] : []),
  ];
  const foot = columns.slice(plan.parts.length).map((column) => h("td", { class: `num ${column.id || column.total === "" ? "" : "side"}`, id: column.id }, column.total));
  const table = h(
    "table",
    { class: "data report-table" },
    h("caption", { class: "sr" }, caption),
    h("thead", {}, h("tr", {}, ...columns.map((column) => column.head))),
    h("tbody", {}, ...page.rows.map((row, index) => h("tr", { "data-datapoint": row.datapoint }, ...columns.map((column) => column.cell(row, index))))),
    h("tfoot", {}, h("tr", {}, plan.parts.length ? h("th", { scope: "row", colspan: plan.parts.length }, `Total of ${plural(page.datapoints, "row")}`) : null, ...foot)),
  );
  return [table, pager(page, start, turn)];
}

function partHead(part, index, order, sort) {
  const title = part.grain ? part.grain[0].toUpperCase() + part.grain.slice(1) : partTitle(part);
  if (index > 0) return h("th", { scope: "col" }, title);
  const sorted = order === "datapoint";
  return h("th", { scope: "col", "aria-sort": sorted ? "ascending" : null }, sortButton(title, sorted, "up", () => sort("datapoint")));
}

function valueHead(name, order, sort, side = "") {
  const { title, order: falling } = MEASURES[name];
  if (!falling) return h("th", { scope: "col", class: `num ${side}` }, title);
  const sorted = order === falling;
  return h("th", { scope: "col", class: `num ${side}`, "aria-sort": sorted ? "descending" : null }, sortButton(title, sorted, "down", () => sort(falling)));
}

const sortButton = (text, sorted, way, onclick) => h("button", { type: "button", class: sorted ? "sort sorted" : "sort", id: `sort-${text.toLowerCase().replaceAll(" ", "-")}`, onclick }, text, icon(`sort-${way}`));

function partCell(plan, row, part, into) {
  const href = into(row, part);
  const link = (text, title = null) => (href ? h("a", { href, title, "data-drill": true }, text) : text);
  if (part.grain) {
    const column = plan.columns.find(({ start }) => start === row.at);
    const note = column?.part ? h("span", { class: "tag" }, column.open ? "in progress" : "partial") : null;
    const text = rowText(part.grain, plan.zone, row.at, plan.calendar.now);
    const [before, date, after] = text.split(/(\d{1,2} \p{L}+)/u); // which stays in one line, however narrow it is
    return h("td", { class: "when" }, link([before, date ? h("span", { class: "keep" }, date) : null, after]), note);
  }
  const value = row.values[part.name];
  return part.values ? h("td", {}, link(word(part, value))) : h("td", { class: "name" }, link(word(part, value), value));
}

function valueCell(row, measure, behind) {
  const href = behind(row);
  const text = measure.text(measure.of(row));
  return h("td", { class: "num count" }, href ? h("a", { href, title: "Show the purchases", "data-drill": true }, text) : text);
}

/** Return the share of all, and a bar of one length that says how much it is of the most on this page. */
const shareCell = (value, most, all) => h("td", { class: "num side share" }, vars(h("span", { class: "track", "aria-hidden": "true" }), { part: (value / most).toFixed(4) }), h("span", { class: "percent" }, percent(value / Math.max(1, all))));

function changeCell(compared, measure) {
  if (!compared) return h("td", { class: "num" }, "–");
  return h("td", { class: "num" }, changeChip(measure.of(compared.now), measure.of(compared.before)));
}

/** Return the words for a change: ▲ 12%. */
export function changeChip(now, before) {
  const changed = change(now, before);
  if (!changed) return h("span", { class: "change same" }, Number(now) ? "new" : "none");
  const kind = changed.direction > 0 ? "up" : changed.direction < 0 ? "down" : "same";
  const said = { up: "up ", down: "down ", same: "no change" }[kind];
  const sign = { up: "▲ ", down: "▼ ", same: "=" }[kind];
  return h("span", { class: `change ${kind}` }, h("span", { "aria-hidden": "true" }, sign), h("span", { class: "sr" }, said), kind === "same" ? null : changed.text);
}

function pager(page, start, turn) {
  const last = start + page.rows.length;
  const button = (name, label, to, on) => h("button", { type: "button", class: "button", id: `page-${to}`, disabled: !on, onclick: () => turn(to) }, name === "on" ? label : icon(name), name === "on" ? icon("right") : label);
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
  const { text } = MEASURES[model.measure] ?? { text: whole };
  const label = (index) => (model.text ? model.text(index) : windowText(model.grain, model.zone, model.columns[index].start));
  const rows = model.columns.map((_, index) => ({ index, values: model.series.map((one) => one.values[index]) })).filter((row) => row.values.some(Boolean));
  return h(
    "table",
    { class: "data" },
    h("caption", { class: "sr" }, model.label),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, model.grain ?? "Time"), ...model.series.map((one) => h("th", { scope: "col", class: "num" }, one.label)))),
    h("tbody", {}, ...rows.slice(0, limit).map((row) => h("tr", {}, h("th", { scope: "row" }, label(row.index)), ...row.values.map((value) => h("td", { class: "num" }, text(value)))))),
  );
}
