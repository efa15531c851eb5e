// The overview: what was sold, when, how it was paid and with whom, each number a link to the report behind it.

import { everything } from "../api.js";
import { bars, legend } from "../charts/bars.js";
import { Columns } from "../charts/columns.js";
import { heatmap, rhythm } from "../charts/heatmap.js";
import { h, icon } from "../dom.js";
import { MEASURES, partTitle, whole } from "../format.js";
import { modelTable } from "../parts/table.js";
import { compareTool, measureTool, rangeTool, toolbar, zoneTool } from "../parts/tools.js";
import { barsOf, overTime, planOf } from "../question.js";
import { isClosed, leanest, parseRow } from "../reports.js";
import { presetTitle } from "../span.js";
import { format } from "../state.js";
import { DAY, HOUR, WEEK, floor, weekdayOf } from "../time.js";
import { cards, cardsSince } from "./spans.js";
import { View, nothingYet, rebuild } from "./view.js";

const RHYTHM_WEEKS_LEAST = 4;
const RHYTHM_WEEKS_MOST = 12;

export class Overview extends View {
  #columns = new Columns({ size: "tall", zoom: (from, to) => this.#into(from, to), enter: ({ from, to }) => this.#into(from, to) });
  #parts = Object.fromEntries(["cards", "range", "columns", "merchants", "rhythm", "methods"].map((name) => [name, h("div", { class: `part-${name}` })]));
  #sources;
  #shown = "";
  #plan = null;

