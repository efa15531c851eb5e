// Reports of one's own: what there are and how far they are counted, and a form that makes one. For who may manage.

import { getJson, request } from "../api.js";
import { definitionOf, valuesOf } from "../definition.js";
import { announce, h, icon } from "../dom.js";
import { MEASURES, partTitle, plural, whole, word } from "../format.js";
import { statesTable } from "../parts/states.js";
import { choice } from "../parts/tools.js";
import { findZone } from "../time.js";
import { View, rebuild } from "./view.js";

const LOOK_MS = 1_000; // while something is being counted
const SHOWN = 12; // datapoints of a preview
const RIGHT = { right: "manage" };

export class Reports extends View {
  #states = h("div", { class: "part-states" });
  #form = h("div", { class: "part-form" });
  #timer = 0;

  constructor(page) {
    super(page);
    document.title = "Reports · Tillroll";
    this.body.append(h("h1", {}, "Reports"));
  }

  destroy() {
    super.destroy();
    clearTimeout(this.#timer);
  }

  async load(_, signal) {
    const [states, dimensions] = await Promise.all([getJson("/reports", { signal }), this.#form.isConnected ? null : getJson("/dimensions", { signal })]);
    if (dimensions) {
      rebuild(this.body, h("div", {}, h("h1", {}, "Reports"), h("p", { class: "lead" }, "All reports. Your own reports count from the first purchase on.")), this.#states, this.#form);
      rebuild(this.#form, definitionForm(dimensions, this.page.zone.name, () => this.#made()));
    }
    this.#show(states);
  }

  #show(states) {
    rebuild(this.#states, h("section", { class: "card table-card" }, h("h2", {}, "All reports"), statesTable(states, (state) => this.#drop(state))));
    clearTimeout(this.#timer);
    if (states.some((state) => !state.readable)) this.#timer = setTimeout(() => this.refresh(), LOOK_MS);
    this.page.listReports(states);
  }

  async #drop({ name }) {
    await request(`/reports/${encodeURIComponent(name)}`, { method: "DELETE", ...RIGHT });
    announce(`${name} is dropped`);
    await this.refresh();
  }

  async #made() {
    await this.refresh();
    this.#states.scrollIntoView({ block: "nearest" });
  }
}

/** Return the form. `done` is called when a report was made. */
function definitionForm(dimensions, zone, done) {
  const windows = dimensions.filter((part) => part.kind === "window");
  const keys = dimensions.filter((part) => part.kind !== "window");
  const error = h("p", { class: "field-error", role: "alert", id: "definition-error" });
  const result = h("div", { class: "preview", role: "status" });
  const field = (id, label, hint, more = {}) => h("div", { class: "tool" }, h("label", { class: "tool-label", for: id }, label), h("input", { id, name: id, class: "input", autocomplete: "off", ...more }), hint ? h("p", { class: "hint" }, hint) : null);
  const zones = h("datalist", { id: "zones" }, ...(/** @type {any} */ (Intl).supportedValuesOf?.("timeZone") ?? []).map((name) => h("option", { value: name })));
  const form = h(
    "form",
    { class: "definition" },
    field("title", "Title", null, { required: true, maxlength: 200, placeholder: "Turnover per week by method" }),
    field("name", "Name", "a-z, 0-9 and -; derived from the title by default", { maxlength: 40 }),
    choice("window", "Time window", [["", "All time"], ...windows.map((part) => [part.name, partTitle(part)])], windows[1]?.name ?? "", () => null),
    h("div", { class: "tool" }, h("label", { class: "tool-label", for: "definition-zone" }, "Time zone"), h("input", { id: "definition-zone", class: "input", list: "zones", value: zone }), zones),
    h("fieldset", { class: "chips wide-field" }, h("legend", {}, "Other dimensions, in this order"), ...keys.map((part) => box(`by-${part.name}`, partTitle(part), part.name))),
    h("details", { class: "wide-field" }, h("summary", {}, "Conditions"), h("div", { class: "conditions" }, ...keys.map(condition))),
    field("brackets", "Custom brackets", "Bounds in euro, separated by commas: 5.50, 20, 100", { placeholder: "10, 50, 100, 500" }),
    error,
    h("div", { class: "buttons wide-field" }, h("button", { type: "button", class: "button", id: "preview" }, icon("search"), "Preview"), h("button", { type: "submit", class: "button primary", id: "make" }, "Create")),
  );
  const read = () => {
    const value = (id) => /** @type {HTMLInputElement} */ (form.querySelector(`#${id}`)).value;
    const checked = (prefix) => [.../** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll(`input[data-group="${CSS.escape(prefix)}"]:checked`))].map((input) => input.value);
    const where = Object.fromEntries(keys.map((part) => [part.name, part.values ? checked(`where-${part.name}`) : valuesOf(/** @type {HTMLInputElement} */ (form.querySelector(`#where-${CSS.escape(part.name)}`))?.value ?? "")]));
    return definitionOf({ title: value("title"), name: value("name"), by: [value("window"), ...checked("by")].filter(Boolean), zone: value("definition-zone"), where, brackets: value("brackets") });
  };
  const act = async (button, action) => {
    error.textContent = "";
    button.setAttribute("aria-busy", "true");
    try {
      await action();
    } catch (problem) {
      error.textContent = problem.message;
    } finally {
      button.removeAttribute("aria-busy");
    }
  };
  const options = (method, body) => ({ method, body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, ...RIGHT });
  form.querySelector("#preview").addEventListener("click", (event) =>
    act(event.currentTarget, async () => {
      const definition = read();
      rebuild(result, previewOf(await getJson("/reports/preview", options("POST", definition)), definition, dimensions));
    }),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(form.querySelector("#make"), async () => {
      const definition = read();
      await request(`/reports/${encodeURIComponent(definition.name)}`, options("PUT", definition));
      announce(`${definition.name} is being counted`);
      result.replaceChildren();
      form.reset();
      await done();
    });
  });
  return h("section", { class: "card" }, h("h2", {}, "Create a report"), form, result);
}

