// Grain: how long the columns of a chart, and the rows of its table, are.

import { DAY, HOUR, isoDay } from "./time.js";

const COLUMNS_MOST = 1_100; // hours of 45 days: what a chart can show, and a person take in

/** The grains, finest first. `start` is of the column that an instant lies in, `next` of the one after. */
const GRAINS = {
  hour: {
    seconds: HOUR,
    start: (zone, at) => zone.hourOf(at),
    next: (_, at) => at + HOUR,
    text: (zone, at) => `${zone.text("dateLong", at)}, ${zone.text("clock", at)}–${zone.text("clock", at + HOUR)}`,
  },
  day: {
    seconds: DAY,
    start: (zone, at) => zone.dayOf(at),
    next: (zone, at) => zone.dayOf(zone.dayOf(at) + 1.5 * DAY),
    text: (zone, at) => zone.text("dateLong", at),
  },
  week: {
    seconds: 7 * DAY,
    start: (zone, at) => zone.weekOf(at),
    next: (zone, at) => zone.weekOf(zone.weekOf(at) + 7.5 * DAY),
    text: (zone, at) => `Week of ${zone.text("date", at)}`,
  },
  month: {
    seconds: 30 * DAY,
    start: (zone, at) => zone.monthOf(at),
    next: (zone, at) => zone.monthOf(zone.monthOf(at) + 40 * DAY),
    text: (zone, at) => zone.text("monthLong", at),
  },
};

/** Return the words that a window is written with. */
export const windowText = (grain, zone, at) => GRAINS[grain].text(zone, at);
/** Return the same for a table, where many stand below each other: with the year only where it is another than at `now`. */
export function rowText(grain, zone, at, now) {
  const day = zone.yearOf(at) === zone.yearOf(now) ? zone.text("dayShort", at) : zone.text("dateLong", at);
  if (grain === "hour") return `${day}, ${zone.text("clock", at)}`;
  return grain === "day" ? day : windowText(grain, zone, at);
}
export const startOf = (grain, zone, at) => GRAINS[grain].start(zone, at);
export const nextOf = (grain, zone, at) => GRAINS[grain].next(zone, at);
export const secondsOf = (grain) => GRAINS[grain].seconds;

/**
 * Return the grain of a range: {grain, wanted, said}. What was asked for, or what suits the length; a coarser one where
 * that would be too many columns, and then `said` tells so.
 */
export function grainOf(grains, wanted, { from, to }) {
  const days = (to - from) / DAY;
  const suits = days <= 7 ? "hour" : days <= 100 ? "day" : days <= 740 ? "week" : "month";
  const chosen = grains.includes(wanted) ? wanted : null;
  let grain = chosen ?? (grains.includes(suits) ? suits : grains[0]);
  while ((to - from) / GRAINS[grain].seconds > COLUMNS_MOST && grain !== grains.at(-1)) grain = grains[grains.indexOf(grain) + 1];
  const said = chosen && grain !== chosen ? `Too many ${chosen}s in this range: shown by ${grain}.` : null;
  return { grain, wanted: chosen, said };
}

/** Return the grain that a click on a column leads to, or null when there is no finer one. */
export function finer(grains, grain) {
  const at = grains.indexOf(grain);
  return at > 0 ? grains[at - 1] : null;
}

/**
 * Return the columns of a range: {start, from, to, part, open}. `from` and `to` are cut to the range. `part` says that
 * the column is not whole: the range cuts it, or it is not over (`open`).
 */
export function columnsOf(grain, zone, { from, to }, at) {
  const columns = [];
  for (let start = startOf(grain, zone, from); start < to; ) {
    const next = nextOf(grain, zone, start);
    const open = start <= at && at < next;
    columns.push({ start, from: Math.max(start, from), to: Math.min(next, to), open, part: open || start < from || next > to });
    start = next;
  }
  return columns;
}

/** Return the short label of a column under a chart: what changes from one to the next. */
export function tickText(grain, zone, at, first) {
  const local = zone.local(at);
  if (grain === "hour") return first || local % DAY === 0 ? `${zone.text("clock", at)}\n${zone.text("dateShort", at)}` : zone.text("clock", at);
  if (grain === "month") return first || isoDay(local).slice(5, 7) === "01" ? `${zone.text("month", at)}` : zone.text("month", at).slice(0, 3);
  return zone.text("dateShort", at);
}

/** Return which columns to label, given that there is room for so many: at midnights, Mondays and quarters if it can. */
export function ticksOf(grain, zone, columns, room) {
  const least = Math.max(1, columns.length / Math.max(1, room));
  const steps = { hour: [1, 2, 3, 6, 12, 24, 48, 96, 168], day: [1, 2, 7, 14, 28, 56, 91], week: [1, 2, 4, 8, 13, 26], month: [1, 3, 6, 12, 24, 48] }[grain];
  const step = steps.find((one) => one >= least) ?? Math.ceil(least / steps.at(-1)) * steps.at(-1);
  const place = ({ start }, index) => {
    const local = zone.local(start);
    if (grain === "hour") return Math.round(local / HOUR) + 72; // counted from a Monday
    if (grain === "day" && step >= 7) return Math.round(local / DAY) + 3; // counted from a Monday
    return grain === "month" ? index + Number(isoDay(zone.local(columns[0].start)).slice(5, 7)) - 1 : index;
  };
  return columns.map((column, index) => [index, place(column, index)]).filter(([, at]) => at % step === 0).map(([index]) => index);
}
