// The purchases behind a number: the events of a datapoint, page after page, in the order that they were journaled.

import { getJson } from "../api.js";
import { h, icon } from "../dom.js";
import { constantWords, money, plural, whole } from "../format.js";
import { learn, nameOf } from "../names.js";
import { trailBar } from "../parts/trail.js";
import { View, rebuild } from "./view.js";

const LISTED = 50;

export class Purchases extends View {
  #found = [];
  #next = null;
  #shown = null;

  constructor(page) {
    super(page);
    document.title = "Purchases · Tillroll";
    this.body.append(h("h1", {}, "Purchases"));
  }

  async load(state, signal) {
    if (!state.datapoint) return rebuild(this.body, h("h1", {}, "Purchases"), h("p", { class: "note" }, "The address has no datapoint. Click a number in a report's table to see its purchases here."));
    if (this.#shown !== state.datapoint) [this.#found, this.#next, this.#shown] = [[], null, state.datapoint];
    const answer = await this.#page(state.datapoint, null, signal);
    if (this.#found.length <= LISTED) [this.#found, this.#next] = [answer.purchases, answer.next];
    await this.#learn(signal);
    this.#render(answer);
  }

  #learn(signal) {
    const part = this.page.reports.flatMap((report) => report.keys).find((key) => key.search);
    return learn(part, this.#found.map(({ event }) => event.merchantId), signal);
  }

  #page(datapoint, after, signal) {
    const query = new URLSearchParams({ datapoint, limit: String(LISTED), ...(after ? { after } : {}) });
    return getJson(`/explain?${query}`, { signal });
  }

  async #more(answer, event) {
    event.target.setAttribute("aria-busy", "true");
    try {
      const page = await this.#page(this.#shown, this.#next, undefined);
      this.#found.push(...page.purchases);
      this.#next = page.next;
      await this.#learn(undefined);
      this.#render(answer);
    } finally {
      event.target.removeAttribute("aria-busy");
    }
  }

  #render(answer) {
    const report = this.page.reports.find((one) => one.name === answer.report);
    const zone = this.page.zone;
    const own = Object.keys(COLUMNS);
    const others = [...new Set(this.#found.flatMap(({ event }) => Object.keys(event)))].filter((field) => !own.includes(field) && field !== "id");
    const title = (text, kind = null) => h("th", { scope: "col", class: kind }, text);
    const head = h("tr", {}, ...Object.values(COLUMNS).map(({ head, kind }) => title(head, kind)), ...others.map((field) => title(field)), title("Name", "side"), title("Journal chunk", "side"));
    const row = ({ event, name, chunk, index, folded }) =>
      h(
        "tr",
        {},
        ...own.map((field) => h("td", { class: COLUMNS[field].kind, title: textOf(event[field]) }, COLUMNS[field].text(event[field], zone))),
        ...others.map((field) => h("td", {}, textOf(event[field]))),
        h("td", { class: "side" }, name === "unnamed" ? "no name" : name),
        h("td", { class: "side" }, `${chunk}, index ${whole(index)}`, folded ? null : h("span", { class: "tag" }, "not folded yet")),
      );
    rebuild(
      this.body,
      trailBar("Purchases"),
      h("div", {}, h("h1", {}, "Purchases"), h("p", { class: "lead" }, h("b", { class: "num", id: "total" }, whole(answer.events)), " behind ", h("code", {}, answer.datapoint), report ? [" of ", h("a", { href: `#/${encodeURIComponent(report.name)}` }, report.title)] : null)),
      this.#found.length
        ? h("section", { class: "card table-card wide", tabindex: 0, "aria-label": "Purchases" }, h("table", { class: "data purchases" }, h("caption", { class: "sr" }, `Purchases of ${answer.datapoint}`), h("thead", {}, head), h("tbody", {}, ...this.#found.map(row))))
        : h("section", { class: "card empty" }, icon("roll"), h("h2", {}, "No purchases"), h("p", {}, "This datapoint counts no purchases.")),
      h("p", { class: "num", id: "page-shown" }, `${whole(this.#found.length)} of ${plural(answer.events, "purchase")}, in journal order`),
      this.#next ? h("button", { type: "button", class: "button", id: "more-purchases", onclick: (event) => this.#more(answer, event) }, "Show more") : null,
    );
  }
}

// How the contract's fields are shown; what was sent is the title of each.
const COLUMNS = {
  date: { head: "Date", text: (value, zone) => zone.instantText(Date.parse(value) / 1_000) },
  amount: { head: "Amount", kind: "num", text: money },
  paymentMethod: { head: "Method", text: constantWords },
  merchantId: { head: "Merchant", kind: "who", text: nameOf },
};

const textOf = (value) => (value === undefined ? "" : typeof value === "string" ? value : JSON.stringify(value));
