// The overview: what was sold, when, how it was paid and with whom, each number a link to the report behind it.

import { everything, page as onePage, reportPath } from "../api.js";
import { bars, legend } from "../charts/bars.js";
import { Columns } from "../charts/columns.js";
import { heatmap, rhythm } from "../charts/heatmap.js";
import { colorName } from "../charts/palette.js";
import { h } from "../dom.js";
import { BRACKETS, METHODS, whole, word } from "../format.js";
import { barRows, findReport, grainOf, parseRow, timeModel } from "../model.js";
import { rangePicker } from "../parts/range.js";
import { modelTable } from "../parts/table.js";
import { format, resolveRange } from "../state.js";
import { DAY, HOUR, WEEK, dayOf, dayText, isoDay, mondayOf, now, rangeText, weekdayOf } from "../time.js";
import { cards } from "./spans.js";
import { View, nothingYet, rebuild, staleNote } from "./view.js";

const RHYTHM_WEEKS_LEAST = 4;
const RHYTHM_WEEKS_MOST = 12;
const BUSIEST = 10;

export class Overview extends View {
  #columns = new Columns({ size: "tall", zoom: (from, to) => this.page.go({ ...this.state, range: "custom", from, to }) });
  #parts = Object.fromEntries(["cards", "range", "columns", "merchants", "rhythm", "methods"].map((name) => [name, h("div", { class: `part-${name}` })]));
  #sources;