const box = (id, text, value, group = "by") => h("label", { class: "chip" }, h("input", { type: "checkbox", class: "sr", id, value, "data-group": group }), h("span", {}, text));

function condition(part) {
  const title = partTitle(part);
  if (part.values) return h("fieldset", { class: "chips" }, h("legend", {}, `${title} is one of`), ...part.values.map((value, index) => box(`where-${part.name}-${index}`, word(part, value), value, `where-${part.name}`)));
  const id = `where-${part.name}`;
  return h("div", { class: "tool" }, h("label", { class: "tool-label", for: id }, `${title} is one of`), h("input", { id, class: "input", autocomplete: "off", placeholder: "values, separated by commas" }));
}

/** Return what a definition would show of the newest purchases, and what counting them all takes. */
function previewOf({ events, datapoints, aggregates, plan }, { by, zone = "UTC", name }, dimensions) {
  const parts = by.map((one) => dimensions.find((part) => part.name === one) ?? { name: one, kind: "open" });
  const head = `|${name}|`;
  const texts = (row) => {
    const text = row.text ?? row.datapoint;
    return (text.startsWith(head) ? text.slice(head.length) : text).split("|");
  };
  const row = (one) => h("tr", {}, ...texts(one).slice(0, Math.max(1, parts.length)).map((text, index) => h("td", {}, parts[index] ? word(parts[index], text) : text)), h("td", { class: "num" }, whole(one.events)), h("td", { class: "num" }, MEASURES.amount.text(one.amount)));
  const known = findZone(zone) ? "" : ` Your browser does not know the zone ${zone}.`;
  return [
    h("h3", {}, "Preview"),
    h("p", { class: "sub" }, `Of the newest ${plural(events, "purchase")}: ${plural(datapoints, "datapoint")}. Counting all takes about ${whole(Math.ceil(plan.seconds))} s, and at least ${plural(plan.datapoints_min, "datapoint")} are stored (on AWS about $${plan.dollars_min} of writes). Nothing is stored yet.${known}`),
    h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Preview" }, h("table", { class: "data" }, h("caption", { class: "sr" }, "Preview"), h("thead", {}, h("tr", {}, ...(parts.length ? parts.map((part) => h("th", { scope: "col" }, partTitle(part))) : [h("th", { scope: "col" }, "Datapoint")]), h("th", { scope: "col", class: "num" }, "Purchases"), h("th", { scope: "col", class: "num" }, "Turnover"))), h("tbody", {}, ...aggregates.slice(0, SHOWN).map(row)))),
  ];
}
