// The cards at the top of the overview: today, this week, thirty days and all, against the span before.

import { h } from "../dom.js";
import { average, change, whole } from "../format.js";
import { format } from "../state.js";
import { DAY, HOUR, WEEK, clockText, dayText, floor, mondayOf, now } from "../time.js";
import { spark } from "../charts/spark.js";

/**
 * Return the cards. `hours` are rows of this week and the last. Spans are compared up to the last full hour, so that a
 * day that has just begun is not held against a whole one.
 */
export function cards(hours, calendar, view) {
  const at = calendar.stale ? calendar.end : Math.min(calendar.end, floor(now(), HOUR));
  const today = calendar.end - DAY;
  return h("ul", { class: "cards", "aria-label": "Purchases" }, ...[dayCard, weekCard, monthCard, allCard].map((card) => h("li", { class: "card span" }, card({ hours, calendar, view, at, today }))));
}

const sum = (rows, from, to) => rows.reduce((total, row) => (row.at >= from && row.at < to ? total + row.events : total), 0);

function values(rows, from, to, step) {
  const found = new Array(Math.ceil((to - from) / step)).fill(0);
  for (const row of rows) if (row.at >= from && row.at < to) found[Math.floor((row.at - from) / step)] += row.events;
  return found;
}

function dayCard({ hours, calendar, view, at, today }) {
  const before = { from: today - DAY, to: at - DAY };
  const words = calendar.stale ? ["", "the day before"] : [` by ${clockText(at)}`, "yesterday"];
  return card({
    title: calendar.stale ? dayText(today) : "Today",
    count: sum(hours, today, today + DAY),
    href: format({ view, range: "today" }),
    against: against({ from: today, to: at }, hours, before, words, view),
    line: spark(values(hours, today, today + DAY, HOUR), 0, Math.floor((at - today) / HOUR) + 1),
  });
}

function weekCard({ hours, calendar, view, at, today }) {
  const monday = mondayOf(today);
  const words = calendar.stale ? ["", "the week before"] : [` by ${clockText(at)}`, "last week"];
  return card({
    title: calendar.stale ? "That week" : "This week",
    count: sum(hours, monday, calendar.end),
    href: format({ view, range: "custom", from: monday, to: calendar.end }),
    against: against({ from: monday, to: at }, hours, { from: monday - WEEK, to: at - WEEK }, words, view),
    line: spark(values(hours, monday - WEEK, monday + WEEK, DAY), 7, 7 + (calendar.end - monday) / DAY),
  });
}

function monthCard({ calendar, view, today }) {
  // Whole days are compared: the 29 before today with those thirty days earlier (all 30 when the data has ended).
  const last = calendar.stale ? calendar.end : today;
  const from = calendar.end - 30 * DAY;
  return card({
    title: calendar.stale ? "Latest 30 days" : "30 days",
    count: sum(calendar.days, from, calendar.end),
    href: format({ view, range: "30d" }),
    against: against({ from, to: last }, calendar.days, { from: from - 30 * DAY, to: last - 30 * DAY }, ["", "a month ago"], view),
    line: spark(values(calendar.days, from - 30 * DAY, calendar.end, DAY), 30),
  });
}

function allCard({ calendar, view }) {
  const count = sum(calendar.days, -Infinity, Infinity);
  const days = Math.max(1, (Math.max(calendar.end, calendar.last + DAY) - calendar.first) / DAY);
  const step = Math.ceil(days / 60) * DAY;
  return card({
    title: "All",
    count,
    href: format({ view, range: "all" }),
    against: h("p", { class: "against" }, `${average(count / days)} a day`, h("br"), `since ${dayText(calendar.first)}`),
    line: spark(values(calendar.days, calendar.first, calendar.last + DAY, step)),
  });
}

function card({ title, count, href, against: comparison, line }) {
  return [h("h2", {}, title), h("a", { class: "big num", href, "aria-label": `${title}: ${whole(count)} purchases` }, whole(count)), comparison, line];
}

/**
 * Compare a span with the one before, both with the links to their reports. The words say until when, and before what.
 * @param {{ from: number, to: number }} span
 * @param {any[]} rows
 * @param {{ from: number, to: number }} before
 * @param {string[]} words
 * @param {string} view
 */
function against(span, rows, before, [until, than], view) {
  if (span.to <= span.from) return h("p", { class: "against" }, "The day has just begun");
  const [count, countBefore] = [span, before].map(({ from, to }) => sum(rows, from, to));
  const changed = change(count, countBefore);
  const link = (number, { from, to }) => h("a", { class: "num", href: format({ view, range: "custom", from, to }) }, whole(number));
  if (!changed) return h("p", { class: "against" }, "Nothing to compare with");
  const kind = changed.direction > 0 ? "up" : changed.direction < 0 ? "down" : "same";
  const said = { up: "more", down: "fewer", same: "As many" }[kind];
  const sign = { up: "▲", down: "▼", same: "=" }[kind];
  const chip = h("span", { class: `change ${kind}` }, h("span", { "aria-hidden": "true" }, `${sign} `), kind === "same" ? said : `${changed.text} ${said}`);
  return h("p", { class: "against" }, chip, ` ${kind === "same" ? "as" : "than"} ${than}`, h("br"), link(count, span), " against ", link(countBefore, before), until);
}
