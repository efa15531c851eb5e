// Operations: what became of the events that came in, what was rejected and why, and what the last audit found.

import { getJson, request } from "../api.js";
import { legend } from "../charts/bars.js";
import { Columns } from "../charts/columns.js";
import { announce, h, icon } from "../dom.js";
import { percent, plural, whole } from "../format.js";
import { RejectedList } from "../parts/rejected.js";
import { statesTable } from "../parts/states.js";
import { modelTable } from "../parts/table.js";
import { choice, segmented } from "../parts/tools.js";
import { DAY, UTC, agoText, floor, now } from "../time.js";
import { View, rebuild } from "./view.js";

const OUTCOMES = [
  ["accepted", "Accepted"],
  ["duplicates", "Duplicates"],
  ["conflicts", "Conflicts"],
  ["rejected", "Rejected"],
];
// What can be looked at: how it is said, how long a window is, how many windows, and what the API calls it.
const SPANS = {
  hour: { label: "Last hour", window: 60, count: 60, by: "minute", per: "minute" },
  day: { label: "24 hours", window: 900, count: 96, by: "quarter", per: "quarter of an hour" },
  days: { label: "90 days", window: DAY, count: 90, by: "day", per: "day" },
};
const WAYS = { http: "HTTP", import: "Imports", queue: "Queue" };

