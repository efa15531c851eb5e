// One report: its chart above its table, filtered, sorted and paged alike, ways deeper in, and ways to take it elsewhere.

import { bars, legend } from "../charts/bars.js";
import { Columns } from "../charts/columns.js";
import { announce, h, icon } from "../dom.js";
import { MEASURES, brief, partTitle, plural, word } from "../format.js";
import { finer, nextOf } from "../grain.js";
import { learn } from "../names.js";
import { exportBar } from "../parts/export.js";
import { filterBar } from "../parts/filters.js";
import { changeChip, reportTable } from "../parts/table.js";
import { choice, compareTool, grainTool, measureTool, rangeTool, toolbar, zoneTool } from "../parts/tools.js";
import { trailBar } from "../parts/trail.js";
import { ROWS, barsOf, comparedRows, comparedTotals, overTime, planOf, sharedPath, tablePage, tablePath } from "../question.js";
import { presetTitle } from "../span.js";
import { format } from "../state.js";
import { View, nothingYet, rebuild } from "./view.js";

const NAMES = ["trail", "head", "tools", "chart", "bars", "table", "export"];

export class ReportView extends View {
  #report;
  #columns = null;
  #parts = Object.fromEntries(NAMES.map((name) => [name, h("div", { class: `part-${name}` })]));
  #passed = new Map([[0, null]]); // where each page that was passed begins, for the way back
  #framed = "";
  #said = null;

