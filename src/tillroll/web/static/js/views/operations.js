// Operations: what became of the events that came in, what was rejected and why, and what the last audit found.

import { getJson, request } from "../api.js";
import { legend } from "../charts/bars.js";
import { Columns } from "../charts/columns.js";
import { announce, h, icon } from "../dom.js";
import { plural, whole } from "../format.js";
import { RejectedList } from "../parts/rejected.js";
import { statesTable } from "../parts/states.js";
import { modelTable } from "../parts/table.js";
import { DAY, HOUR, UTC, agoText, floor, now } from "../time.js";
import { View, rebuild } from "./view.js";

const OUTCOMES = [
  ["accepted", "Accepted"],
  ["duplicates", "Duplicates"],
  ["conflicts", "Conflicts"],
  ["rejected", "Rejected"],
];
const MINUTE = 60;
const QUARTER = 15 * MINUTE;

export class Operations extends View {
  #columns = new Columns({ size: "low" });
  #rejected = new RejectedList();
  #cards = h("div");
  #audit = h("div");
  #head = h("div");
  #table = h("div");
  #reports = h("div");
  #look = 0; // while an audit runs
  #span = DAY;
  #timer;

  constructor(page) {
    super(page);
    document.title = "Operations · Tillroll";
    this.body.append(h("h1", {}, "Operations"));
    // Rejections do not move the counts, so no tick tells of them; while somebody looks, once a minute does.
    this.#timer = setInterval(() => document.visibilityState === "visible" && this.refresh(), 60_000);
  }