  constructor(page) {
    super(page);
    const own = page.reports.filter((report) => !report.own);
    this.#sources = {
      hours: leanest(own, [], { timed: true, anyZone: true }),
      shares: own.find((report) => !report.window && report.keys.every(isClosed) && report.keys.length > 1),
      names: own.find((report) => report.window && report.keys.some((key) => !isClosed(key))),
    };
    document.title = "Overview · Tillroll";
    this.body.append(h("h1", {}, "Overview"));
  }

  destroy() {
    super.destroy();
    this.#columns.destroy();
  }

  /** Go into a part of the range, with the way back in the trail of the report. */
  #into(from, to) {
    const { zone } = this.#plan;
    this.page.enter({ ...this.state, view: this.#sources.hours.name, range: "custom", from: zone.parameter(from), to: zone.parameter(to) });
  }

  #spanText() {
    const { range, zone } = this.#plan;
    return range.name === "custom" ? zone.rangeText(range.from, range.to) : presetTitle(range.name);
  }

  async load(state, signal) {
    const calendar = await this.page.calendar(this.page.zoneOf(state), state.measure);
    if (!calendar.days.length) return rebuild(this.body, h("h1", {}, "Overview"), nothingYet());
    const { hours, shares, names } = this.#sources;
    const plan = planOf(this.page.reports, hours, { ...state, filters: {} }, calendar);
    this.#plan = plan;
    this.here = { address: format(state), label: `Overview, ${this.#spanText()}` };
    const range = { range: state.range ?? calendar.usual };
    const sharesPlan = planOf(this.page.reports, shares, { ...state, ...range, filters: {} }, calendar);
    const namesCalendar = await this.page.calendar(names.zoneIn(calendar.zone));
    const namesPlan = planOf(this.page.reports, names, { ...state, ...range, filters: {} }, namesCalendar);
    const link = (view) => (filters) => format({ ...state, ...range, from: state.from, to: state.to, view, filters });
    const [[recent, rhythmRows], chart, shareBars, nameBars] = await Promise.all([
      this.#hourRows(plan, signal),
      overTime(plan, signal),
      barsOf(sharesPlan, signal, link(shares.name)),
      barsOf(namesPlan, signal, link(names.name)),
    ]);
    this.#render({ state, plan, recent, chart, rhythmRows, shareBars, nameBars, link });
  }

  /** Return the hours of the cards, and those of the rhythm: one question where they overlap, which is nearly always. */
  async #hourRows({ range, calendar, report }, signal) {
    const rhythm = rhythmSpan(range, calendar);
    const cards = { from: cardsSince(calendar), to: calendar.now + DAY };
    const read = ({ from, to }) => this.#hours(report, calendar, from, to, signal);
    if (rhythm.to < cards.from) return Promise.all([read(cards), read(rhythm).then((rows) => ({ ...rhythm, rows }))]);
    const rows = await read({ from: Math.min(cards.from, rhythm.from), to: Math.max(cards.to, rhythm.to) });
    return [rows, { ...rhythm, rows }];
  }

  async #hours(report, { zone }, from, to, signal) {
    const measures = this.state.measure === "events" ? undefined : "events,amount";
    const rows = await everything(report.name, { from: zone.parameter(zone.hourOf(from)), to: zone.parameter(zone.hourOf(to)), zone: zone.name === "UTC" ? undefined : zone.name, by: ["hour"], measures }, { signal });
    return rows.map((row) => parseRow(row, ["hour"], report)).map((row) => ({ ...row, at: zone.window(row.values.hour) }));
  }

  #render({ state, plan, recent, chart, rhythmRows, shareBars, nameBars, link }) {
    if (!this.#parts.columns.isConnected) this.#frame();
    const { calendar, range, zone } = plan;
    rebuild(this.#parts.cards, cards(recent, calendar, { view: this.#sources.hours.name, measure: state.measure, state: { measure: state.measure, zone: state.zone } }));
    const shown = JSON.stringify([state, range.from, calendar.stale]);
    if (this.#shown !== shown) {
      const change = (part) => this.page.go({ ...state, ...part });
      rebuild(
        this.#parts.range,
        toolbar(rangeTool(plan, change), [h("div", { class: "tools-row" }, compareTool(state.compare, range, change), zoneTool(plan, this.page.zone.name, change), measureTool(state.measure, change))], Number(Boolean(state.compare)) + Number(Boolean(state.zone))),
        calendar.stale ? h("p", { class: "note", id: "stale" }, icon("info"), `The latest purchase was on ${zone.text("date", calendar.latest)}.`) : null,
      );
      this.#shown = shown;
    }
    this.#renderColumnsHead(chart.model, plan, link(this.#sources.hours.name)({}));
    rebuild(this.#parts.rhythm, this.#rhythm(rhythmRows, plan));
    rebuild(this.#parts.methods, this.#shares(shareBars));
    rebuild(this.#parts.merchants, this.#busiest(nameBars, link(this.#sources.names.name)({})));
    this.#columns.draw(chart.model); // last: it measures its room, for which all is laid out
  }

  #chartHead;
  #chartTable;

  #frame() {
    const parts = this.#parts;
    this.#chartHead = h("div");
    this.#chartTable = h("div");
    parts.columns.replaceChildren(h("section", { class: "card" }, this.#chartHead, this.#columns.node, h("details", { class: "behind" }, h("summary", {}, "As a table"), this.#chartTable)));
    rebuild(this.body, h("div", {}, h("h1", {}, "Overview"), h("p", { class: "lead" }, "Purchases, counted exactly.")), parts.cards, parts.range, h("div", { class: "grid" }, parts.columns, parts.merchants, parts.rhythm, parts.methods));
  }

  #renderColumnsHead(model, { range, zone, measure, comparison }, href) {
    const { text, of, title } = MEASURES[measure];
    const all = model.totals.reduce((sum, one) => ({ events: sum.events + one.events, amount: BigInt(sum.amount) + BigInt(one.amount) }), { events: 0, amount: 0n });
    this.#chartHead.replaceChildren(
      h("div", { class: "card-head" }, h("div", {}, h("h2", {}, `${title} by ${model.grain}`), h("p", { class: "sub" }, h("a", { href, class: "num" }, text(of(all))), ` ${MEASURES[measure].noun} · ${zone.rangeText(range.from, range.to)} · ${zone.name}`))),
      legend(model.series.length > 1 ? model.series : [], model.before ? comparison.words[0].toUpperCase() + comparison.words.slice(1) : null),
    );
    this.#chartTable.replaceChildren(modelTable(model));
  }

  #rhythm({ from, to, rows }, { zone, measure }) {
    const name = this.#sources.hours.name;
    const { title, text } = MEASURES[measure];
    const caption = `Average ${title.toLowerCase()} in each hour of the week, ${zone.rangeText(from, to)}`;
    const address = (start, stop) => format({ view: name, measure: this.state.measure, zone: this.state.zone, range: "custom", from: zone.parameter(start), to: zone.parameter(stop) });
    const map = heatmap(rhythm(rows, { from, to, zone, measure }), { caption, text: measure === "events" ? undefined : text, href: (weekday, hour) => address(...latest(zone, to, weekday, hour)) });
    return h("section", { class: "card" }, h("div", { class: "card-head" }, h("div", {}, h("h2", {}, "Rhythm of the week"), h("p", { class: "sub" }, `Average an hour (${zone.name}), `, h("a", { href: address(from, to) }, zone.rangeText(from, to))))), map);
  }

  #shares({ by, cut, rows }) {
    const { adds, text } = MEASURES[this.state.measure];
    const title = `How each ${partTitle(by).toLowerCase()} is paid`;
    return h(
      "section",
      { class: "card" },
      h("div", { class: "card-head" }, h("div", {}, h("h2", {}, title), h("p", { class: "sub" }, adds ? `Share of each ${partTitle(cut).toLowerCase()}` : MEASURES[this.state.measure].title))),
      rows.length && adds ? legend(rows[0].parts) : null,
      rows.length ? bars(rows, { share: adds, label: title, text }) : h("p", { class: "nothing" }, "No purchases in this range."),
    );
  }

  #busiest({ by, count, rows }, href) {
    const name = `${partTitle(by).toLowerCase()}s`;
    const { title, text } = MEASURES[this.state.measure];
    return h(
      "section",
      { class: "card" },
      h("div", { class: "card-head" }, h("div", {}, h("h2", {}, `Busiest ${name}`), h("p", { class: "sub" }, `${title}, of `, h("a", { href, class: "num" }, whole(count)), ` ${name}`))),
      rows.length ? bars(rows.slice(0, 10), { label: `Busiest ${name}`, names: true, text }) : h("p", { class: "nothing" }, "No purchases in this range."),
    );
  }
}

/** Return the span of the rhythm: the last weeks of a range, four at least; whole weeks and days, so without today. */
function rhythmSpan(range, { zone, now, first }) {
  const to = Math.max(Math.min(zone.dayOf(range.to), zone.dayOf(now)), zone.addDays(zone.dayOf(first), 1));
  const weeks = Math.min(RHYTHM_WEEKS_MOST, Math.max(RHYTHM_WEEKS_LEAST, Math.floor((to - range.from) / WEEK)));
  return { from: Math.max(zone.dayOf(first), zone.addDays(to, -7 * weeks)), to };
}

/** Return the latest hour before `to` that lies on a weekday: its bounds. */
function latest(zone, to, weekday, hour) {
  let day = zone.addDays(to, -1);
  while (weekdayOf(zone.local(day)) !== weekday) day = zone.addDays(day, -1);
  const start = zone.instant(floor(zone.local(day), DAY) + hour * HOUR);
  return [start, start + HOUR];
}
