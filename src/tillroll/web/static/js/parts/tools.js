// The tools above a view: range, comparison, grain, zone and measure. Each is the browser's own control.

import { h, icon } from "../dom.js";
import { MEASURES } from "../format.js";
import { PRESET_NAMES, presetTitle } from "../span.js";
import { UTC, isoDay, wholeHourZones } from "../time.js";

/** @type {[string, string[]][]} */
const GROUPS = [
  ["Days", ["today", "yesterday", "7d", "30d", "90d"]],
  ["Weeks and months", ["week", "last-week", "month", "last-month", "12m"]],
  ["Quarters and years", ["quarter", "last-quarter", "year", "last-year", "all"]],
];

/** Return a labelled choice. `choices` are [value, text], or [title, [choices]] for a group. */
export function choice(id, label, choices, chosen, choose, note = null) {
  const option = ([value, text]) => (Array.isArray(text) ? h("optgroup", { label: value }, ...text.map(option)) : h("option", { value, selected: value === chosen }, text));
  const select = h("select", { id, class: "select", title: note, onchange: () => select.choose(select.value) }, ...choices.map(option));
  select.choose = choose; // may be another by then, when what is around the choice was made anew
  return h("div", { class: `tool tool-${id}` }, h("label", { class: "tool-label", for: id }, label), select);
}

/** Return the range's choice, with the two dates of a custom one. `change` gets the part of the state that changes. */
export function rangeTool({ range, zone }, change) {
  const groups = GROUPS.map(([title, names]) => [title, names.filter((name) => PRESET_NAMES.includes(name)).map((name) => [name, presetTitle(name)])]);
  const form = customForm(range, zone, change);
  form.hidden = range.name !== "custom";
  const choose = (name) => {
    if (name !== "custom") return change({ range: name, from: null, to: null });
    form.hidden = false;
    form.querySelector("input").focus();
  };
  return [choice("range", "Range", [...groups, ["custom", "Custom…"]], range.name, choose), form];
}

function customForm(range, zone, change) {
  const days = { from: isoDay(zone.local(range.from)), to: isoDay(zone.local(range.to - 1)) };
  const input = (name, label) => h("div", { class: "tool" }, h("label", { class: "tool-label", for: `range-${name}` }, label), h("input", { type: "date", id: `range-${name}`, name, value: days[name], min: "1970-01-01", max: "9998-12-31", required: true }));
  const error = h("p", { class: "field-error", role: "alert" });
  const form = h("form", { class: "custom-range" }, input("from", "From"), input("to", "Through"), h("button", { class: "button primary", type: "submit", id: "range-show" }, "Show"), error);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = new FormData(form);
    const [from, to] = ["from", "to"].map((name) => UTC.parse(given.get(name)));
    if (from === null || to === null || from > to) error.textContent = "The first day must not be after the last.";
    else change({ range: "custom", from: UTC.parameter(from), to: UTC.parameter(to + 86_400) });
  });
  return form;
}

export function compareTool(compare, range, change) {
  if (range.name === "all") return null;
  return choice("compare", "Compare with", [["", "Nothing"], ["before", "The period before"], ["year", "The year before"]], compare ?? "", (value) => change({ compare: value || null }));
}

/** Return the choice of the grain. "Automatic" says what it is now. */
export function grainTool({ report, grain, said }, wanted, change) {
  if (report.grains.length < 2) return null;
  const words = (name) => name[0].toUpperCase() + name.slice(1);
  return choice("grain", "By", [["", `Automatic (${wanted ? "by range" : grain})`], ...report.grains.map((name) => [name, words(name)])], wanted ?? "", (value) => change({ grain: value || null }), said);
}

let allZones = null;

/** Return the choice of the zone; for a report whose zone is its own, its name alone. */
export function zoneTool({ source, zone }, usual, change) {
  if (!source.anyZone) return h("p", { class: "tool" }, h("span", { class: "tool-label" }, "Time zone"), h("span", { class: "tool-text", title: "The time zone of this report" }, zone.name));
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const near = [...new Set(["UTC", usual, here, zone.name].filter(Boolean))];
  const tool = choice("zone", "Time zone", near.map((name) => [name, name.replaceAll("_", " ")]), zone.name, (name) => change({ zone: name === usual ? null : name }));
  const select = tool.querySelector("select");
  // Four hundred zones are listed when somebody looks for one.
  const fill = () => {
    allZones ??= wholeHourZones();
    if (select.options.length === near.length) select.append(h("optgroup", { label: "Zones that are whole hours from UTC" }, ...allZones.filter((name) => !near.includes(name)).map((name) => h("option", { value: name }, name.replaceAll("_", " ")))));
  };
  select.addEventListener("focus", fill, { once: true });
  select.addEventListener("pointerdown", fill, { once: true });
  return tool;
}

/** Return the switch between what is counted. */
export function measureTool(measure, change) {
  return segmented("Measure", "measure", Object.entries(MEASURES).map(([name, { title }]) => [name, title]), measure, (name) => change({ measure: name }));
}

export function segmented(title, name, choices, chosen, choose) {
  const item = ([value, text]) =>
    h("label", { class: "segmented-item" }, h("input", { type: "radio", name, id: `${name}-${value}`, value, class: "sr", checked: value === chosen, onchange: () => choose(value) }), h("span", {}, text));
  return h("fieldset", { class: "segmented" }, h("legend", { class: "sr" }, title), ...choices.map(item));
}

/** Return what holds the tools: on a phone, those in `more` are behind a button that says how many are set. */
export function toolbar(first, more, count) {
  const panel = h("div", { class: "tools-more", id: "tools-more" }, ...more);
  const toggle = h("button", { type: "button", class: "button tools-toggle", id: "tools-toggle", "aria-expanded": "false", "aria-controls": panel.id }, icon("filter"), count ? `Filters (${count})` : "Filters");
  toggle.addEventListener("click", () => toggle.setAttribute("aria-expanded", String(document.getElementById(panel.id).classList.toggle("open"))));
  return h("div", { class: "tools" }, h("div", { class: "tools-first" }, ...first, toggle), panel);
}