  destroy() {
    super.destroy();
    clearInterval(this.#timer);
    clearTimeout(this.#look);
    this.#columns.destroy();
  }

  async load(_, signal) {
    const [status, states] = await Promise.all([getJson("/status", { signal }), getJson("/reports", { signal }), this.#rejected.load(signal)]);
    if (!this.#cards.isConnected) this.#frame();
    rebuild(this.#cards, cards(status));
    this.#draw(status.series ?? []);
    this.#showAudit(status);
    rebuild(this.#reports, h("section", { class: "card table-card" }, h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Reports and how far they are counted"), h("p", { class: "sub" }, `The journal is at ${whole(status.journal_position)}, folded to ${whole(status.folded_position)}. `, h("a", { href: "#/reports" }, "Make or drop a report")))), statesTable(states)));
  }

  #frame() {
    rebuild(
      this.body,
      h("div", {}, h("h1", {}, "Operations"), h("p", { class: "lead" }, "What became of the events that came in.")),
      this.#cards,
      h("section", { class: "card" }, this.#head, this.#columns.node, h("details", { class: "behind" }, h("summary", {}, "As a table"), this.#table)),
      this.#rejected.node,
      this.#audit,
      this.#reports,
    );
  }

  #showAudit(status) {
    rebuild(this.#audit, audit(status, () => this.#startAudit()));
    clearTimeout(this.#look);
    if (status.audit_running) this.#look = setTimeout(async () => this.#showAudit(await getJson("/status")), 500);
  }

  async #startAudit() {
    await request("/audit", { method: "POST" });
    announce("The audit is under way");
    this.#showAudit(await getJson("/status"));
  }

  #draw(series) {
    const [window, to] = this.#span === DAY ? [QUARTER, floor(now(), QUARTER) + QUARTER] : [MINUTE, floor(now(), MINUTE) + MINUTE];
    const model = outcomeModel(series, window, to - this.#span, to);
    const span = (seconds, label) =>
      h(
        "label",
        { class: "segmented-item" },
        h("input", { type: "radio", name: "span", id: `span-${seconds}`, class: "sr", checked: this.#span === seconds, onchange: () => this.#choose(seconds, series) }),
        h("span", {}, label),
      );
    const choice = h("fieldset", { class: "segmented small" }, h("legend", { class: "sr" }, "Span"), span(HOUR, "Last hour"), span(DAY, "24 hours"));
    rebuild(
      this.#head,
      h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Outcomes over time"), h("p", { class: "sub" }, `Events per ${model.per}, as this server saw them (UTC)`)), choice),
      legend(model.series),
    );
    this.#columns.draw(model);
    this.#table.replaceChildren(modelTable(model));
  }

  #choose(seconds, series) {
    this.#span = seconds;
    this.#draw(series);
  }
}

/** Return the chart of [minute, accepted, duplicates, conflicts, rejected] rows. */
function outcomeModel(rows, window, from, to) {
  const columns = Array.from({ length: (to - from) / window }, (_, index) => ({ start: from + index * window, from: from + index * window, to: from + (index + 1) * window, open: false, part: false }));
  const series = OUTCOMES.map(([, label], place) => ({ label, color: `outcome-${place + 1}`, values: new Array(columns.length).fill(0) }));
  for (const [minute, ...counts] of rows) {
    const index = Math.floor((minute * MINUTE - from) / window);
    if (index < 0 || index >= columns.length) continue;
    for (const [place, count] of counts.entries()) series[place].values[index] += count;
  }
  const per = window === MINUTE ? "minute" : "quarter of an hour";
  const clock = (index) => UTC.text("clock", columns[index].start);
  return {
    columns,
    series,
    per,
    measure: "events",
    label: `Events by outcome per ${per}`,
    text: (index) => `${UTC.text("dateLong", columns[index].start)}, ${clock(index)}–${UTC.text("clock", columns[index].to)}`,
    tick: (index, first) => (first ? `${clock(index)}\n${UTC.text("dateShort", columns[index].start)}` : clock(index)),
    ticks: (room) => {
      const step = [1, 2, 4, 5, 10, 12, 20, 24].find((one) => columns.length / one <= room) ?? 48;
      return columns.map((_, index) => index).filter((index) => (columns[index].start / window) % step === 0);
    },
  };
}

function cards({ counters = /** @type {Record<string, number>} */ ({}), rejected, events, visible_position: visible, journal_position: journaled }) {
  const card = (title, count, note) => h("li", { class: "card span" }, h("h2", {}, title), h("p", { class: "big num" }, whole(count ?? 0)), h("p", { class: "against" }, note));
  const behind = journaled > visible ? `${whole(journaled - visible)} behind the journal` : "All of them are in the reports";
  return h(
    "ul",
    { class: "cards", "aria-label": "Outcomes" },
    card("Accepted", events ?? counters.accepted, behind),
    card("Duplicates", counters.duplicates, "Recognised since this server started"),
    card("Conflicts", counters.conflicts, "Same name, other content, since the start"),
    card("Rejected, waiting", rejected ?? counters.rejected, "Kept until corrected or dropped"),
  );
}

/** Return what the last audit found, or how far the one under way is, with a button that starts one. */
function audit({ audit_running: running, audit_progress: progress, audit_error: failed, last_audit: last }, start) {
  const button = h("button", { type: "button", class: "button", id: "start-audit", disabled: running }, icon("check"), running ? "Auditing…" : "Audit now");
  button.addEventListener("click", async () => {
    button.setAttribute("aria-busy", "true");
    try {
      await start();
    } catch (error) {
      button.removeAttribute("aria-busy");
      button.after(h("span", { class: "field-error", role: "alert" }, error.message));
    }
  });
  const section = (kind, title, ...text) =>
    h("section", { class: `card audit ${kind}` }, icon(kind === "good" ? "check" : kind === "bad" ? "warning" : "info"), h("div", { class: "audit-text" }, h("h2", {}, title), h("p", {}, ...text), running && progress ? h("progress", { max: Math.max(1, progress.of), value: progress.done, "aria-label": "Audit" }) : null), button);
  if (running) return section("none", "An audit is under way", progress ? `${whole(progress.done)} of ${plural(progress.of, "event")} counted again.` : "It counts every purchase again from the journal and compares.");
  if (failed) return section("bad", "The last audit could not be made", failed);
  if (!last) return section("none", "No audit yet", "An audit counts every purchase again from the journal, beside traffic, and compares every number.");
  const when = last.at ? `${agoText(last.at)}, ${UTC.instantText(last.at)} UTC. ` : "";
  const counted = `${plural(last.events, "event")} counted again, ${plural(last.datapoints, "datapoint")} compared. `;
  const wrong = last.differences_total ?? last.differences?.length ?? 0;
  if (!wrong) return section("good", "The last audit found every count exact", when, counted);
  const first = (last.differences ?? []).slice(0, 3).map((one) => one.message ?? one.subject).join("; ");
  return section("bad", `The last audit found ${plural(wrong, "difference")}`, when, counted, first);
}