export class Operations extends View {
  #columns = new Columns({ size: "low" });
  #rejected = new RejectedList();
  #cards = h("div");
  #audit = h("div");
  #head = h("div");
  #table = h("div");
  #reports = h("div");
  #look = 0; // while an audit runs
  #span = "day";
  #way = "";
  #imports = h("div");
  #fields = h("div");
  #queue = h("div");
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
    const get = (path) => getJson(path, { signal });
    const [status, states, rows, day, runs, fields, queue] = await Promise.all([
      get("/status"),
      get("/reports"),
      get(`/outcomes?by=${SPANS[this.#span].by}`),
      get("/outcomes?by=quarter"),
      get("/imports?limit=20"),
      get("/fields"),
      get("/queue"),
      this.#rejected.load(signal),
    ]);
    if (!this.#cards.isConnected) this.#frame();
    rebuild(this.#cards, cards(status, day));
    this.#draw(rows);
    this.#showAudit(status);
    rebuild(this.#queue, queueCard(queue, status));
    rebuild(this.#imports, importsCard(runs));
    rebuild(this.#fields, fieldsCard(fields));
    rebuild(this.#reports, h("section", { class: "card table-card" }, h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Reports and their progress"), h("p", { class: "sub" }, `Journal position ${whole(status.journal_position)}, folded to ${whole(status.folded_position)}. `, h("a", { href: "#/reports" }, "Create or drop a report")))), statesTable(states)));
  }

  #frame() {
    rebuild(
      this.body,
      h("div", {}, h("h1", {}, "Operations"), h("p", { class: "lead" }, "Outcomes of incoming events.")),
      this.#cards,
      h("section", { class: "card" }, this.#head, this.#columns.node, h("details", { class: "behind" }, h("summary", {}, "As a table"), this.#table)),
      this.#queue,
      this.#rejected.node,
      this.#audit,
      this.#reports,
      this.#imports,
      this.#fields,
    );
  }

  #showAudit(status) {
    rebuild(this.#audit, audit(status, () => this.#startAudit()));
    clearTimeout(this.#look);
    if (status.audit_running) this.#look = setTimeout(async () => this.#showAudit(await getJson("/status")), 500);
  }

  async #startAudit() {
    await request("/audit", { method: "POST" });
    announce("Audit started");
    this.#showAudit(await getJson("/status"));
  }

  #draw(rows) {
    const chosen = SPANS[this.#span];
    const to = floor(now(), chosen.window) + chosen.window;
    const ways = [...new Set(rows.map((row) => row.way))].sort();
    if (this.#way && !ways.includes(this.#way)) ways.push(this.#way);
    const model = outcomeModel(this.#way ? rows.filter((row) => row.way === this.#way) : rows, chosen, to - chosen.count * chosen.window, to);
    const spans = segmented("Span", "span", Object.entries(SPANS).map(([name, { label }]) => [name, label]), this.#span, (name) => this.#choose(name));
    spans.classList.add("small");
    const way = ways.length > 1 || this.#way ? choice("way", "Input", [["", "All inputs"], ...ways.map((name) => [name, WAYS[name] ?? name])], this.#way, (name) => this.#narrow(name, rows)) : null;
    const said = ways.length === 1 ? `, all by ${WAYS[ways[0]] ?? ways[0]}` : "";
    rebuild(this.#head, h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Outcomes over time"), h("p", { class: "sub" }, `Events per ${chosen.per} (UTC)${said}`)), h("div", { class: "tools-row" }, way, spans)), legend(model.series));
    this.#columns.draw(model);
    this.#table.replaceChildren(modelTable(model));
  }

  #narrow(way, rows) {
    this.#way = way;
    this.#draw(rows);
  }

  async #choose(span) {
    this.#span = span;
    await this.refresh();
  }
}

/** Return the chart of the rows of `GET /outcomes`. */
function outcomeModel(rows, { window, per }, from, to) {
  const columns = Array.from({ length: (to - from) / window }, (_, index) => ({ start: from + index * window, from: from + index * window, to: from + (index + 1) * window, open: false, part: false }));
  const series = OUTCOMES.map(([, label], place) => ({ label, color: `outcome-${place + 1}`, values: new Array(columns.length).fill(0) }));
  for (const row of rows) {
    const index = Math.floor((row.from - from) / window);
    if (index < 0 || index >= columns.length) continue;
    for (const [place, [outcome]] of OUTCOMES.entries()) series[place].values[index] += row[outcome];
  }
  const clock = (index) => UTC.text("clock", columns[index].start);
  const day = (index) => UTC.text("dateShort", columns[index].start);
  const long = window === DAY;
  return {
    columns,
    series,
    per,
    measure: "events",
    label: `Events by outcome per ${per}`,
    text: (index) => (long ? UTC.text("dateLong", columns[index].start) : `${UTC.text("dateLong", columns[index].start)}, ${clock(index)}–${UTC.text("clock", columns[index].to)}`),
    tick: (index, first) => (long ? day(index) : first ? `${clock(index)}\n${day(index)}` : clock(index)),
    ticks: (room) => {
      const step = (long ? [7, 14, 28] : [1, 2, 4, 5, 10, 12, 16, 20, 24, 32]).find((one) => columns.length / one <= room * 0.7) ?? 48;
      return columns.map((_, index) => index).filter((index) => (columns[index].start / window) % step === 0);
    },
  };
}

function cards({ rejected, events, visible_position: visible, journal_position: journaled }, day) {
  const card = (title, count, note) => h("li", { class: "card span" }, h("h2", {}, title), h("p", { class: "big num" }, count === null ? "–" : whole(count)), h("p", { class: "against" }, note));
  const lately = (outcome) => day.reduce((sum, row) => sum + row[outcome], 0);
  const behind = journaled > visible ? `${whole(journaled - visible)} behind the journal` : "All of them are in the reports";
  return h(
    "ul",
    { class: "cards", "aria-label": "Outcomes" },
    card("Accepted", events ?? lately("accepted"), events === null ? "In the last 24 hours" : behind),
    card("Duplicates", lately("duplicates"), "Recognised in the last 24 hours"),
    card("Conflicts", lately("conflicts"), "Same name, other content, in the last 24 hours"),
    card("Rejected, pending", rejected, "Kept until corrected or dropped"),
  );
}

/** Return how the queue stands; nothing where the server has none. */
function queueCard(found, { lag_s: lag }) {
  if (!found) return null;
  const depth = (title, one, note) => h("div", {}, h("dt", {}, title), h("dd", { class: "num" }, one === null ? "unknown" : whole(one)), h("dd", { class: "sub" }, note));
  return h(
    "section",
    { class: "card queue", "aria-labelledby": "queue-title" },
    h("h2", { id: "queue-title" }, "Queue"),
    found.error ? h("p", { class: "note" }, icon("warning"), found.error) : null,
    h(
      "dl",
      {},
      depth("Waiting", found.queue?.waiting ?? null, "messages, approximately"),
      depth("In flight", found.queue?.in_flight ?? null, "received, not deleted yet"),
      depth("Dead letters", found.dead_letters?.waiting ?? null, "rejected messages, with the reason"),
      depth("Lag", Math.round(lag), "seconds the reports are behind the journal"),
    ),
  );
}

const STOPPED_S = 60;

/** Return the list of imports. */
function importsCard(runs) {
  if (!runs.length) return h("section", { class: "card" }, h("h2", {}, "Imports"), h("p", { class: "sub" }, "None yet. Runs of ", h("code", {}, "tillroll import"), " into a directory are listed here; runs into tables on AWS are not."));
  const state = (run) => (run.done ? "done" : now() - run.noted_at < STOPPED_S ? "running" : "stopped: import it again to continue");
  const count = (value) => h("td", { class: "num" }, whole(value));
  const row = (run) => h("tr", {}, h("td", { class: "name" }, run.name), h("td", { title: `${UTC.instantText(run.began_at)} UTC` }, agoText(run.began_at)), h("td", {}, state(run)), ...OUTCOMES.map(([name]) => count(run[name])));
  return h(
    "section",
    { class: "card table-card" },
    h("h2", {}, "Imports"),
    h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Imports" }, h("table", { class: "data imports" }, h("caption", { class: "sr" }, "Imports, newest first"), h("thead", {}, h("tr", {}, ...["Name", "Started", "State"].map((title) => h("th", { scope: "col" }, title)), ...OUTCOMES.map(([, label]) => h("th", { scope: "col", class: "num" }, label)))), h("tbody", {}, ...runs.map(row)))),
  );
}

/** Return which fields of events are kept, and which others are seen. */
function fieldsCard({ kept, not_kept: others, looked_at: looked }) {
  const listed = (title, rows, texts, heads) =>
    rows.length ? h("div", { class: "wide", tabindex: 0, role: "region", "aria-label": title }, h("table", { class: "data fields" }, h("caption", {}, title), h("thead", {}, h("tr", {}, ...heads.map((head, index) => h("th", { scope: "col", class: index ? "num" : null }, head)))), h("tbody", {}, ...rows.map((row) => h("tr", {}, ...texts(row).map((text, index) => h("td", { class: index ? "num" : "name" }, text))))))) : null;
  const types = (found) => Object.keys(found).join(", ");
  return h(
    "section",
    { class: "card table-card", "aria-labelledby": "fields-title" },
    h("h2", { id: "fields-title" }, "Other fields"),
    h("p", { class: "sub" }, kept.length || others.length ? `Names only, never values. The setting events.keep lists the kept fields. The others are sampled: ${plural(looked, "event")}.` : "Events have no other fields. Fields listed in the setting events.keep are kept with the event."),
    listed("Kept", kept, (one) => [one.name, `${one.distinct_is_exact ? "" : "about "}${whole(one.distinct)}`, whole(one.events), percent(one.absent_share)], ["Field", "Values", "Events", "Absent"]),
    listed("Not kept", others.slice(0, 20), (one) => [one.name, types(one.types), percent(one.share)], ["Field", "JSON type", "Share of events"]),
    others.length > 20 ? h("p", { class: "sub" }, `${plural(others.length - 20, "more field")} in `, h("code", {}, "tillroll fields"), ".") : null,
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
  if (running) return section("none", "Audit in progress", progress ? `${whole(progress.done)} of ${plural(progress.of, "event")} counted again.` : "It counts every purchase again from the journal and compares every number.");
  if (failed) return section("bad", "The last audit failed", failed);
  if (!last) return section("none", "No audit yet", "An audit counts every purchase again from the journal, while traffic goes on, and compares every number.");
  const when = last.at ? `${agoText(last.at)}, ${UTC.instantText(last.at)} UTC. ` : "";
  const counted = `${plural(last.events, "event")} counted again, ${plural(last.datapoints, "datapoint")} compared. `;
  const wrong = last.differences_total ?? last.differences?.length ?? 0;
  if (!wrong) return section("good", "The last audit found no differences", when, counted);
  const first = (last.differences ?? []).slice(0, 3).map((one) => one.message ?? one.subject).join("; ");
  return section("bad", `The last audit found ${plural(wrong, "difference")}`, when, counted, first);
}
