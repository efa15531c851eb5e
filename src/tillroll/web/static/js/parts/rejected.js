// The rejected events with their reasons; who may send can correct one and send it again, or drop it.

import { getJson, request } from "../api.js";
import { announce, h, icon } from "../dom.js";
import { plural, whole } from "../format.js";
import { sure } from "./states.js";
import { choice } from "./tools.js";
import { UTC, agoText } from "../time.js";

const LISTED = 50;

export class RejectedList {
  #items = h("ul", { class: "rejected-list" });
  #note = h("p", { class: "sub" });
  #more = h("button", { type: "button", class: "button", id: "more-rejected", onclick: () => this.#extend() }, "Show more");
  #open = new Set(); // ids that somebody has open: a refresh must not take their text away
  #last = null;
  #pages = 1;
  #tools = h("div", { class: "reasons" });
  #which = { code: "", source: "" }; // what the list is narrowed to
  #counted = "";

  constructor() {
    this.node = h("section", { class: "card", "aria-labelledby": "rejected-title" }, h("div", { class: "card-head" }, h("div", {}, h("h2", { id: "rejected-title" }, "Rejected events"), this.#note)), this.#tools, this.#items, this.#more);
  }

  async load(signal) {
    const found = [];
    const which = this.#which;
    const summary = getJson("/rejected/summary", { signal });
    let more = true;
    for (let page = 0; page < this.#pages && more; page += 1) {
      const part = await this.#page(found.at(-1)?.id, signal);
      found.push(...part);
      more = part.length > 0;
    }
    const counted = await summary;
    if (which === this.#which) this.#show(found, more, counted); // else something else was chosen meanwhile
  }

  #page(after, signal) {
    const query = new URLSearchParams({ limit: String(LISTED), ...this.#chosen(), ...(after ? { after } : {}) });
    return getJson(`/rejected?${query}`, { signal });
  }

  async #extend() {
    this.#pages += 1;
    await this.load();
  }

  #chosen = () => Object.fromEntries(Object.entries(this.#which).filter(([, value]) => value));

  async #choose(part) {
    this.#which = { ...this.#which, ...part };
    this.#pages = 1;
    await this.load();
  }

  /** Show how many there are of each reason and source, to choose by, and what may be done with all of the chosen. */
  #summarize({ rejected, codes, sources }) {
    const counted = JSON.stringify([codes, sources, this.#which]);
    if (counted === this.#counted) return;
    this.#counted = counted;
    const kept = ({ source, code }) => sources.find((one) => one.value === source)?.codes[code] ?? (source ? sources.find((one) => one.value === source)?.rejected : codes[code]);
    const many = (this.#which.code || this.#which.source ? kept(this.#which) : rejected) ?? 0;
    const reasons = [["", `Any (${whole(rejected)})`], ...Object.entries(codes).map(([code, count]) => [code, `${code} (${whole(count)})`])];
    const named = sources.filter((one) => one.value).map((one) => [one.value, `${one.kind} ${one.value} (${whole(one.rejected)})`]);
    const focused = document.activeElement?.id;
    this.#tools.replaceChildren(
      ...(rejected
        ? [
            choice("reason", "Reason", reasons, this.#which.code, (code) => this.#choose({ code })),
            named.length ? choice("source", "Source", [["", "Any"], ...named], this.#which.source, (source) => this.#choose({ source })) : "",
            sure(`Send all ${whole(many)} again`, "retry-all", () => this.#retryAll(), "plain"),
            sure(`Drop all ${whole(many)}`, "drop-all", () => this.#dropAll()),
          ]
        : []),
    );
    if (focused === "reason" || focused === "source") document.getElementById(focused)?.focus();
  }

  /** Send the chosen again as they were, for when the reason has passed. */
  async #retryAll() {
    let after = null;
    const sums = { accepted: 0, duplicates: 0, still_rejected: 0 };
    do {
      const query = new URLSearchParams({ ...this.#chosen(), ...(after ? { after } : {}) });
      const retried = await getJson(`/rejected/retry?${query}`, { method: "POST" });
      for (const name of Object.keys(sums)) sums[name] += retried[name];
      ({ after } = retried);
    } while (after);
    this.#done(`${plural(sums.accepted, "event")} counted, ${whole(sums.duplicates)} already there, ${whole(sums.still_rejected)} still rejected.`);
    await this.load();
  }

  /** Drop the chosen that had come when it was asked for: what comes meanwhile stays. */
  async #dropAll() {
    const query = new URLSearchParams({ ...this.#chosen(), before: String(Math.ceil(Date.now() / 1000)) });
    let dropped = 0;
    for (let more = 1; more; dropped += more) more = (await getJson(`/rejected?${query}`, { method: "DELETE" })).dropped;
    this.#done(`${plural(dropped, "event")} dropped.`);
    this.#which = { code: "", source: "" };
    await this.load();
  }

  #done(text) {
    announce(text);
    this.#said = text;
  }

  #said = "";

  #show(found, more, summary) {
    this.#summarize(summary);
    const kept = new Map([...this.#items.children].filter((item) => this.#open.has(item.dataset.id)).map((item) => [item.dataset.id, item]));
    const ids = found.map((one) => one.id).join();
    this.#note.textContent = found.length ? `${plural(found.length, "event")}${found.length < summary.rejected ? ` of ${whole(summary.rejected)}` : ""}, oldest first. Each stays until it is corrected or dropped. ${this.#said}` : `No ${summary.rejected ? "matching" : "rejected"} events. ${this.#said}`.trim();
    this.#more.hidden = !more || found.length >= summary.rejected;
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
      h("label", { for: id }, binary ? "Event in base64 (not UTF-8 text)" : "Event to correct"),
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
      drop.lastChild.textContent = "Drop permanently?";
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

const sourceText = (source) => (typeof source === "string" ? source : [source?.kind, source?.value ?? source?.name].filter(Boolean).join(" ")) || "Unnamed";
