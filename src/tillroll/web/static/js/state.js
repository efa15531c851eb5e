// The view is in the address: #/hour-bracket?range=30d&bracket=10-50. What is at its default is left out.

import { COMPARISONS, PRESET_NAMES } from "./span.js";
import { UTC } from "./time.js";

export const FILTERS_MOST = 100;
/** What stands in an address beside filters. */
export const CHOICES = {
  range: PRESET_NAMES,
  grain: ["hour", "day", "week", "month"],
  compare: COMPARISONS,
  measure: ["events", "amount", "average"],
  order: ["datapoint", "-events", "-amount"],
};
const OWN = [...Object.keys(CHOICES), "from", "to", "zone", "stack", "cursor", "start", "datapoint"];

/** Return the name that a filter has in an address: one that is called like a parameter stands behind `field.`. */
export const filterName = (key) => (OWN.includes(key) ? `field.${key}` : key);
const keyOf = (name) => (name.startsWith("field.") && OWN.includes(name.slice(6)) ? name.slice(6) : name);

/**
 * Return the state that an address holds. Nothing in it is trusted: what makes no sense is as if it were not there, and
 * address.js tells of it. A view that cannot be read is "".
 */
export function parse(hash) {
  const [path, ...queries] = hash.replace(/^#\/?/, "").split("?");
  const search = new URLSearchParams(queries.join("?"));
  const filters = {};
  for (const name of new Set(search.keys())) {
    if (OWN.includes(name)) continue;
    const values = [...new Set(search.getAll(name))].filter(Boolean).slice(0, FILTERS_MOST);
    if (values.length) filters[keyOf(name)] = values;
  }
  const one = (name) => (CHOICES[name].includes(search.get(name)) ? search.get(name) : null);
  const [from, to] = [UTC.parse(search.get("from")), UTC.parse(search.get("to"))];
  const custom = from !== null && to !== null && from < to;
  return {
    view: path === "" ? "overview" : decoded(path),
    range: custom ? "custom" : one("range"),
    from: custom ? search.get("from") : null,
    to: custom ? search.get("to") : null,
    zone: search.get("zone"),
    filters,
    grain: one("grain"),
    compare: one("compare"),
    measure: one("measure") ?? "events",
    stack: search.get("stack"),
    order: one("order") ?? "datapoint",
    cursor: search.get("cursor"),
    start: search.has("cursor") && /^\d{1,15}$/.test(search.get("start")) ? Number(search.get("start")) : 0,
    datapoint: search.get("datapoint"),
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
    search.set("from", state.from);
    search.set("to", state.to);
  } else if (state.range) search.set("range", state.range);
  if (state.zone) search.set("zone", state.zone);
  for (const [key, values] of Object.entries(state.filters ?? {})) {
    for (const value of values) search.append(filterName(key), value);
  }
  for (const name of ["grain", "compare", "stack", "datapoint"]) if (state[name]) search.set(name, state[name]);
  if (state.measure && state.measure !== "events") search.set("measure", state.measure);
  if (state.order && state.order !== "datapoint") search.set("order", state.order);
  if (state.cursor) {
    search.set("cursor", state.cursor);
    search.set("start", state.start);
  }
  const text = search.toString();
  return `#/${encodeURIComponent(state.view)}${text ? `?${text}` : ""}`;
}
