// Time: instants in seconds since 1970, the clocks of a zone, and how both are written. Ranges are half-open.

export const HOUR = 3_600;
export const DAY = 86_400;
export const WEEK = 7 * DAY;
export const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const QUARTER = 900; // zones change their clocks at a quarter of an hour
const FORMS = {
  date: { day: "numeric", month: "short", year: "numeric" },
  dateLong: { weekday: "short", day: "numeric", month: "short", year: "numeric" },
  dayShort: { weekday: "short", day: "numeric", month: "short" },
  dateShort: { day: "numeric", month: "short" },
  month: { month: "short", year: "numeric" },
  monthLong: { month: "long", year: "numeric" },
  clock: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
  clockFine: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
};

export const now = () => Date.now() / 1000;
export const floor = (seconds, step) => Math.floor(seconds / step) * step;
const date = (seconds) => new Date(seconds * 1000);
/** What clocks show, counted in seconds as if they were UTC's, as a date: 2026-10-25. */
export const isoDay = (local) => date(local).toISOString().slice(0, 10);
export const isoInstant = (at) => `${date(at).toISOString().slice(0, 19)}Z`;
// 1970-01-01 was a Thursday: the fourth day of a week that begins on Monday.
export const weekdayOf = (local) => (((Math.floor(local / DAY) + 3) % 7) + 7) % 7;

/** Return a month's first day, so many months after the month of a local time. */
const monthAfter = (local, months) => {
  const at = date(local);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + months) / 1000;
};

/** The clocks of one zone. `at` is an instant, `local` what the clocks show then, counted as if they were UTC's. */
export class Zone {
  #parts;
  #offsets = new Map();
  #forms = {};

