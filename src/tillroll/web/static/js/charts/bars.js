// Horizontal bars of parts, as plain elements: sharp at any size, readable by screen readers, links where they lead on.

import { h, vars } from "../dom.js";
import { percent, whole } from "../format.js";

/**
 * Return bars for `rows`: [{label, title, href, total, parts: [{label, value, text, color, href}]}]. With `share` each row
 * fills the width and its parts are percentages; otherwise the longest row does. With `names` labels are long: above
 * their bars. `text` writes a number.
 * @param {any[]} rows
 * @param {{ share?: boolean, names?: boolean, label?: string, text?: (value: any) => string }} [options]
 */
export function bars(rows, { share = false, names = false, label, text = whole } = {}) {
  const most = Math.max(1, ...rows.map(length));
  return h("ul", { class: `bars ${share ? "bars-share" : ""} ${names ? "bars-names" : ""}`, "aria-label": label }, ...rows.map((row) => bar(row, share ? Math.max(1, length(row)) : most, share, text)));
}

const length = (row) => row.parts.reduce((sum, part) => sum + part.value, 0);

function bar(row, full, share, text) {
  const name = h(row.href ? "a" : "span", { class: "bar-label", href: row.href, "data-drill": true, title: row.title ?? row.label }, row.label);
  const track = h("span", { class: "bar-track", "aria-hidden": share ? null : "true" }, ...row.parts.filter((part) => part.value > 0).map((part) => segment(row, part, full, share, text)));
  return h("li", { class: "bar" }, name, track, h("span", { class: "bar-value num" }, text(row.total)));
}

function segment(row, part, full, share, text) {
  const said = `${row.label}, ${part.label}: ${text(part.text ?? part.value)}`;
  const portion = percent(part.value / full);
  const fits = part.value / full >= 0.16;
  const shown = share ? [h("span", { class: "sr" }, `${said}, `), h("span", { class: fits ? null : "sr" }, portion)] : null;
  const node = h(part.href ? "a" : "span", { class: "segment", href: part.href, "data-drill": true, title: share ? `${said} (${portion})` : said, tabindex: share ? null : -1 }, shown);
  return vars(node, { size: `${((100 * part.value) / full).toFixed(3)}%`, fill: `var(--${part.color})`, text: `var(--on-${part.color})` });
}

/** Return a legend of [{label, color}]; `before` adds the dotted line. */
export function legend(parts, before = null) {
  return h(
    "ul",
    { class: "legend", "aria-label": "Colours" },
    ...parts.map((part) => h("li", {}, vars(h("span", { class: "dot" }), { dot: `var(--${part.color})` }), part.label)),
    before ? h("li", {}, h("span", { class: "dot dot-before" }), before) : null,
  );
}
