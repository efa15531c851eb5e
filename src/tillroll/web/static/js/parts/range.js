// The range picker: the usual spans, and two dates of one's own.

import { h, icon } from "../dom.js";
import { customDays, presetWord, PRESETS } from "../state.js";
import { DAY, parseParameter } from "../time.js";

/** Return a range picker showing `range`. `choose` gets the part of the state that changes. */
export function rangePicker(range, calendar, choose) {
  const preset = (name) =>
    h(
      "label",
      { class: "segmented-item" },
      h("input", { type: "radio", name: "range", id: `range-${name}`, value: name, checked: range.range === name, class: "sr", onchange: () => choose({ range: name, from: null, to: null }) }),
      h("span", {}, presetWord(name, calendar)),
    );
  return h(
    "div",
    { class: "range" },
    h("fieldset", { class: "segmented" }, h("legend", { class: "sr" }, "Range"), ...PRESETS.map(preset)),
    custom(range, calendar, choose),
  );
}

function custom(range, calendar, choose) {
  const days = customDays(range);
  const input = (name, label) => h("label", {}, label, h("input", { type: "date", name, value: days[name], min: "1970-01-01", max: "9998-12-31", required: true }));
  const error = h("p", { class: "field-error", role: "alert" });
  const form = h(
    "form",
    { class: "popover", onsubmit: (event) => apply(event) },
    input("from", "From"),
    input("to", "Through"),
    error,
    h("button", { class: "button primary", type: "submit" }, "Show"),
  );
  const menu = h(
    "details",
    { class: "menu" },
    h("summary", { class: range.range === "custom" ? "button chosen" : "button" }, icon("calendar"), presetWord("custom", calendar)),
    form,
  );
  const apply = (event) => {
    event.preventDefault();
    const [from, to] = ["from", "to"].map((name) => parseParameter(new FormData(form).get(name)));
    if (from === null || to === null || from > to) {
      error.textContent = "The first day must not be after the last.";
      return;
    }
    menu.open = false;
    choose({ range: "custom", from, to: to + DAY });
  };
  return closing(menu);
}

/** Make a menu close on Escape, and when the focus or the pointer goes elsewhere. */
export function closing(menu) {
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
  menu.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
  });
  menu.addEventListener("toggle", () => {
    if (!menu.open) return;
    const close = (event) => {
      if (menu.isConnected && menu.open && menu.contains(event.target)) return;
      menu.open = false;
      document.removeEventListener("pointerdown", close);
    };
    document.addEventListener("pointerdown", close);
  });
  return menu;
}