  /** @param {string} name An IANA name that the browser knows, or "UTC"; throws RangeError for any other. */
  constructor(name) {
    this.name = name;
    const options = { timeZone: name, hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
    this.#parts = name === "UTC" ? null : new Intl.DateTimeFormat("en-US", /** @type {any} */ (options));
  }

  /** Return by how many seconds the clocks are ahead of UTC. */
  offset(at) {
    if (!this.#parts) return 0;
    const from = floor(at, QUARTER);
    const known = this.#offsets.get(from);
    if (known !== undefined) return known;
    const found = Object.fromEntries(this.#parts.formatToParts(date(from)).map(({ type, value }) => [type, Number(value)]));
    const local = Date.UTC(found.year, found.month - 1, found.day, found.hour, found.minute, found.second) / 1000;
    this.#offsets.set(from, local - from);
    return local - from;
  }

  local = (at) => at + this.offset(at);

  /** Return the first instant at which the clocks show a local time; where they leave it out, when they go past it. */
  instant(local) {
    const [early, late] = [local - this.offset(local - DAY), local - this.offset(local + DAY)].toSorted((a, b) => a - b);
    for (const at of [early, late]) if (this.local(at) === local) return at;
    for (let at = floor(early, QUARTER); at <= late; at += QUARTER) if (this.local(at) >= local) return at;
    return late;
  }

  dayOf = (at) => this.instant(floor(this.local(at), DAY));
  isMidnight = (at) => this.dayOf(at) === at;

  /** Return the instant that clocks show as many days later (or earlier) at the same time of day. */
  addDays = (at, days) => this.instant(this.local(at) + days * DAY);

  /** Return the same day and time of another month; the last day of it, where it has fewer. */
  addMonths(at, months) {
    const local = this.local(at);
    const [first, last] = [monthAfter(local, months), monthAfter(local, months + 1)];
    return this.instant(Math.min(first + local - monthAfter(local, 0), last - DAY + (local - floor(local, DAY))));
  }

  hourOf = (at) => at - (((this.local(at) % HOUR) + HOUR) % HOUR);
  weekOf = (at) => this.instant(floor(this.local(at), DAY) - weekdayOf(this.local(at)) * DAY);
  monthOf = (at) => this.instant(monthAfter(this.local(at), 0));
  quarterOf = (at) => this.addMonths(this.monthOf(at), -(date(this.local(at)).getUTCMonth() % 3));
  yearOf = (at) => this.addMonths(this.monthOf(at), -date(this.local(at)).getUTCMonth());

  /** Return an instant as the API takes it with this zone: a plain date at its beginning, else the instant itself. */
  parameter = (at) => (this.isMidnight(at) && this.local(at) % DAY === 0 ? isoDay(this.local(at)) : isoInstant(at));

  /** Return the instant that a parameter names, or null when it names none. */
  parse(text) {
    if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$/.test(text ?? "")) return null;
    const parsed = Date.parse(text.length === 10 ? `${text}T00:00:00Z` : text) / 1000;
    // Some browsers take 2011-02-30 for a day of March.
    if (Number.isNaN(parsed) || isoDay(parsed) !== text.slice(0, 10)) return null;
    return text.length === 10 ? this.instant(parsed) : parsed;
  }

  /** Return the instant at which the window begins that a datapoint spells, by the clocks of this zone. */
  window(text) {
    const week = /^(\d{4})-W(\d\d)$/.exec(text);
    if (week) {
      const fourth = Date.UTC(+week[1], 0, 4) / 1000; // the fourth of January is in week 1
      return this.instant(fourth - weekdayOf(fourth) * DAY + (+week[2] - 1) * WEEK);
    }
    const [, year, month, day, hour, sign, ...offset] = /^(\d{4})-(\d\d)(?:-(\d\d)(?::(\d\d)(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?)?)?$/.exec(text) ?? [];
    const local = Date.UTC(+year, +month - 1, +(day ?? 1), +(hour ?? 0)) / 1000;
    if (hour === undefined) return this.instant(local);
    const [hours, minutes, seconds] = offset.map((part) => +(part ?? 0)); // without one, the hour is UTC's
    return local - (sign === "-" ? -1 : 1) * (hours * HOUR + minutes * 60 + seconds);
  }

  /** Write an instant in one of FORMS, by these clocks. */
  text(form, at) {
    this.#forms[form] ??= new Intl.DateTimeFormat("en-GB", /** @type {any} */ ({ timeZone: this.name, ...FORMS[form] }));
    return this.#forms[form].format(date(at));
  }

  /** Write an instant to the second. */
  instantText = (at) => `${this.text("date", at)}, ${this.text("clockFine", at)}`;

  /** Write a half-open range, with its last day and not the day after it. */
  rangeText(from, to) {
    const [day, last] = [this.dayOf(from), this.dayOf(to - 1)];
    const whole = day === from && this.isMidnight(to);
    if (day === last) return whole ? this.text("dateLong", from) : `${this.text("date", from)}, ${this.text("clock", from)}–${this.text("clock", to)}`;
    if (!whole) return `${this.text("date", from)}, ${this.text("clock", from)} – ${this.text("date", to)}, ${this.text("clock", to)}`;
    if (this.yearOf(from) !== this.yearOf(last)) return `${this.text("date", from)} – ${this.text("date", last)}`;
    if (this.monthOf(from) !== this.monthOf(last)) return `${this.text("dateShort", from)} – ${this.text("date", last)}`;
    return `${date(this.local(from)).getUTCDate()} – ${this.text("date", last)}`;
  }
}

const zones = new Map();

/** Return the zone of a name, or null when the browser knows none. */
export function findZone(name) {
  if (!zones.has(name)) {
    try {
      zones.set(name, name ? new Zone(name) : null);
    } catch {
      zones.set(name, null);
    }
  }
  return zones.get(name);
}

/** UTC, in which whatever has no zone of its own is written. */
export const UTC = findZone("UTC");

/** Return the zones that a report by hours of UTC can be asked in: their clocks are whole hours ahead or behind. */
export function wholeHourZones(at = now()) {
  const known = /** @type {any} */ (Intl).supportedValuesOf?.("timeZone") ?? [];
  return known.filter((name) => [at, at + 182 * DAY].every((moment) => (findZone(name)?.offset(moment) ?? 1) % HOUR === 0));
}

/** Write how long ago something was, coarsely. */
export function agoText(seconds) {
  const ago = Math.max(0, now() - seconds);
  if (ago < 90) return "just now";
  if (ago < 90 * 60) return `${Math.round(ago / 60)} minutes ago`;
  if (ago < 36 * HOUR) return `${Math.round(ago / HOUR)} hours ago`;
  return `${Math.round(ago / DAY)} days ago`;
}

export const hourText = (hour) => `${String(hour).padStart(2, "0")}:00`;
