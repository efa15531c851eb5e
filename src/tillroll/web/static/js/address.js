// What is wrong with an address of the page, in words. Nothing of an address is replaced without a word about it.

import { isTimed, keysOf, windowOf } from "./model.js";
import { FILTERS_MOST, PRESETS, format } from "./state.js";
import { DAY, HOUR, floor, parseParameter } from "./time.js";

const RANGE = ["range", "from", "to"];
const CHOICES = { range: PRESETS, grain: ["hour", "day"], stack: ["bracket", "method"], order: ["datapoint", "-events"] };

/** Return what is wrong with the parts of an address for the view that it names, a sentence each. */
export function problemsOf({ hash, search }, view, reports) {
  const report = reports.find((one) => one.name === view) ?? null;
  const query = hash.includes("?") ? hash.slice(hash.indexOf("?") + 1) : "";
  const given = new URLSearchParams(query);
  const known = parametersOf(view, report, reports);
  const first = (name) => given.get(name);
  const found = [];
  if (search) found.push(`${search} stands before the #, where it says nothing. Write it behind the view: #/${view}${search}`);
  if (!isReadable(query)) found.push("A part of it is not UTF-8, percent-encoded.");
  for (const name of new Set(given.keys())) {
    const all = given.getAll(name);
    if (!known.includes(name)) found.push(`${name} is no parameter of this view. ${known.length ? `It has ${known.join(", ")}.` : "It has none."}`);
    else if (keysOf(report ?? { dimensions: [] }).includes(name)) found.push(...filterProblems(name, all));
    else if (all.length > 1) found.push(`${name} is given ${all.length} times: the first counts.`);
    if (known.includes(name) && CHOICES[name] && !CHOICES[name].includes(all[0])) found.push(`${name}=${all[0]} is none of ${CHOICES[name].join(", ")}.`);
  }
  if (known.includes("from")) found.push(...rangeProblems(first, stepOf(report)));
  if (known.includes("cursor")) found.push(...pageProblems(first));
  return found;
}

/** Return the address of what a view shows of a state: without what it does not have. */
export function cleaned(state, reports) {
  const report = reports.find((one) => one.name === state.view) ?? null;
  const step = stepOf(report);
  const whole = state.range === "custom" ? { from: floor(state.from, step), to: Math.ceil(state.to / step) * step } : {};
  const [path, query = ""] = format({ ...state, ...whole }).split("?");
  const known = parametersOf(state.view, report, reports);
  const kept = new URLSearchParams([...new URLSearchParams(query)].filter(([name]) => known.includes(name)));
  return `/${path}${kept.size ? `?${kept}` : ""}`;
}

const stepOf = (report) => (report && windowOf(report) === "day" ? DAY : HOUR);

function parametersOf(view, report, reports) {
  if (view === "overview") return RANGE;
  if (!report) return [];
  const keys = keysOf(report);
  return [
    ...(isTimed(reports, report) ? RANGE : []),
    ...keys,
    ...(windowOf(report) === "hour" ? ["grain"] : []),
    ...(keys.includes("bracket") && keys.includes("method") ? ["stack"] : []),
    ...["order", "cursor", "start"],
  ];
}

function filterProblems(name, all) {
  const found = all.includes("") ? [`${name} is empty once: that is left out.`] : [];
  return new Set(all).size > FILTERS_MOST ? [...found, `${name} has more than ${FILTERS_MOST} values: the first ${FILTERS_MOST} count.`] : found;
}

function rangeProblems(first, step) {
  const bounds = ["from", "to"].filter((name) => first(name) !== null);
  const bad = bounds.filter((name) => parseParameter(first(name)) === null);
  if (bad.length) return bad.map((name) => `${name}=${first(name)} is no date (2011-12-03) and no instant (2011-12-03T10:00:00Z) in UTC.`);
  if (bounds.length === 1) return [`${bounds[0]} alone is no range: give from and to.`];
  if (!bounds.length) return [];
  const [from, to] = ["from", "to"].map((name) => parseParameter(first(name)));
  if (from >= to) return [`to=${first("to")} is not after from=${first("from")}.`];
  const inside = ["from", "to"].filter((name) => parseParameter(first(name)) % step !== 0);
  return [
    ...inside.map((name) => `${name}=${first(name)} lies inside ${step === DAY ? "a day: all of that day" : "an hour: all of that hour"} is shown.`),
    ...(first("range") === null ? [] : ["range is given beside from and to: these count."]),
  ];
}

function pageProblems(first) {
  const [cursor, start] = [first("cursor"), first("start")];
  if (start !== null && !/^\d{1,15}$/.test(start)) return [`start=${start} is no number of rows.`];
  if (cursor !== null && start === null) return ["cursor comes without start, the number of rows before it: rows are counted from 1."];
  return cursor === null && start !== null ? ["start says nothing without a cursor."] : [];
}

function isReadable(query) {
  try {
    decodeURIComponent(query.replaceAll("+", " "));
    return true;
  } catch {
    return false;
  }
}
