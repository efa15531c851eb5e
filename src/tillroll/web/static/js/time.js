// Windows of time. Everything is UTC and half-open, in seconds since 1970, as the reports count.

export const HOUR = 3_600;
export const DAY = 86_400;
export const WEEK = 7 * DAY;
export const WINDOW = { hour: HOUR, day: DAY };
export const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const part = (options) => new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", ...options });
const DATE = part({ day: "numeric", month: "short", year: "numeric" });
const DATE_LONG = part({ weekday: "short", day: "numeric", month: "short", year: "numeric" });
const DATE_SHORT = part({ day: "numeric", month: "short" });
const MONTH = part({ month: "short", year: "numeric" });
const CLOCK = part({ hour: "2-digit", minute: "2-digit" });
const CLOCK_FINE = part({ hour: "2-digit", minute: "2-digit", second: "2-digit" });

const date = (seconds) => new Date(seconds * 1000);
export const now = () => Date.now() / 1000;
export const floor = (seconds, window) => Math.floor(seconds / window) * window;
export const dayOf = (seconds) => floor(seconds, DAY);
// 1970-01-01 was a Thursday: the fourth day of a week that begins on Monday.
export const weekdayOf = (seconds) => (Math.floor(seconds / DAY) + 3) % 7;
export const mondayOf = (seconds) => dayOf(seconds) - weekdayOf(seconds) * DAY;
export const monthOf = (seconds) => {
  const at = date(seconds);
  return Date.UTC(at.getUTCFullYear(), at.getUTCMonth()) / 1000;
};

/** Return the start of the window that a datapoint spells: 2011-12-03 or 2011-12-03:10. */
export const parseWindow = (text) =>
  Date.UTC(+text.slice(0, 4), +text.slice(5, 7) - 1, +text.slice(8, 10), text.length > 10 ? +text.slice(11, 13) : 0) / 1000;

export const isoDay = (seconds) => date(seconds).toISOString().slice(0, 10);
export const isoInstant = (seconds) => `${date(seconds).toISOString().slice(0, 19)}Z`;

/** Return the start as the API takes it: a plain day at midnight, an instant otherwise. */
export const parameter = (seconds) => (seconds % DAY === 0 ? isoDay(seconds) : isoInstant(seconds));

/** Return the seconds that a parameter names, or null when it names none. */
export function parseParameter(text) {
  if (!/^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$/.test(text ?? "")) return null;
  const parsed = Date.parse(text.length === 10 ? `${text}T00:00:00Z` : text);
  // Some browsers take 2011-02-30 for a day of March.
  return Number.isNaN(parsed) || isoDay(parsed / 1000) !== text.slice(0, 10) ? null : parsed / 1000;
}

export const dayText = (seconds) => DATE.format(date(seconds));
export const dayTextLong = (seconds) => DATE_LONG.format(date(seconds));
export const dayTextShort = (seconds) => DATE_SHORT.format(date(seconds));
export const monthText = (seconds) => MONTH.format(date(seconds));
export const clockText = (seconds) => CLOCK.format(date(seconds));
export const clockTextFine = (seconds) => CLOCK_FINE.format(date(seconds));
export const instantText = (seconds) => `${DATE.format(date(seconds))}, ${CLOCK_FINE.format(date(seconds))}`;
export const hourText = (hour) => `${String(hour).padStart(2, "0")}:00`;

/** Return a window in words: the hours with their day, the day, the week or the month. */
export function windowText(seconds, window) {
  if (window <= HOUR) return `${dayTextLong(seconds)}, ${clockText(seconds)}–${clockText(seconds + window)}`;
  if (window === WEEK) return `Week of ${dayText(seconds)}`;
  return window === DAY ? dayTextLong(seconds) : monthText(seconds);
}

/** Return a half-open range in words, with its last day and not the day after it. */
export function rangeText(from, to) {
  if (to - from <= DAY && dayOf(from) === dayOf(to - 1)) {
    return to - from === DAY ? dayTextLong(from) : `${dayText(from)}, ${clockText(from)}–${clockText(to)}`;
  }
  const whole = from % DAY === 0 && to % DAY === 0;
  if (!whole) return `${dayText(from)}, ${clockText(from)} – ${dayText(to)}, ${clockText(to)}`;
  const sameYear = isoDay(from).slice(0, 4) === isoDay(to - 1).slice(0, 4);
  return `${sameYear ? dayTextShort(from) : dayText(from)} – ${dayText(to - DAY)}`;
}

/** Return how long ago something was, coarsely. */
export function agoText(seconds) {
  const ago = Math.max(0, now() - seconds);
  if (ago < 90) return "just now";
  if (ago < 90 * 60) return `${Math.round(ago / 60)} minutes ago`;
  if (ago < 36 * HOUR) return `${Math.round(ago / HOUR)} hours ago`;
  return `${Math.round(ago / DAY)} days ago`;
}