  constructor(page, report) {
    super(page);
    this.#report = report;
    document.title = `${report.title} · Tillroll`;
    this.#parts.head.append(h("h1", {}, report.title));
    this.body.append(this.#parts.head);
  }

  destroy() {
    super.destroy();
    this.#columns?.destroy();
  }

  async show(state) {
    if (this.#said !== state) this.#said = null;
    await super.show(state);
  }

  async load(state, signal) {
    const calendar = await this.page.calendar(this.#report.zoneIn(this.page.zoneOf(state)));
    if (!calendar.days.length) return rebuild(this.body, h("h1", {}, this.#report.title), nothingYet());
    const plan = planOf(this.page.reports, this.#report, state, calendar);
    this.#passed.set(state.start, state.cursor);
    await Promise.all(plan.report.keys.map((key) => learn(key, plan.filters[key.name] ?? [], signal)));
    this.here = { address: format(state), label: this.#label(plan) };
    this.#frame(plan);
    const [page, chart, side, totals] = await Promise.all([
      tablePage(plan, state.cursor, signal),
      plan.grain ? overTime(plan, signal) : null,
      barsOf(plan, signal, (filters) => this.#link(plan, { filters: { ...plan.filters, ...filters } })),
      plan.grain ? null : comparedTotals(plan, signal),
    ]);
    const compared = await comparedRows(plan, page.rows, signal);
    this.#render(plan, { page, chart, side, compared, totals: chart?.compared ?? totals });
  }

  /** Go to the same view with part of the state changed, on the first page of it. */
  #change(part) {
    this.page.go({ ...this.state, cursor: null, start: 0, ...part });
  }

  /** Go deeper in: the way back is in the trail. */
  #enter(part) {
    this.page.enter({ ...this.state, cursor: null, start: 0, ...part });
  }

  #link(plan, part) {
    return format({ ...this.state, cursor: null, start: 0, range: plan.range.name === "all" && !this.state.range ? null : plan.range.name, ...part });
  }

  /** Return what is shown in few words: the range, and what is filtered. */
  #label({ range, zone, filters, report }) {
    const span = range.name === "custom" ? zone.rangeText(range.from, range.to) : presetTitle(range.name);
    const chosen = report.keys.filter((key) => filters[key.name]).map((key) => filters[key.name].map((value) => brief(word(key, value))).join(" or "));
    return [span, ...chosen].join(" · ");
  }

  /** Return the part of a state that has a column's range, seen by the next finer grain. */
  #inside(plan, from, to) {
    const grain = plan.report.grains.includes(this.state.grain) ? finer(plan.report.grains, plan.grain) : null;
    return { range: "custom", from: plan.zone.parameter(from), to: plan.zone.parameter(to), grain };
  }

  #frame(plan) {
    const parts = this.#parts;
    const shown = JSON.stringify([this.state, plan.range.from, plan.range.to, plan.grain]);
    if (this.#framed !== shown) {
      const change = (part) => this.#change(part);
      const { state } = this;
      const first = plan.timed ? [...rangeTool(plan, change)] : [h("p", { class: "note tool-text" }, "This report covers all time.")];
      const more = [
        h("div", { class: "tools-row" }, plan.timed ? compareTool(state.compare, plan.range, change) : null, plan.grain ? grainTool(plan, state.grain, change) : null, plan.grain ? this.#stackTool(plan) : null, plan.timed ? zoneTool(plan, this.page.zone.name, change) : null, measureTool(state.measure, change)),
        filterBar(plan.report, plan.filters, (filters) => change({ filters })),
      ];
      const set = Object.keys(plan.filters).length + Number(Boolean(state.compare)) + Number(Boolean(state.grain)) + Number(Boolean(state.zone));
      const open = parts.tools.querySelector(".tools-more.open") !== null;
      rebuild(parts.tools, toolbar(first, more, set), plan.said ? h("p", { class: "note" }, icon("info"), plan.said) : null);
      if (open) parts.tools.querySelector("#tools-toggle").click();
      this.#framed = shown;
    }
    rebuild(parts.trail, trailBar(this.#label(plan)));
    if (!parts.table.isConnected) rebuild(this.body, parts.trail, parts.head, parts.tools, h("div", { class: "figures" }, parts.chart, parts.bars), parts.table, parts.export);
  }

  #stackTool({ stacks, stack }) {
    if (stacks.length < 2) return null;
    return choice("stack", "Colour by", stacks.map((part) => [part.name, partTitle(part)]), stack.name, (name) => this.page.go({ ...this.state, stack: name }));
  }

  #span({ range, zone }) {
    const text = zone.rangeText(range.from, range.to);
    return range.name === "all" ? `All time, ${text}` : text;
  }

  #render(plan, { page, chart, side, compared, totals }) {
    const { report } = plan;
    const { state } = this;
    const measure = MEASURES[plan.measure];
    const sums = { events: page.events, amount: page.amount };
    const said = `${measure.text(measure.of(sums))} ${measure.noun}`;
    const empty = !page.rows.length;
    rebuild(
      this.#parts.head,
      h("h1", {}, report.title),
      h("p", { class: "lead" }, h("b", { class: "num", id: "total" }, measure.text(measure.of(sums))), ` ${measure.noun} · ${this.#span(plan)} · ${plan.zone.name}`),
      totals ? this.#against(plan, totals, measure) : null,
    );
    this.#frameChart(plan, empty ? null : chart);
    this.#drawBars(plan, empty ? null : side);
    rebuild(
      this.#parts.table,
      empty
        ? this.#nothing(plan)
        : h(
            "section",
            { class: "card table-card" },
            h("h2", {}, "Table"),
            ...reportTable({
              plan, page, compared,
              order: this.state.order,
              start: this.state.start,
              caption: `${report.title}, ${this.#span(plan)}`,
              sort: (order) => this.#change({ order }),
              turn: (to) => this.state === state && this.#turn(to, page), // else another question is on its way, to which this page's cursor is unknown
              into: (row, part) => this.#into(plan, row, part),
              behind: (row) => this.#behind(plan, row),
            }),
          ),
    );
    const picture = () => this.#picture(plan, { chart, side }, said);
    rebuild(this.#parts.export, exportBar({ plan, page, path: sharedPath(plan), pagePath: tablePath(plan, this.state.cursor), picture, parquet: this.page.parquet }));
    if (chart && !empty) this.#columns.draw(chart.model); // last: it measures its room, for which all is laid out
    if (!this.#said) announce(`${report.title}: ${plural(page.datapoints, "row")}, ${said}`);
    this.#said = this.state;
  }

  #against({ comparison, zone, calendar }, { now, before }, measure) {
    const until = !comparison.open ? "" : comparison.end === zone.dayOf(calendar.now) ? " before today" : ` by ${zone.text("clock", comparison.end)}`;
    if (comparison.to <= comparison.from) return h("p", { class: "against", id: "against" }, "The period has just begun: there is nothing to compare yet.");
    return h("p", { class: "against", id: "against" }, changeChip(measure.of(now), measure.of(before)), ` ${measure.text(measure.of(now))}${until} against ${measure.text(measure.of(before))} in ${comparison.words}, ${zone.rangeText(comparison.from, comparison.to)}`);
  }

  /** Return the address that a cell leads to: its window, or its value as a filter. Null where that would change nothing. */
  #into(plan, row, part) {
    if (part.grain) {
      if (plan.columns.length < 2) return null;
      const column = plan.columns.find(({ start }) => start === row.at) ?? { from: row.at, to: nextOf(plan.grain, plan.zone, row.at) };
      return this.#link(plan, this.#inside(plan, column.from, column.to));
    }
    const value = row.values[part.name];
    if (plan.filters[part.name]?.length === 1) return null;
    return this.#link(plan, { filters: { ...plan.filters, [part.name]: [value] } });
  }

  /** Return the address of what is behind a row's number: the purchases of a datapoint, else the row by a finer grain. */
  #behind(plan, row) {
    if (plan.source === plan.report && plan.names.join() === plan.report.dimensions.join()) return format({ view: "purchases", datapoint: row.datapoint });
    if (!plan.grain || !finer(plan.report.grains, plan.grain)) return null;
    const column = plan.columns.find(({ start }) => start === row.at);
    const filters = Object.fromEntries(plan.report.keys.map((key) => [key.name, [row.values[key.name]]]));
    return column ? this.#link(plan, { ...this.#inside(plan, column.from, column.to), grain: finer(plan.report.grains, plan.grain), filters }) : null;
  }

  #turn(to, page) {
    if (to === "first") this.#change({});
    else if (to === "on") this.page.go({ ...this.state, cursor: page.next, start: this.state.start + page.rows.length });
    else {
      const start = Math.max(0, this.state.start - ROWS);
      const known = this.#passed.has(start);
      this.page.go({ ...this.state, cursor: known ? this.#passed.get(start) : null, start: known ? start : 0 });
    }
  }

  #chartHead = null;
  #plan = null;

  #frameChart(plan, chart) {
    this.#plan = plan;
    if (!chart) return this.#parts.chart.replaceChildren();
    const { model } = chart;
    const into = (from, to) => this.#enter(this.#inside(this.#plan, from, to));
    this.#columns ??= new Columns({ size: "tall", zoom: into, enter: (column) => this.#plan.columns.length > 1 && into(column.from, column.to) });
    if (!this.#chartHead || !this.#columns.node.isConnected) {
      this.#chartHead = h("div");
      rebuild(this.#parts.chart, h("section", { class: "card" }, this.#chartHead, this.#columns.node, h("p", { class: "hint" }, "Click a column for details, drag to zoom.")));
    }
    const shown = model.series.map((one) => ({ label: brief(one.label), color: one.color }));
    const colors = model.series.length > 1 || model.before ? legend(model.series.length > 1 ? shown : [], model.before ? capital(plan.comparison.words) : null) : null;
    rebuild(this.#chartHead, h("div", { class: "card-head" }, h("h2", {}, `${MEASURES[plan.measure].title} by ${plan.grain}`)), colors);
  }

  #barsTitle(by, cut) {
    const { title } = MEASURES[this.#plan.measure];
    if (cut && by.values) return `How each ${partTitle(by).toLowerCase()} splits by ${partTitle(cut).toLowerCase()}`;
    const split = cut ? `, split by ${partTitle(cut).toLowerCase()}` : "";
    return by.values ? `${title} by ${partTitle(by).toLowerCase()}${split}` : `${partTitle(by)}s with most ${title.toLowerCase()}${split}`;
  }

  #drawBars(plan, side) {
    if (!side) return this.#parts.bars.replaceChildren();
    const { by, cut, rows } = side;
    const { adds, text } = MEASURES[plan.measure];
    const share = Boolean(cut && by.values && adds);
    const title = this.#barsTitle(by, cut);
    const colors = cut && adds && rows.length ? legend(rows[0].parts.map((part) => ({ label: part.label, color: part.color }))) : null;
    rebuild(this.#parts.bars, h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, title)), colors, bars(rows, { share, names: !by.values, label: title, text })));
  }

  #picture(plan, { chart, side }, said) {
    const head = { title: plan.report.title, subtitle: `${said} · ${this.#span(plan)} · ${plan.zone.name}${this.#filtered(plan)}`, source: `${location.origin} · ${plan.report.name} · as of ${plan.zone.instantText(plan.calendar.now)} ${plan.zone.name}`, measure: plan.measure };
    if (chart) return { ...head, model: chart.model, legend: chart.model.series.length > 1 ? chart.model.series.map((one) => ({ ...one, label: brief(one.label) })) : [], before: chart.model.before ? capital(plan.comparison.words) : null };
    const { by, cut, rows } = side ?? { rows: [] };
    return { ...head, rows, share: Boolean(cut && by.values && MEASURES[plan.measure].adds), legend: rows[0] && cut ? rows[0].parts : [] };
  }

  #filtered({ report, filters }) {
    const chosen = report.keys.filter((key) => filters[key.name]).map((key) => filters[key.name].map((value) => word(key, value)).join(" or "));
    return chosen.length ? ` · ${chosen.join(" · ")}` : "";
  }

  /** Say that nothing is there, what there is, and lead to it. */
  #nothing(plan) {
    const { calendar, zone, filters } = plan;
    const all = calendar.days.reduce((sum, day) => sum + day.events, 0);
    const filtered = Object.keys(filters).length > 0;
    const latest = { range: "custom", from: zone.parameter(zone.addDays(zone.dayOf(calendar.latest), -6)), to: zone.parameter(zone.addDays(zone.dayOf(calendar.latest), 1)) };
    const way = (text, part) => h("a", { class: "button", href: this.#link(plan, part), "data-drill": true }, text);
    return h(
      "section",
      { class: "card empty" },
      icon("roll"),
      h("h2", {}, `No purchases ${filtered ? "match" : "in this range"}`),
      h("p", {}, `${this.#label(plan)}: none. In total there are ${plural(all, "purchase")}, ${zone.rangeText(zone.dayOf(calendar.first), zone.addDays(zone.dayOf(calendar.latest), 1))}.`),
      h("div", { class: "buttons" }, filtered ? way("Without filters", { filters: {} }) : null, plan.timed && plan.range.name !== "all" ? way("All time", { range: "all" }) : null, plan.timed ? way("The latest 7 days with purchases", latest) : null),
    );
  }
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);
