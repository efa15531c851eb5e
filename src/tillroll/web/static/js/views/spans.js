// The cards at the top of the overview: today, this week, this month and all, each held against the span before.

import { h } from "../dom.js";
import { MEASURES, average, change, money, sumOf } from "../format.js";
import { changeChip } from "../parts/table.js";
import { columnsOf } from "../grain.js";
import { comparisonOf, presetTitle, rangeOf } from "../span.js";
import { format } from "../state.js";
import { DAY } from "../time.js";
import { spark } from "../charts/spark.js";

const CARDS = [["today", "hour"], ["week", "day"], ["month", "day"]];

/** Return since when hours are needed for the cards: the span before the longest of them. */
export function cardsSince(calendar) {
  const { zone, now } = calendar;
  return zone.addMonths(zone.monthOf(zone.addDays(zone.dayOf(now), -7)), -1);
}

/** Return the cards of rows by hour. What is not over is compared up to the last full hour. */
export function cards(hours, calendar, { view, measure, state }) {
  const shown = CARDS.map(([name, grain]) => spanCard(name, grain, hours, calendar, { view, measure, state }));
  return h("ul", { class: "cards", "aria-label": MEASURES[measure].title }, ...[...shown, allCard(calendar, { view, measure, state })].map((card) => h("li", { class: "card span" }, card)));
}

const between = (rows, from, to) => sumOf(rows.filter((row) => row.at >= from && row.at < to));

function spanCard(name, grain, hours, calendar, { view, measure, state }) {
  const { zone } = calendar;
  const { of, text } = MEASURES[measure];
  const range = rangeOf({ range: name }, calendar);
  const compared = comparisonOf("before", range, calendar, { grain });
  const [sums, now, before] = [[range.from, range.to], [range.from, compared.end], [compared.from, compared.to]].map(([from, to]) => between(hours, from, to));
  const link = (value, from, to) => h("a", { class: "num", href: format({ ...state, view, range: "custom", from: zone.parameter(from), to: zone.parameter(to) }) }, text(of(value)));
  const until = compared.open ? ` by ${zone.text("clock", compared.end)}` : "";
  const columns = columnsOf(grain, zone, range, calendar.now);
  const values = columns.map((column) => Number(of(between(hours, column.from, column.to))));
  const numbers = [h("br"), link(now, range.from, compared.end), " against ", link(before, compared.from, compared.to), until];
  const against = compared.to > compared.from ? [...changeText(of(now), of(before), compared.words), ...numbers] : ["It has just begun"];
  return card({ title: presetTitle(name), value: text(of(sums)), measure, href: format({ ...state, view, range: name }), against, line: spark(values, 0, columns.findIndex((column) => column.open) + 1 || columns.length) });
}

function changeText(now, before, words) {
  const changed = change(now, before);
  if (!changed) return [`Nothing ${words}`];
  return [changed.direction ? changeChip(now, before) : "No change", ` from ${words}`];
}

function allCard({ zone, days, first, latest }, { view, measure, state }) {
  const { of, text } = MEASURES[measure];
  const sums = sumOf(days);
  const count = Math.max(1, Math.round((zone.local(latest) - zone.local(first)) / DAY) + 1);
  const step = Math.ceil(count / 60);
  const values = new Array(Math.ceil(count / step)).fill(0);
  for (const day of days) values[Math.floor(Math.round((zone.local(day.at) - zone.local(first)) / DAY) / step)] += day.events;
  const each = measure === "amount" ? money(Math.round(Number(sums.amount) / count)) : average(sums.events / count);
  const against = [`${each} ${measure === "average" ? "purchases " : ""}a day`, h("br"), `since ${zone.text("date", first)}`];
  return card({ title: presetTitle("all"), value: text(of(sums)), measure, href: format({ ...state, view, range: "all" }), against, line: spark(values) });
}

function card({ title, value, measure, href, against, line }) {
  return [h("h2", {}, title), h("a", { class: "big num", href, "aria-label": `${title}: ${value} ${MEASURES[measure].noun}` }, value), h("p", { class: "against" }, against), line];
}
