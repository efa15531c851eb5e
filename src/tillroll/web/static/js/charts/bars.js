// Horizontal bars of parts, as plain elements: sharp at any size, readable by screen readers, links where they lead on.

import { h, vars } from "../dom.js";
import { percent, whole } from "../format.js";

/**
 * Return bars for `rows`: [{label, title, href, parts: [{label, value, color, href}]}]. With `share` each row fills the
 * width and its parts are percentages; otherwise the longest row does. With `names` labels are long: above their bars.
 * @param {any[]} rows
 * @param {{ share?: boolean, names?: boolean, label?: string }} [options]
 */
export function bars(rows, { share = false, names = false, label } = {}) {
  const most = Math.max(1, ...rows.map(total));
  return h("ul", { class: `bars ${share ? "bars-share" : ""} ${names ? "bars-names" : ""}`, "aria-label": label }, ...rows.map((row) => bar(row, share ? Math.max(1, total(row)) : most, share)));
}

export const total = (row) => row.parts.reduce((sum, part) => sum + part.value, 0);

function bar(row, full, share) {
  const sum = total(row);
  const name = h(row.href ? "a" : "span", { class: "bar-label", href: row.href, title: row.title ?? row.label }, row.label);
  const track = h("span", { class: "bar-track", "aria-hidden": share ? null : "true" }, ...row.parts.filter((part) => part.value > 0).map((part) => segment(row, part, full, share)));
  return h("li", { class: "bar" }, name, track, h(row.href ? "a" : "span", { class: "bar-value num", href: row.href, tabindex: row.href ? -1 : null }, whole(sum)));
}

function segment(row, part, full, share) {
  const said = `${row.label}, ${part.label}: ${whole(part.value)}`;
  const portion = percent(part.value / full);
  const fits = part.value / full >= 0.13;
  const text = share ? [h("span", { class: "sr" }, `${said}, `), h("span", { class: fits ? null : "sr" }, portion)] : null;
  const node = h(part.href ? "a" : "span", { class: "segment", href: part.href, title: share ? `${said} (${portion})` : said, tabindex: share ? null : -1 }, text);
  return vars(node, { size: `${((100 * part.value) / full).toFixed(3)}%`, fill: `var(--${part.color})`, text: `var(--on-${part.color})` });
}

/** Return a legend of [{label, color}]. */
export function legend(parts) {
  return h(
    "ul",
    { class: "legend", "aria-label": "Colours" },
    ...parts.map((part) => h("li", {}, vars(h("span", { class: "dot" }), { dot: `var(--${part.color})` }), part.label)),
  );
}
