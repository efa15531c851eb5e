// Filters by bracket and method (a box each) and by merchant (searched for as one types).

import { h } from "../dom.js";
import { BRACKETS, METHODS, dimensionWord, word } from "../format.js";
import { merchantSearch } from "./merchants.js";

const VALUES = { bracket: BRACKETS, method: METHODS };

/** Return the filters that a report has. `choose` gets all the filters after a change. */
export function filterBar(dimensions, filters, choose) {
  const change = (dimension, values) => {
    const { [dimension]: _, ...rest } = filters;
    choose(values.length ? { ...rest, [dimension]: values } : rest);
  };
  const parts = dimensions.filter((dimension) => VALUES[dimension]).map((dimension) => boxes(dimension, filters[dimension] ?? [], change));
  if (dimensions.includes("merchant")) parts.push(merchantSearch(filters.merchant ?? [], (values) => change("merchant", values)));
  const active = dimensions.some((dimension) => filters[dimension]?.length);
  const clear = h("button", { type: "button", class: "button quiet", id: "clear-filters", onclick: () => choose({}) }, "Clear filters");
  return h("div", { class: "filters", role: "group", "aria-label": "Filters" }, ...parts, active ? clear : null);
}

function boxes(dimension, chosen, change) {
  const all = VALUES[dimension];
  const toggle = (value, on) => change(dimension, all.filter((one) => (one === value ? on : chosen.includes(one))));
  return h(
    "fieldset",
    { class: "chips" },
    h("legend", {}, dimensionWord(dimension)),
    ...all.map((value) =>
      h(
        "label",
        { class: "chip" },
        h("input", { type: "checkbox", class: "sr", id: `${dimension}-${all.indexOf(value)}`, checked: chosen.includes(value), onchange: (event) => toggle(value, event.target.checked) }),
        h("span", {}, word(dimension, value)),
      ),
    ),
  );
}
