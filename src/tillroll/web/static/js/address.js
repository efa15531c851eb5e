// What is wrong with an address of the page, in words. Nothing of an address is replaced without a word about it.

import { timedSource } from "./reports.js";
import { CHOICES, FILTERS_MOST, filterName, format } from "./state.js";
import { HOUR, UTC, findZone } from "./time.js";

const RANGE = ["range", "from", "to"];

/** Return what is wrong with the parts of an address for the view that it names, a sentence each. */
export function problemsOf({ hash, search }, view, reports) {
  const report = reports.find((one) => one.name === view) ?? null;
  const query = hash.includes("?") ? hash.slice(hash.indexOf("?") + 1) : "";
  const given = new URLSearchParams(query);
  const known = parametersOf(view, report, reports);
  const first = (name) => given.get(name);
  const found = [];
  if (search) found.push(`${search} is before the #, where it has no effect. Write it after the view: #/${view}${search}`);
  if (!isReadable(query)) found.push("A part of it is not percent-encoded UTF-8.");
  for (const name of new Set(given.keys())) {
    const all = given.getAll(name);
    if (!known.includes(name)) found.push(`${name} is not a parameter of this view. ${known.length ? `It has ${known.join(", ")}.` : "It has none."}`);
    else if (report?.keys.some((key) => filterName(key.name) === name)) found.push(...filterProblems(name, all));
    else if (all.length > 1) found.push(`${name} is given ${all.length} times: the first is used.`);
    const choices = choicesOf(name, report);
    if (known.includes(name) && choices && !choices.includes(all[0])) found.push(`${name}=${all[0]} is not one of ${choices.join(", ")}.`);
  }
  if (known.includes("from")) found.push(...rangeProblems(first, report));
  if (known.includes("zone") && given.has("zone") && !findZone(first("zone"))) found.push(`zone=${first("zone")} is not a time zone such as Europe/Stockholm.`);
  if (known.includes("cursor")) found.push(...pageProblems(first));
  return found;
}

/** Return the address of what a view shows of a state: without what it does not have, a range in whole steps. */
export function cleaned(state, reports) {
  const report = reports.find((one) => one.name === state.view) ?? null;
  const known = parametersOf(state.view, report, reports);
  const kept = { ...state };
  if (kept.zone && !findZone(kept.zone)) kept.zone = null;
  if (kept.range === "custom") for (const [name, up] of [["from", 0], ["to", 1]]) kept[name] = stepped(kept[name], up, report);
  const [path, query = ""] = format(kept).split("?");
  const parameters = new URLSearchParams([...new URLSearchParams(query)].filter(([name, value]) => known.includes(name) && (choicesOf(name, report)?.includes(value) ?? true)));
  return `/${path}${parameters.size ? `?${parameters}` : ""}`;
}

const choicesOf = (name, report) => {
  if (name === "grain" && report) return report.grains;
  if (name === "stack" && report) return report.keys.map((key) => key.name);
  return CHOICES[name];
};

const isDaily = (report) => Boolean(report?.window) && !report.grains.includes("hour");

function stepped(text, up, report) {
  if (text.length === 10) return text;
  const step = isDaily(report) ? 24 * HOUR : HOUR;
  return UTC.parameter(Math[up ? "ceil" : "floor"](UTC.parse(text) / step) * step);
}

function parametersOf(view, report, reports) {
  if (view === "overview") return [...RANGE, "zone", "compare", "measure"];
  if (view === "purchases") return ["datapoint"];
  if (!report) return [];
  const source = timedSource(reports, report);
  return [
    ...(source ? [...RANGE, "compare"] : []),
    ...(source?.anyZone ? ["zone"] : []),
    ...report.keys.map((key) => filterName(key.name)),
    ...(report.window ? ["grain"] : []),
    ...(report.keys.length > 1 ? ["stack"] : []),
    ...["measure", "order", "cursor", "start"],
  ];
}

function filterProblems(name, all) {
  const found = all.includes("") ? [`${name} has an empty value, which is ignored.`] : [];
  return new Set(all).size > FILTERS_MOST ? [...found, `${name} has more than ${FILTERS_MOST} values: the first ${FILTERS_MOST} are used.`] : found;
}

function rangeProblems(first, report) {
  const bounds = ["from", "to"].filter((name) => first(name) !== null);
  const bad = bounds.filter((name) => UTC.parse(first(name)) === null);
  if (bad.length) return bad.map((name) => `${name}=${first(name)} is not a date (2011-12-03) or an instant (2011-12-03T10:00:00Z) in UTC.`);
  if (bounds.length === 1) return [`${bounds[0]} alone is not a range: give from and to.`];
  if (!bounds.length) return [];
  if (UTC.parse(first("from")) >= UTC.parse(first("to"))) return [`to=${first("to")} is not after from=${first("from")}.`];
  const inside = bounds.filter((name) => stepped(first(name), 0, report) !== UTC.parameter(UTC.parse(first(name))));
  return [
    ...inside.map((name) => `${name}=${first(name)} is inside ${isDaily(report) ? "a day: the whole day" : "an hour: the whole hour"} is shown.`),
    ...(first("range") === null ? [] : ["range is ignored, because from and to are given."]),
  ];
}

function pageProblems(first) {
  const [cursor, start] = [first("cursor"), first("start")];
  if (start !== null && !/^\d{1,15}$/.test(start)) return [`start=${start} is not a number of rows.`];
  if (cursor !== null && start === null) return ["cursor needs start, the number of rows before it: rows are numbered from 1."];
  return cursor === null && start !== null ? ["start is ignored without a cursor."] : [];
}

function isReadable(query) {
  try {
    decodeURIComponent(query.replaceAll("+", " "));
    return true;
  } catch {
    return false;
  }
}
