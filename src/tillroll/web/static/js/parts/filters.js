// Filters: a box for each value of a part that has few, a search for one whose values nobody knows beforehand.

import { h } from "../dom.js";
import { partTitle, word } from "../format.js";
import { isClosed } from "../reports.js";
import { valueSearch } from "./search.js";

/** Return the filters that a report has. `choose` gets all the filters after a change. */
export function filterBar(report, filters, choose) {
  const change = (name, values) => {
    const { [name]: _, ...rest } = filters;
    choose(values.length ? { ...rest, [name]: values } : rest);
  };
  const parts = report.keys.map((part) => (isClosed(part) ? boxes(part, filters[part.name] ?? [], change) : valueSearch(report, part, filters[part.name] ?? [], (values) => change(part.name, values))));
  const active = Object.keys(filters).length > 0;
  const clear = h("button", { type: "button", class: "button quiet", id: "clear-filters", onclick: () => choose({}) }, "Clear filters");
  return h("div", { class: "filters", role: "group", "aria-label": "Filters" }, ...parts, active ? clear : null);
}

function boxes(part, chosen, change) {
  const toggle = (value, on) => change(part.name, part.values.filter((one) => (one === value ? on : chosen.includes(one))));
  return h(
    "fieldset",
    { class: "chips" },
    h("legend", {}, partTitle(part)),
    ...part.values.map((value, index) =>
      h("label", { class: "chip" }, h("input", { type: "checkbox", class: "sr", id: `${part.name}-${index}`, checked: chosen.includes(value), onchange: (event) => toggle(value, event.target.checked) }), h("span", {}, word(part, value))),
    ),
  );
}
