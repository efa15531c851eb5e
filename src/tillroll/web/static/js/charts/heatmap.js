// The rhythm of the week: a table of weekdays by hours whose cells are shaded by the average purchases in that hour.

import { h } from "../dom.js";
import { average } from "../format.js";
import { DAY, HOUR, WEEKDAYS, hourText, weekdayOf } from "../time.js";

const LEVELS = 8;

/** Return averages [weekday][hour] of hour rows [{at, events}], over the weekdays that lie in [from, to). */
export function rhythm(hours, from, to) {
  const sums = Array.from({ length: 7 }, () => new Array(24).fill(0));
  for (const { at, events } of hours) {
    if (at >= from && at < to) sums[weekdayOf(at)][(at % DAY) / HOUR] += events;
  }
  const days = new Array(7).fill(0);
  for (let day = from; day < to; day += DAY) days[weekdayOf(day)] += 1;
  return sums.map((row, weekday) => row.map((sum) => (days[weekday] ? sum / days[weekday] : 0)));
}

/** Return the heat map of averages. `href(weekday, hour)` is where a cell's number comes from. */
export function heatmap(averages, { href, caption }) {
  const most = Math.max(...averages.flat(), 0);
  const cells = [];
  const body = averages.map((row, weekday) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, h("span", { class: "sr" }, WEEKDAYS[weekday]), h("span", { "aria-hidden": "true" }, WEEKDAYS[weekday].slice(0, 3))),
      ...row.map((value, hour) => {
        const text = `${WEEKDAYS[weekday]} ${hourText(hour)}–${hourText((hour + 1) % 24)}: ${average(value)} on average`;
        const level = most === 0 || value === 0 ? 0 : Math.max(1, Math.ceil((value / most) * LEVELS));
        const link = h("a", { class: `heat heat-${level}`, href: href(weekday, hour), title: text, tabindex: cells.length ? -1 : 0 }, h("span", { class: "sr" }, average(value)));
        cells.push(link);
        return h("td", {}, link);
      }),
    ),
  );
  const head = h("tr", {}, h("th", { scope: "col" }, h("span", { class: "sr" }, "Weekday")), ...Array.from({ length: 24 }, (_, hour) => h("th", { scope: "col" }, h("span", { class: "sr" }, hourText(hour)), h("span", { "aria-hidden": "true" }, hour % 3 === 0 ? String(hour).padStart(2, "0") : ""))));
  const table = h("table", { class: "heatmap" }, h("caption", { class: "sr" }, caption), h("thead", {}, head), h("tbody", {}, ...body));
  table.addEventListener("keydown", (event) => step(event, cells));
  return h("div", { class: "heatmap-holder" }, table, scale(most));
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
  return h("p", { class: "heat-scale", "aria-hidden": "true" }, "0", ...Array.from({ length: LEVELS + 1 }, (_, level) => h("span", { class: `heat heat-${level}` })), average(most), " an hour");
}
