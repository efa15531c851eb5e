// The search for merchants: a combobox over GET /merchants, and the chosen ones as chips that can be taken away.

import { getJson } from "../api.js";
import { debounce, h, icon } from "../dom.js";
import { brief } from "../format.js";

const LISTED = 12;
const PAUSE_MS = 60;

/** Return the search. `choose` gets all chosen merchants after a change. */
export function merchantSearch(chosen, choose) {
  const list = h("ul", { class: "options", id: "merchant-options", role: "listbox", "aria-label": "Merchants", hidden: true });
  const input = h("input", {
    type: "search",
    id: "merchant-search",
    class: "input",
    placeholder: "Search merchants",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: 128,
    role: "combobox",
    "aria-expanded": "false",
    "aria-controls": list.id,
    "aria-autocomplete": "list",
  });
  const box = new Combobox(input, list, (name) => choose([...chosen, name]), chosen);
  const chips = chosen.map((name) =>
    h("li", {}, h("button", { type: "button", class: "chip-remove", "aria-label": `Remove merchant ${name}`, title: name, onclick: () => choose(chosen.filter((one) => one !== name)) }, h("span", {}, brief(name, 22)), icon("close"))),
  );
  return h(
    "div",
    { class: "merchant-filter" },
    h("label", { class: "filter-label", for: input.id }, "Merchant"),
    h("div", { class: "combobox" }, icon("search"), box.input, list),
    chips.length ? h("ul", { class: "chosen", "aria-label": "Chosen merchants" }, ...chips) : null,
  );
}

class Combobox {
  #list;
  #pick;
  #chosen;
  #names = [];
  #active = -1;
  #abort = null;

  constructor(input, list, pick, chosen) {
    this.input = input;
    this.#list = list;
    this.#pick = pick;
    this.#chosen = chosen;
    input.addEventListener("input", debounce(() => this.#search(), PAUSE_MS));
    input.addEventListener("click", () => this.#list.hidden && this.#search());
    input.addEventListener("blur", () => this.#close());
    input.addEventListener("keydown", (event) => this.#key(event));
  }

  async #search() {
    this.#abort?.abort();
    this.#abort = new AbortController();
    try {
      const query = new URLSearchParams({ q: this.input.value.trim(), limit: LISTED + this.#chosen.length });
      const found = await getJson(`/merchants?${query}`, { signal: this.#abort.signal });
      if (document.activeElement === this.input) this.#show(found.filter((name) => !this.#chosen.includes(name)).slice(0, LISTED));
    } catch (error) {
      if (error.name !== "AbortError") this.#note(error.message);
    }
  }

  #show(names) {
    this.#names = names;
    this.#active = -1;
    if (!names.length) return this.#note("No merchant of that name");
    this.#open(
      names.map((name, index) =>
        h("li", { role: "option", id: `merchant-option-${index}`, class: "option", "aria-selected": "false", onpointerdown: (event) => event.preventDefault(), onclick: () => this.#pick(name) }, name),
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
    this.input.setAttribute("aria-activedescendant", `merchant-option-${this.#active}`);
  }
}