  constructor(page) {
    super(page);
    const { reports } = page;
    this.#sources = {
      hours: findReport(reports, ["hour", "bracket"], true),
      methods: findReport(reports, ["hour", "bracket", "method"], true),
      methodsOfAll: findReport(reports, ["bracket", "method"], false),
      merchants: findReport(reports, ["merchant"], true),
      merchantsOfAll: findReport(reports, ["merchant"], false),
    };
    document.title = "Overview · Tillroll";
    this.body.append(h("h1", {}, "Overview"));
  }

  destroy() {
    super.destroy();
    this.#columns.destroy();
  }

  async load(state, signal) {
    const calendar = await this.page.calendar();
    if (!calendar.days.length) return rebuild(this.body, h("h1", {}, "Overview"), nothingYet());
    const range = resolveRange(state, calendar, DAY);
    const [recent, columns, hours, methods, merchants] = await Promise.all([
      this.#recent(calendar, signal),
      this.#stack(range, signal),
      this.#hours(range, calendar, signal),
      this.#methods(range, signal),
      this.#merchants(range, signal),
    ]);
    this.#render({ state, calendar, range, recent, columns, hours, methods, merchants });
  }

  /** The hours of this week and the last, for the cards. */
  async #recent(calendar, signal) {
    const from = mondayOf(calendar.end - DAY) - WEEK;
    return this.#ask(this.#sources.hours, ["hour"], { from: isoDay(from) }, signal);
  }

  async #stack(range, signal) {
    const grain = grainOf(this.#sources.hours, null, range);
    const rows = await this.#ask(this.#sources.hours, [grain, "bracket"], range.bounds, signal);
    return timeModel(rows, { stack: "bracket", from: range.from, to: range.to, grain });
  }

  /** The rhythm of the last weeks of the range, of four at least: whole weeks and days, so not of today. */
  async #hours(range, calendar, signal) {
    const to = Math.max(Math.min(dayOf(range.to), dayOf(now())), calendar.first + DAY);
    const weeks = Math.min(RHYTHM_WEEKS_MOST, Math.max(RHYTHM_WEEKS_LEAST, Math.floor((to - range.from) / WEEK)));
    const from = Math.max(calendar.first, to - weeks * WEEK);
    const bounds = { from: isoDay(from), to: isoDay(to) };
    return { from, to, rows: await this.#ask(this.#sources.hours, ["hour"], bounds, signal) };
  }

  async #methods(range, signal) {
    const report = range.range === "all" ? this.#sources.methodsOfAll : this.#sources.methods;
    return { report, rows: await this.#ask(report, ["bracket", "method"], range.bounds, signal) };
  }

  async #merchants(range, signal) {
    const report = range.range === "all" ? this.#sources.merchantsOfAll : this.#sources.merchants;
    const answer = await onePage(reportPath(report.name, { ...range.bounds, by: ["merchant"], order: "-events", limit: BUSIEST }), { signal });
    return { report, total: answer.datapoints, rows: answer.rows.map((row) => parseRow(row, ["merchant"])) };
  }

  async #ask(report, by, bounds, signal) {
    const whole = by.join() === report.dimensions.join();
    const rows = await everything(report.name, { ...bounds, by: whole ? undefined : by }, { signal });
    return rows.map((row) => parseRow(row, by));
  }

  #render(data) {
    const { state, calendar, range } = data;
    if (!this.#parts.columns.isConnected) this.#frame();
    rebuild(this.#parts.cards, cards(data.recent, calendar, this.#sources.hours.name));
    const shown = JSON.stringify([state, calendar.stale]);
    if (this.shown !== shown) rebuild(this.#parts.range, rangePicker(range, calendar, (change) => this.page.go({ ...state, ...change })), staleNote(calendar, dayText(calendar.last)));
    this.shown = shown;
    const link = (name, more = {}) => format({ view: name, range: range.range, from: range.from, to: range.to, ...more });
    this.#renderColumns(data.columns, link(this.#sources.hours.name), range);
    rebuild(this.#parts.rhythm, this.#rhythm(data.hours));
    rebuild(this.#parts.methods, this.#share(data.methods, link));
    rebuild(this.#parts.merchants, this.#busiest(data.merchants, link));
  }

  #frame() {
    const parts = this.#parts;
    this.#chartHead = h("div", { class: "card-head" });
    this.#chartTable = h("div", { class: "table-scroll", tabindex: 0, role: "region", "aria-label": "Purchases over time, as a table" });
    parts.columns.replaceChildren(
      h("section", { class: "card" }, this.#chartHead, this.#columns.node, h("details", { class: "behind" }, h("summary", {}, "As a table"), this.#chartTable)),
    );
    rebuild(this.body, h("div", {}, h("h1", {}, "Overview"), h("p", { class: "lead" }, "Purchases, counted exactly. All times are UTC.")), parts.cards, parts.range, h("div", { class: "grid" }, parts.columns, parts.merchants, parts.rhythm, parts.methods));
  }

  #chartHead;
  #chartTable;

  #renderColumns(model, href, range) {
    this.#chartHead.replaceChildren(
      h("div", {}, h("h2", {}, `Purchases per ${model.per}`), h("p", { class: "sub" }, h("a", { href, class: "num" }, whole(model.total)), ` in ${rangeText(range.from, range.to)}`)),
      legend(BRACKETS.map((value) => ({ label: word("bracket", value), color: colorName(value) }))),
    );
    this.#columns.draw(model);
    this.#chartTable.replaceChildren(modelTable(model));
  }

  #rhythm({ from, to, rows }) {
    const name = this.#sources.hours.name;
    const day = (weekday) => {
      let at = to - DAY;
      while (weekdayOf(at) !== weekday) at -= DAY;
      return at;
    };
    const caption = `Average purchases in each hour of the week, ${rangeText(from, to)}`;
    const map = heatmap(rhythm(rows, from, to), {
      caption,
      href: (weekday, hour) => format({ view: name, range: "custom", from: day(weekday) + hour * HOUR, to: day(weekday) + (hour + 1) * HOUR }),
    });
    const href = format({ view: name, range: "custom", from, to });
    return h("section", { class: "card" }, h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Rhythm of the week"), h("p", { class: "sub" }, "Average an hour (UTC), ", h("a", { href }, rangeText(from, to))))), map);
  }

  #share({ report, rows }, link) {
    const name = report.name;
    const shown = barRows(rows, { by: "bracket", parts: "method", order: BRACKETS, link: (filters) => link(name, { filters }) });
    return h(
      "section",
      { class: "card" },
      h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "How each amount is paid"), h("p", { class: "sub" }, "Share of the payment methods by bracket"))),
      legend(METHODS.map((value) => ({ label: word("method", value), color: colorName(value) }))),
      shown.length ? bars(shown, { share: true, label: "Share of the payment methods by bracket" }) : h("p", { class: "nothing" }, "No purchases in this range."),
    );
  }

  #busiest({ report, total, rows }, link) {
    const shown = rows.map((row) => ({
      label: row.merchant,
      href: link(report.name, { filters: { merchant: [row.merchant] } }),
      parts: [{ label: "Purchases", value: row.events, color: "bracket-3" }],
    }));
    return h(
      "section",
      { class: "card" },
      h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Busiest merchants"), h("p", { class: "sub" }, "Of ", h("a", { href: link(report.name), class: "num" }, whole(total)), " with purchases"))),
      shown.length ? bars(shown, { label: "Busiest merchants", names: true }) : h("p", { class: "nothing" }, "No purchases in this range."),
    );
  }
}
