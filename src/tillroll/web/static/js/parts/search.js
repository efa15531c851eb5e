// The search for a value of an open part: a combobox, and the chosen ones as chips that can be taken away.

import { getJson, reportPath } from "../api.js";
import { debounce, h, icon } from "../dom.js";
import { brief, partTitle, word } from "../format.js";
import { learn } from "../names.js";
import { parseRow } from "../reports.js";

const LISTED = 12;
const PAUSE_MS = 60;

/** Return the search. `choose` gets all chosen values after a change. */
export function valueSearch(report, part, chosen, choose) {
  const title = partTitle(part);
  const list = h("ul", { class: "options", id: `${part.name}-options`, role: "listbox", "aria-label": title, hidden: true });
  const input = h("input", {
    type: "search",
    id: `${part.name}-search`,
    class: "input",
    placeholder: `Search ${title.toLowerCase()}`,
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 256,
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": list.id,
    "aria-autocomplete": "list",
  });
  const box = new Combobox(input, list, { pick: (value) => choose([...chosen, value]), chosen, find: finder(report, part), label: (value) => word(part, value), none: `No matching ${title.toLowerCase()}` });
  const chips = chosen.map((value) =>
    h("li", {}, h("button", { type: "button", class: "chip-remove", "aria-label": `Remove ${title.toLowerCase()} ${value}`, title: value, onclick: () => choose(chosen.filter((one) => one !== value)) }, h("span", {}, brief(word(part, value), 22)), icon("close"))),
  );
  return h(
    "div",
    { class: "value-filter" },
    h("label", { class: "filter-label", for: input.id }, title),
    h("div", { class: "combobox" }, icon("search"), box.input, list),
    chips.length ? h("ul", { class: "chosen", "aria-label": `Chosen: ${title.toLowerCase()}` }, ...chips) : null,
  );
}

/** Return what finds values by a part of their text: the server's own search where it has one, else among the most frequent. */
function finder(report, part) {
  if (part.search) {
    return async (text, limit, signal) => {
      const found = await getJson(`${part.search}?${new URLSearchParams({ q: text, limit })}`, { signal });
      await learn(part, found, signal);
      return found;
    };
  }
  let values = null;
  return async (text, limit, signal) => {
    values ??= (await getJson(reportPath(report.name, { by: [part.name], order: "-events", limit: 1_000 }), { signal })).map((row) => parseRow(row, [part.name], report).values[part.name]);
    return values.filter((value) => value.toLowerCase().includes(text.toLowerCase())).slice(0, limit);
  };
}

class Combobox {
  #list;
  #pick;
  #chosen;
  #find;
  #none;
  #label;
  #names = [];
  #active = -1;
  #abort = null;

  constructor(input, list, { pick, chosen, find, label, none }) {
    this.input = input;
    this.#list = list;
    this.#pick = pick;
    this.#chosen = chosen;
    this.#find = find;
    this.#none = none;
    this.#label = label;
    input.addEventListener("input", debounce(() => this.#search(), PAUSE_MS));
    input.addEventListener("click", () => this.#list.hidden && this.#search());
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#key(event));
  }

  async #search() {
    this.#abort?.abort();
    this.#abort = new AbortController();
    try {
      const found = await this.#find(this.input.value.trim(), LISTED + this.#chosen.length, this.#abort.signal);
      if (document.activeElement === this.input) this.#show(found.filter((name) => !this.#chosen.includes(name)).slice(0, LISTED));
    } catch (error) {
      if (error.name !== "AbortError") this.#note(error.message);
    }
  }

  #show(names) {
    this.#names = names;
    this.#active = -1;
    if (!names.length) return this.#note(this.#none);
    this.#open(
      names.map((name, index) =>
        h("li", { role: "option", id: `${this.#list.id}-${index}`, class: "option", "aria-selected": "false", onpointerdown: (event) => event.preventDefault(), onclick: () => this.#pick(name) }, this.#label(name), this.#label(name) === name ? null : h("span", { class: "hint" }, ` ${name}`)),
      ),
    );
  }

  #note(text) {
    this.#names = [];
    this.#open([h("li", { class: "option-note", role: "option", "aria-disabled": "true", "aria-selected": "false" }, text)]);
  }

  #open(options) {
    this.#list.replaceChildren(...options);
    this.#list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.input.removeAttribute("aria-activedescendant");
  }

  #close() {
    this.#abort?.abort();
    this.#names = [];
    this.#list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    if (event.key === "Escape" && !this.#list.hidden) this.#close();
    else if (event.key === "Enter" && this.#names.length) this.#pick(this.#names[Math.max(0, this.#active)]);
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") this.#move(event.key === "ArrowDown" ? 1 : -1);
    else return;
    event.preventDefault();
  }

  #move(by) {
    if (this.#list.hidden) this.#search();
    if (!this.#names.length) return;
    this.#active = (this.#active + by + this.#names.length + (this.#active < 0 && by < 0 ? 1 : 0)) % this.#names.length;
    for (const [index, option] of [...this.#list.children].entries()) {
      option.setAttribute("aria-selected", String(index === this.#active));
      if (index === this.#active) option.scrollIntoView({ block: "nearest" });
    }
    this.input.setAttribute("aria-activedescendant", `${this.#list.id}-${this.#active}`);
  }
}
