// The rejected events with their reasons; who may send can correct one and send it again, or drop it.

import { getJson, request } from "../api.js";
import { announce, h, icon } from "../dom.js";
import { plural } from "../format.js";
import { UTC, agoText } from "../time.js";

const LISTED = 50;

export class RejectedList {
  #items = h("ul", { class: "rejected-list" });
  #note = h("p", { class: "sub" });
  #more = h("button", { type: "button", class: "button", id: "more-rejected", onclick: () => this.#extend() }, "Show more");
  #open = new Set(); // ids that somebody has open: a refresh must not take their text away
  #last = null;
  #pages = 1;

  constructor() {
    this.node = h("section", { class: "card", "aria-labelledby": "rejected-title" }, h("div", { class: "card-head" }, h("div", {}, h("h2", { id: "rejected-title" }, "Rejected events"), this.#note)), this.#items, this.#more);
  }

  async load(signal) {
    const found = [];
    let more = true;
    for (let page = 0; page < this.#pages && more; page += 1) {
      const part = await this.#page(found.at(-1)?.id, signal);
      found.push(...part);
      more = part.length === LISTED;
    }
    this.#show(found, more);
  }

  #page(after, signal) {
    const query = new URLSearchParams({ limit: String(LISTED), ...(after ? { after } : {}) });
    return getJson(`/rejected?${query}`, { signal });
  }

  async #extend() {
    this.#pages += 1;
    await this.load();
  }

  #show(found, more) {
    const kept = new Map([...this.#items.children].filter((item) => this.#open.has(item.dataset.id)).map((item) => [item.dataset.id, item]));
    const ids = found.map((one) => one.id).join();
    this.#note.textContent = found.length ? `${plural(found.length, "event")}${more ? " and more" : ""}, the oldest first. None is ever dropped by itself.` : "Nothing waits to be corrected.";
    this.#more.hidden = !more;
    if (ids === this.#last) return;
    this.#last = ids;
    this.#items.replaceChildren(...found.map((one) => kept.get(one.id) ?? this.#item(one)));
  }

  #item(one) {
    const details = h(
      "details",
      { class: "rejected", ontoggle: () => (details.open ? this.#open.add(one.id) : this.#open.delete(one.id)) },
      h(
        "summary",
        {},
        h("span", { class: "code" }, one.code),
        h("span", { class: "reason" }, one.message),
        h("time", { datetime: new Date(one.received_at * 1000).toISOString(), title: `${UTC.instantText(one.received_at)} UTC` }, agoText(one.received_at)),
      ),
      this.#form(one),
    );
    return h("li", { "data-id": one.id }, details);
  }

  #form(one) {
    const status = h("p", { class: "field-error", role: "alert" });
    const id = `body-${one.id}`;
    const binary = one.body === null || one.body === undefined;
    const shown = pretty(one.body ?? one.body_base64);
    const rows = Math.min(14, shown.split("\n").reduce((sum, line) => sum + 1 + Math.floor(line.length / 100), 1));
    const text = h("textarea", { id, class: "input mono", rows, spellcheck: "false", readonly: binary }, shown);
    const retry = h("button", { type: "submit", class: "button primary", disabled: binary }, icon("retry"), "Send again");
    const drop = h("button", { type: "button", class: "button danger" }, icon("trash"), "Drop");
    const form = h(
      "form",
      { class: "rejected-form" },
      h("p", { class: "hint" }, `${sourceText(one.source)}, position ${one.position}${one.field ? ` · field ${one.field}` : ""}`),
      h("label", { for: id }, binary ? "The event, in base64: it is not UTF-8 text" : "The event, to correct"),
      text,
      status,
      h("div", { class: "buttons" }, retry, drop),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act(one, status, { path: "/retry", method: "POST", body: text.value, headers: { "Content-Type": "application/json" } }, "is counted");
    });
    drop.addEventListener("click", () => {
      if (drop.dataset.sure) return this.#act(one, status, { path: "", method: "DELETE" }, "is dropped");
      drop.dataset.sure = "yes";
      drop.lastChild.textContent = "Drop for good?";
    });
    return form;
  }

  async #act(one, status, { path, ...options }, done) {
    status.textContent = "";
    try {
      await request(`/rejected/${encodeURIComponent(one.id)}${path}`, options);
      this.#open.delete(one.id);
      announce(`The event ${done}`);
      await this.load();
      this.node.querySelector("summary, h2").focus?.();
    } catch (error) {
      status.textContent = messageOf(error);
    }
  }
}

function messageOf(error) {
  const reasons = (error.problem?.not_accepted ?? []).map((one) => one.message).filter(Boolean);
  return reasons.length ? reasons.join("; ") : error.message;
}

function pretty(text) {
  try {
    const object = JSON.parse(text);
    // Only what JSON.parse keeps whole may be laid out anew: a number beyond 2^53, or a repeated key, would change.
    return JSON.stringify(object) === text.replaceAll(/\s*([{}:,])\s*/g, "$1") ? JSON.stringify(object, null, 2) : text;
  } catch {
    return text;
  }
}

const sourceText = (source) => (typeof source === "string" ? source : [source?.kind, source?.value ?? source?.name].filter(Boolean).join(" ")) || "Without a name";
