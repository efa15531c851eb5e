// The rhythm of the week: a table of weekdays by hours whose cells are shaded by the average purchases in that hour.

import { h } from "../dom.js";
import { MEASURES, add, average, nothing } from "../format.js";
import { DAY, HOUR, WEEKDAYS, hourText, weekdayOf } from "../time.js";

const LEVELS = 8;

/** Return averages [weekday][hour] of hour rows [{at, events, amount}], over the weekdays that lie in [from, to). */
export function rhythm(rows, { from, to, zone, measure }) {
  const { of, adds } = MEASURES[measure];
  const sums = Array.from({ length: 7 }, () => Array.from({ length: 24 }, nothing));
  for (const row of rows) {
    const local = zone.local(row.at);
    if (row.at >= from && row.at < to) add(sums[weekdayOf(local)][Math.floor((((local % DAY) + DAY) % DAY) / HOUR)], row);
  }
  const days = new Array(7).fill(0);
  for (let day = from; day < to; day = zone.addDays(day, 1)) days[weekdayOf(zone.local(day))] += 1;
  return sums.map((hours, weekday) => hours.map((one) => (adds ? (days[weekday] ? Number(of(one)) / days[weekday] : 0) : Number(of(one)))));
}

/** Return the heat map of averages. `href(weekday, hour)` is where a cell's number comes from. */
export function heatmap(averages, { href, caption, text: write = average }) {
  const most = Math.max(...averages.flat(), 0);
  const shown = (value) => (write === average ? average(value) : write(Math.round(value)));
  const cells = [];
  const body = averages.map((row, weekday) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "sr" }, WEEKDAYS[weekday]), h("span", { "aria-hidden": "true" }, WEEKDAYS[weekday].slice(0, 3))),
      ...row.map((value, hour) => {
        const written = shown(value);
        const text = `${WEEKDAYS[weekday]} ${hourText(hour)}–${hourText((hour + 1) % 24)}: ${written} on average`;
        const level = most === 0 || value === 0 ? 0 : Math.max(1, Math.ceil((value / most) * LEVELS));
        const link = h("a", { class: `heat heat-${level}`, href: href(weekday, hour), title: text, tabindex: cells.length ? -1 : 0 }, h("span", { class: "sr" }, written));
        cells.push(link);
        return h("td", {}, link);
      }),
    ),
  );
  const head = h("tr", {}, h("th", { scope: "col" }, h("span", { class: "sr" }, "Weekday")), ...Array.from({ length: 24 }, (_, hour) => h("th", { scope: "col" }, h("span", { class: "sr" }, hourText(hour)), h("span", { "aria-hidden": "true" }, hour % 3 === 0 ? String(hour).padStart(2, "0") : ""))));
  const table = h("table", { class: "heatmap" }, h("caption", { class: "sr" }, caption), h("thead", {}, head), h("tbody", {}, ...body));
  table.addEventListener("keydown", (event) => step(event, cells));
  return h("div", { class: "heatmap-holder" }, table, scale(`${shown(most)}${write === average ? " an hour" : ""}`));
}

/** Move the focus among the cells with the arrow keys: 168 cells are one stop of the tab key. */
function step(event, cells) {
  const at = cells.indexOf(event.target);
  const move = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 24, ArrowUp: -24 }[event.key];
  const next = move === undefined ? undefined : cells[at + move];
  if (at < 0 || !next) return;
  event.preventDefault();
  cells[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function scale(most) {
  return h("p", { class: "heat-scale", "aria-hidden": "true" }, "0", ...Array.from({ length: LEVELS + 1 }, (_, level) => h("span", { class: `heat heat-${level}` })), most);
}
