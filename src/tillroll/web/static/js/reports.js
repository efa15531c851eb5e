// What a report is, as GET /reports tells it: parts of some kind. Nothing here knows a report, or a dimension, by its name.

import { UTC, findZone } from "./time.js";

const isWindow = (part) => part.kind === "window";
/** Return whether a part's values are known beforehand. */
export const isClosed = (part) => part.values !== undefined;

/** A report: `keys` are its parts but the window. */
export class Report {
  constructor(listed) {
    Object.assign(this, listed);
    /** @type {string} */ this.name = listed.name;
    /** @type {string} */ this.title = listed.title;
    /** @type {string[]} */ this.grains = listed.grains;
    this.parts = listed.parts;
    this.window = this.parts.find(isWindow) ?? null;
    this.keys = this.parts.filter((part) => !isWindow(part));
    this.anyZone = listed.any_zone;
    this.own = Boolean(listed.own);
  }

  has = (names) => names.every((name) => this.keys.some((key) => key.name === name));

  /** Return the zone whose clocks its windows go by when the page shows a zone. */
  zoneIn = (zone) => (this.anyZone ? zone : (findZone(/** @type {any} */ (this).zone) ?? UTC));
}

/** Return the leanest report that counts the same by all of these keys; with a window of time when one is wanted. */
export function leanest(reports, names, { timed = false, anyZone = false } = {}) {
  return reports
    .filter((report) => !report.own && report.has(names) && (!timed || report.window) && (!anyZone || report.anyZone))
    .toSorted((a, b) => a.parts.length - b.parts.length || Number(Boolean(a.window)) - Number(Boolean(b.window)))[0];
}

/** Return what answers, for a part of all time, what a report counts: itself, or another that has a window. */
export const timedSource = (reports, report) => (report.window || report.own ? (report.window ? report : null) : (leanest(reports, report.keys.map((key) => key.name), { timed: true }) ?? null));

/** Return a row's values by the names of its datapoint's parts. The inverse of how a datapoint is spelled. */
export function parseRow(row, names, report) {
  const head = `|${report.name}|`;
  const text = row.text ?? row.datapoint; // a very long one stands under its hash, with its text beside it
  const texts = (text.startsWith(head) ? text.slice(head.length) : text).split("|");
  const values = { ...row, values: {} };
  for (const [index, name] of names.entries()) values.values[name] = texts[index];
  return values;
}
