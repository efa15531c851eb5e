// One report: its chart and its table side by side, filtered, sorted and paged alike, and ways to take it elsewhere.

import { bars, legend } from "../charts/bars.js";
import { Columns } from "../charts/columns.js";
import { colorName } from "../charts/palette.js";
import { announce, h } from "../dom.js";
import { METHODS, brief, plural, whole, word } from "../format.js";
import { HOURS_MOST, isTimed } from "../model.js";
import { exportBar } from "../parts/export.js";
import { filterBar } from "../parts/filters.js";
import { rangePicker } from "../parts/range.js";
import { reportTable } from "../parts/table.js";
import { format, resolveRange } from "../state.js";
import { DAY, HOUR, dayText, rangeText } from "../time.js";
import { chartData, plan as planOf, ROWS, sharedPath, tablePage, tablePath } from "./questions.js";
import { View, nothingYet, rebuild, staleNote } from "./view.js";

export class ReportView extends View {
  #report;
  #timed;
  #columns = null;
  #parts = Object.fromEntries(["head", "tools", "chart", "bars", "table", "export"].map((name) => [name, h("div", { class: `part-${name}` })]));
  #trail = new Map([[0, null]]); // where each page that was passed begins, for the way back
  #framed = "";

  constructor(page, report) {
    super(page);
    this.#report = report;
    this.#timed = isTimed(page.reports, report);
    document.title = `${report.title} · Tillroll`;
    this.#parts.head.append(h("h1", {}, report.title));
    this.body.append(this.#parts.head);
  }

  destroy() {
    super.destroy();
    this.#columns?.destroy();
  }

  async load(state, signal) {
    const calendar = await this.page.calendar();
    if (!calendar.days.length) return rebuild(this.body, h("h1", {}, this.#report.title), nothingYet());
    const range = resolveRange(this.#timed ? { ...state, range: state.range ?? (this.#report.window ? "7d" : "all") } : { range: "all" }, calendar, this.#report.window === "day" ? DAY : HOUR);
    const plan = planOf(this.page.reports, this.#report, state, range, calendar);
    this.#trail.set(state.start, state.cursor);
    this.#frame(plan, calendar);
    const [page, data] = await Promise.all([tablePage(plan, state.cursor, signal), chartData(plan, signal, (filters) => this.#link(plan, filters))]);
    this.#render(plan, page, data);
  }

  /** Go to the same view with part of the state changed, on the first page of it. */
  #change(part) {
    this.page.go({ ...this.state, cursor: null, start: 0, ...part });
  }

  #link({ range, filters }, more) {
    const { grain, stack, order, view } = this.state;
    return format({ view, grain, stack, order, range: this.#timed ? range.range : null, from: range.from, to: range.to, filters: { ...filters, ...more } });
  }

  #frame(plan, calendar) {
    const parts = this.#parts;
    const shown = JSON.stringify([this.state, calendar.stale]);
    if (this.#framed !== shown) {
      const picker = this.#timed
        ? rangePicker(plan.range, calendar, (part) => this.#change(part))
        : h("p", { class: "note" }, "This report counts all time.");
      rebuild(parts.tools, h("div", { class: "range" }, picker, this.#grain(plan)), filterBar(plan.keys, plan.filters, (filters) => this.#change({ filters })), staleNote(calendar, dayText(calendar.last)));
      this.#framed = shown;
    }
    if (!parts.table.isConnected) {
      rebuild(this.body, parts.head, parts.tools, h("div", { class: "pair" }, h("div", { class: "column" }, parts.chart, parts.bars, parts.export), h("section", { class: "card table-card" }, parts.table)));
    }
  }

  #render(plan, page, data) {
    const { range } = plan;
    const span = this.#timed && range.range !== "all" ? rangeText(range.from, range.to) : `All time, ${rangeText(range.from, range.to)}`;
    rebuild(this.#parts.head, h("h1", {}, this.#report.title), h("p", { class: "lead" }, h("b", { class: "num", id: "total" }, whole(page.events)), ` purchases · ${span} · UTC`));
    if (data.model) this.#drawColumns(plan, data.model);
    if (data.rows) this.#drawBars(plan, data);
    rebuild(
      this.#parts.table,
      h("h2", {}, "Table"),
      ...reportTable({
        page,
        dimensions: plan.dimensions,
        order: this.state.order,
        start: this.state.start,
        caption: `${this.#report.title}, ${span}`,
        sort: (order) => this.#change({ order }),
        turn: (to) => this.#turn(to, page),
        link: (filters) => this.#link(plan, filters),
      }),
    );
    const picture = () => this.#picture(data, span, page);
    rebuild(this.#parts.export, exportBar({ plan, page, path: sharedPath(plan), pagePath: tablePath(plan, this.state.cursor), picture }));
    if (!this.#said) announce(`${this.#report.title}: ${plural(page.datapoints, "row")}, ${whole(page.events)} purchases`);
    this.#said = this.state;
  }

  #said = null;

  async show(state) {
    if (this.#said !== state) this.#said = null;
    await super.show(state);
  }

  #turn(to, page) {
    if (to === "first") this.#change({});
    else if (to === "on") this.page.go({ ...this.state, cursor: page.next, start: this.state.start + page.rows.length });
    else {
      const start = Math.max(0, this.state.start - ROWS);
      const known = this.#trail.has(start);
      this.page.go({ ...this.state, cursor: known ? this.#trail.get(start) : null, start: known ? start : 0 });
    }
  }

  #drawColumns(plan, model) {
    this.#columns ??= new Columns({ size: "tall", zoom: (from, to) => this.#change({ range: "custom", from, to }) });
    const shown = model.series.map((one) => ({ label: brief(one.label), color: one.color }));
    const head = h("div", { class: "card-head" }, h("h2", {}, `Purchases per ${model.per}`), this.#stack(plan));
    if (!this.#chartHead) {
      this.#chartHead = h("div");
      rebuild(this.#parts.chart, h("section", { class: "card" }, this.#chartHead, this.#columns.node, h("p", { class: "hint" }, "Drag across the chart to zoom in.")));
    }
    rebuild(this.#chartHead, head, model.series.length > 1 ? legend(shown) : null);
    this.#columns.draw(model);
  }

  #chartHead = null;

  #drawBars(plan, { rows, share }) {
    const shown = rows.map((row) => ({ ...row, title: row.label }));
    const methods = plan.keys.includes("method");
    const title = share ? "Share of the payment methods" : methods ? "Busiest merchants by method" : "Busiest merchants";
    const colors = methods ? legend(METHODS.map((value) => ({ label: word("method", value), color: colorName(value) }))) : null;
    rebuild(
      this.#parts.bars,
      h("section", { class: "card" }, h("div", { class: "card-head" }, h("h2", {}, title)), colors, shown.length ? bars(shown, { share, names: !share, label: title }) : h("p", { class: "nothing" }, "No purchases match.")),
    );
  }

  /** The choice between hours and days, for a report that counts hours. */
  #grain({ window, grain, range }) {
    if (window !== "hour") return null;
    const long = grain === "hour" && (range.to - range.from) / HOUR > HOURS_MOST;
    return segmented("Rows", "grain", [["hour", "Per hour"], ["day", "Per day"]], grain, (value) => this.#change({ grain: value }), long ? "Too many hours to draw: the chart shows longer spans." : null);
  }

  #stack({ keys, stack }) {
    if (!(keys.includes("bracket") && keys.includes("method"))) return null;
    return segmented("Colour by", "stack", [["bracket", "Amount"], ["method", "Method"]], stack, (value) => this.page.go({ ...this.state, stack: value }));
  }

  #picture({ model, rows, share }, span, page) {
    const title = this.#report.title;
    const subtitle = `${whole(page.events)} purchases · ${span} · UTC`;
    if (model) return { title, subtitle, legend: model.series.length > 1 ? model.series : [], canvas: this.#columns.canvas };
    return { title, subtitle, share, rows: rows.map((row) => ({ ...row, label: brief(row.label) })), legend: METHODS.map((value) => ({ label: word("method", value), color: colorName(value) })) };
  }
}

function segmented(title, name, choices, chosen, choose, note = null) {
  const item = ([value, text]) =>
    h(
      "label",
      { class: "segmented-item" },
      h("input", { type: "radio", name, id: `${name}-${value}`, value, class: "sr", checked: value === chosen, onchange: () => choose(value) }),
      h("span", {}, text),
    );
  return h("div", { class: "choice" }, h("fieldset", { class: "segmented", title: note }, h("legend", { class: "sr" }, title), ...choices.map(item)));
}
