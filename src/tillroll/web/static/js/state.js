// The view is in the address: #/hour-bracket?range=30d&bracket=10-50. What is at its default is left out.

import { DAY, dayOf, floor, isoDay, now, parameter, parseParameter } from "./time.js";

const LISTS = ["bracket", "method", "merchant"];
export const FILTERS_MOST = 100;
export const PRESETS = ["today", "7d", "30d", "all"];
const DAYS = { today: 1, "7d": 7, "30d": 30 };

/**
 * Return the state that an address holds. Nothing in it is trusted: what makes no sense is as if it were not there, and
 * address.js tells of it. A view that cannot be read is "".
 */
export function parse(hash) {
  const [path, ...queries] = hash.replace(/^#\/?/, "").split("?");
  const query = queries.join("?");
  const search = new URLSearchParams(query);
  const filters = {};
  for (const dimension of LISTS) {
    const values = [...new Set(search.getAll(dimension))].filter(Boolean).slice(0, FILTERS_MOST);
    if (values.length) filters[dimension] = values;
  }
  const [from, to] = [parseParameter(search.get("from")), parseParameter(search.get("to"))];
  const custom = from !== null && to !== null && from < to;
  return {
    view: path === "" ? "overview" : decoded(path),
    range: custom ? "custom" : PRESETS.includes(search.get("range")) ? search.get("range") : null,
    from: custom ? from : null,
    to: custom ? to : null,
    filters,
    grain: ["hour", "day"].includes(search.get("grain")) ? search.get("grain") : null,
    stack: ["bracket", "method"].includes(search.get("stack")) ? search.get("stack") : null,
    order: search.get("order") === "-events" ? "-events" : "datapoint",
    cursor: search.get("cursor"),
    start: search.has("cursor") && /^\d{1,15}$/.test(search.get("start")) ? Number(search.get("start")) : 0,
  };
}

function decoded(path) {
  try {
    return decodeURIComponent(path);
  } catch {
    return "";
  }
}

/** Return the address of a state. The inverse of `parse`. */
export function format(state) {
  const search = new URLSearchParams();
  if (state.range === "custom") {
    search.set("from", parameter(state.from));
    search.set("to", parameter(state.to));
  } else if (state.range) search.set("range", state.range);
  for (const dimension of LISTS) {
    for (const value of state.filters?.[dimension] ?? []) search.append(dimension, value);
  }
  if (state.grain) search.set("grain", state.grain);
  if (state.stack) search.set("stack", state.stack);
  if (state.order && state.order !== "datapoint") search.set("order", state.order);
  if (state.cursor) {
    search.set("cursor", state.cursor);
    search.set("start", state.start);
  }
  const text = search.toString();
  return `#/${encodeURIComponent(state.view)}${text ? `?${text}` : ""}`;
}

/**
 * Return the calendar of the data: its days with their events, and the `end` that spans count back from. That is the end
 * of today, or of the latest day with purchases when the last seven days have none (old data, an import of last year).
 */
export function calendarOf(days) {
  const today = dayOf(now());
  const last = days.length ? days[days.length - 1].at : today;
  const stale = days.length > 0 && last < today - 6 * DAY;
  return { days, stale, first: days.length ? days[0].at : today, last, end: (stale ? last : today) + DAY };
}

/**
 * Return the half-open range that a state asks for, given the calendar, in whole steps of so many seconds. `all` has no
 * bounds for the server.
 */
export function resolveRange(state, calendar, step = 1) {
  const range = state.range ?? "7d";
  if (range === "all") return { range, from: calendar.first, to: Math.max(calendar.end, calendar.last + DAY), bounds: {} };
  const to = range === "custom" ? Math.ceil(state.to / step) * step : calendar.end;
  const from = range === "custom" ? floor(state.from, step) : to - DAYS[range] * DAY;
  return { range, from, to, bounds: { from: parameter(from), to: parameter(to) } };
}

/** Return the words of a preset: "Today", or "Latest day" when the data ended long ago. */
export function presetWord(range, calendar) {
  const fresh = { today: "Today", "7d": "7 days", "30d": "30 days", all: "All", custom: "Custom" };
  const stale = { ...fresh, today: "Latest day", "7d": "Latest 7 days", "30d": "Latest 30 days" };
  return (calendar.stale ? stale : fresh)[range];
}

export const customDays = (range) => ({ from: isoDay(range.from), to: isoDay(range.to - 1) });
