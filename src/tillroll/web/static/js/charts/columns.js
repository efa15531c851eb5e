// Stacked columns over time, drawn by uPlot: pointer, keyboard and touch show one column's numbers, a click goes into it,
// dragging zooms. Columns are of one width, whatever they last; what is not whole is hatched, what was before is dotted.

import { h, vars } from "../dom.js";
import { MEASURES, short } from "../format.js";
import { tickText, ticksOf, windowText } from "../grain.js";
import { color } from "./palette.js";

/** @type {any} */
const uPlot = /** @type {any} */ (globalThis).uPlot;
const HEIGHT = { tall: 320, low: 190, phone: 230 };
const TICK_PX = 64;
const SLIM = 120; // columns from which on no room is left between them
const NO_GRAIN = { title: "Events", text: short, short, adds: true };

/**
 * A chart of `model`s: {label, summary, columns, grain, zone, measure, series: [{label, color, values}], before}, where
 * `before` is the dotted line. The series are stacked in their order, the first at the bottom. `zoom(from, to)` is called
 * with the bounds of what is dragged over, `enter(column)` with the column that is clicked. A model may bring its own
 * words for a column: `text(index)`, `tick(index, first)` and `ticks(room)`.
 */
export class Columns {
  #plot = null;
  #model = null;
  #shape = "";
  #size;
  #zoom;
  #enter;
  #index = null;
  #dragged = false;
  #tip = h("div", { class: "tip", hidden: true });
  #observer;

  /** @param {{ size?: string, zoom?: (from: number, to: number) => void, enter?: (column: any) => void }} [options] */
  constructor({ size = "tall", zoom, enter } = {}) {
    this.#size = size;
    this.#zoom = zoom;
    this.#enter = enter;
    this.holder = h("div", { class: "plot-holder" });
    this.node = h(
      "div",
      { class: `plot plot-${size}`, tabindex: 0, role: "slider", "aria-valuemin": 0, "aria-valuenow": 0, onkeydown: (event) => this.#key(event), onblur: () => this.#point(null) },
      this.holder,
      this.#tip,
    );
    this.#observer = new ResizeObserver(() => this.#resize());
    this.#observer.observe(this.holder);
    addEventListener("themechange", this.#redraw);
  }

  destroy() {
    this.#observer.disconnect();
    removeEventListener("themechange", this.#redraw);
    this.#plot?.destroy();
  }

  /** Show a model. The chart is made anew only when its form changes, so that a live update does not flicker. */
  draw(model) {
    this.#model = model;
    this.node.setAttribute("aria-label", `${model.label}. Arrow keys step through the columns${this.#enter ? ", Enter opens one" : ""}.`);
    this.node.setAttribute("aria-valuemax", Math.max(0, model.columns.length - 1));
    this.node.setAttribute("aria-valuetext", model.summary ?? "");
    const shape = JSON.stringify([model.columns.length, model.grain, model.measure, model.series.map((one) => [one.label, one.color])]);
    if (this.#plot && shape === this.#shape) this.#plot.batch(() => this.#fill());
    else this.#make(shape);
    if (this.#index !== null) this.#point(this.#index);
  }

  #redraw = () => this.#model && this.#make(this.#shape);

  #make(shape) {
    this.#plot?.destroy();
    this.#shape = shape;
    this.#plot = new uPlot(this.#options(), stacked(this.#model), this.holder);
    this.#fill();
    this.#plot.over.addEventListener("click", () => this.#click());
  }

  #fill() {
    this.#plot.setData(stacked(this.#model), false);
    this.#plot.setScale("x", { min: -0.5, max: this.#model.columns.length - 0.5 });
    this.#plot.setScale("y", { min: 0, max: top(this.#model) });
  }

  #height = () => (this.#size === "tall" ? Math.max(innerWidth <= 820 ? HEIGHT.phone : HEIGHT.tall, this.holder.clientHeight) : HEIGHT[this.#size]);

  #resize() {
    const width = Math.floor(this.holder.clientWidth);
    const height = this.#height();
    if (this.#plot && width > 0 && (width !== this.#plot.width || height !== this.#plot.height)) this.#plot.setSize({ width, height });
  }

  #options() {
    const ink = color("muted");
    const font = "12px Inter, system-ui, sans-serif";
    const slim = this.#model.columns.length > SLIM;
    return {
      width: Math.max(200, Math.floor(this.holder.clientWidth)),
      height: this.#height(),
      padding: [10, 12, 0, 0],
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: Boolean(this.#zoom), y: false, setScale: false } },
      scales: { x: { time: false }, y: {} },
      axes: [
        { stroke: ink, font, grid: { show: false }, ticks: { stroke: color("line"), width: 1, size: 5 }, size: xAxisSize, splits: (plot) => this.#splits(plot), values: (_, splits) => splits.map((index, at) => this.#tick(index, at === 0)) },
        { stroke: ink, font, grid: { stroke: color("grid"), width: 1 }, ticks: { show: false }, gap: 8, space: this.#size === "low" ? 30 : 44, size: yAxisSize, values: (_, ticks) => ticks.map((tick) => this.#yTick(tick)) },
      ],
      // Drawn from the top of the stack down: each column covers all but its own part of the one behind it.
      series: [
        {},
        ...this.#model.series.toReversed().map((one) => ({
          label: one.label,
          fill: color(one.color),
          stroke: color("surface"),
          width: slim ? 0 : 1,
          points: { show: false },
          paths: slim ? () => null : uPlot.paths.bars({ size: [0.86, 72], gap: 0 }),
        })),
      ],
      hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx, plot.cursor.left < 0)], setSelect: [(plot) => this.#selected(plot)], drawSeries: slim ? [drawSlim] : [], draw: [(plot) => this.#over(plot)] },
    };
  }

  #splits(plot) {
    const { ticks, grain, zone, columns } = this.#model;
    const room = Math.floor(plot.bbox.width / devicePixelRatio / TICK_PX) || 8; // what the element has would be laid out for this alone
    return ticks ? ticks(room) : ticksOf(grain, zone, columns, room);
  }

  #tick(index, first) {
    const { tick, grain, zone, columns } = this.#model;
    if (!columns[index]) return "";
    return tick ? tick(index, first) : tickText(grain, zone, columns[index].start, first);
  }

  #yTick(value) {
    const measure = MEASURES[this.#model.measure] ?? NO_GRAIN;
    return this.#model.measure !== "events" || Number.isInteger(value) ? measure.short(value) : "";
  }

  /** Draw over the columns: hatching where one is not whole, and the span before as a dotted line. */
  #over(plot) {
    const { columns, before } = this.#model;
    const pen = plot.ctx;
    const x = (index) => plot.valToPos(index, "x", true);
    const y = (value) => plot.valToPos(value, "y", true);
    pen.save();
    for (const [index, column] of columns.entries()) {
      if (column.part) hatch(pen, x(index - 0.5), x(index + 0.5), y(this.#total(index)), y(0));
    }
    if (before) {
      pen.beginPath();
      for (const [index, value] of before.entries()) if (value !== null) pen[index && before[index - 1] !== null ? "lineTo" : "moveTo"](x(index), y(value));
      pen.lineJoin = "round";
      pen.lineWidth = 4 * devicePixelRatio;
      pen.strokeStyle = color("surface");
      pen.globalAlpha = 0.55; // so that it is seen over dark columns, too
      pen.stroke();
      pen.globalAlpha = 1;
      pen.setLineDash([2 * devicePixelRatio, 4 * devicePixelRatio]);
      pen.lineCap = "round";
      pen.lineWidth = 2 * devicePixelRatio;
      pen.strokeStyle = color("ink");
      pen.stroke();
    }
    pen.restore();
  }

  #total = (index) => this.#model.series.reduce((sum, one) => sum + one.values[index], 0);

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < 6) return;
    this.#dragged = true;
    const { columns } = this.#model;
    const at = (px) => Math.min(columns.length - 1, Math.max(0, Math.round(plot.posToVal(px, "x"))));
    const [first, last] = [columns[at(left)], columns[at(left + width)]];
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#zoom?.(first.from, last.to);
  }

  #click() {
    if (this.#dragged) this.#dragged = false;
    else if (this.#index !== null) this.#enter?.(this.#model.columns[this.#index]);
  }

  #key(event) {
    const last = this.#model ? this.#model.columns.length - 1 : -1;
    if (last < 0) return;
    const at = this.#index ?? -1;
    const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at < 0 ? last : at - 1, ArrowDown: at < 0 ? last : at - 1, Home: 0, End: last, PageUp: at + 10, PageDown: at - 10 }[event.key];
    if (event.key === "Enter" && at >= 0) this.#enter?.(this.#model.columns[at]);
    else if (event.key === "Escape") this.#point(null);
    else if (to === undefined) return;
    else this.#point(Math.min(last, Math.max(0, to)));
    event.preventDefault();
  }

  /** Show the numbers of one column, or of none. */
  #point(index, gone = false) {
    const model = this.#model;
    this.#index = gone || index === null || index === undefined || !model || index >= model.columns.length ? null : index;
    this.#tip.hidden = this.#index === null;
    if (this.#index === null) return;
    const { text } = MEASURES[model.measure] ?? NO_GRAIN;
    const column = model.columns[this.#index];
    const parts = model.series.map((one) => ({ ...one, value: one.values[this.#index] })).toReversed();
    const sum = this.#total(this.#index);
    const before = model.before?.[this.#index] ?? null;
    const when = `${model.text ? model.text(this.#index) : windowText(model.grain, model.zone, column.start)}${partText(column)}`;
    const compared = before === null ? "" : `. Before: ${text(before)}`;
    this.node.setAttribute("aria-valuenow", this.#index);
    this.node.setAttribute("aria-valuetext", `${when}: ${text(sum)}. ${parts.map((part) => `${part.label} ${text(part.value)}`).join(", ")}${compared}`);
    this.#tip.replaceChildren(
      h("p", { class: "tip-title" }, when),
      h(
        "table",
        {},
        ...parts.map((part) => tipRow(part, text)),
        parts.length > 1 ? h("tr", { class: "tip-total" }, h("td"), h("th", {}, "Total"), h("td", {}, text(sum))) : null,
        before === null ? null : h("tr", {}, h("td", {}, h("span", { class: "dot dot-before" })), h("th", {}, "Before"), h("td", {}, text(before))),
      ),
      before !== null && column.open ? h("p", { class: "hint" }, "Before: up to the same hour.") : "",
    );
    const x = this.#plot.valToPos(this.#index, "x") + this.#plot.over.offsetLeft;
    vars(this.#tip, { x: `${Math.round(x)}px` });
    this.#tip.classList.toggle("tip-left", x > this.node.clientWidth / 2);
  }
}

/** Draw slim columns as rectangles: one path of all of them costs a processor that draws without a graphics card a hundred times as much. */
function drawSlim(plot, at) {
  const pen = plot.ctx;
  const edge = (index) => Math.round(plot.valToPos(index - 0.5, "x", true));
  const low = plot.valToPos(0, "y", true);
  const gap = edge(1) - edge(0) < 4 ? 0 : 1;
  pen.fillStyle = plot.series[at].fill(plot, at);
  for (const [index, value] of plot.data[at].entries()) {
    if (value === null) continue;
    const [left, high] = [edge(index), Math.round(plot.valToPos(value, "y", true))];
    pen.fillRect(left, high, Math.max(1, edge(index + 1) - left - gap), low - high);
  }
}

const partText = ({ open, part }) => (open ? " (in progress)" : part ? " (partial)" : "");

function hatch(pen, left, right, high, low) {
  pen.save();
  pen.beginPath();
  pen.rect(left, high, right - left, low - high);
  pen.clip();
  pen.strokeStyle = color("surface");
  pen.lineWidth = 2 * devicePixelRatio;
  const step = 6 * devicePixelRatio;
  pen.beginPath();
  for (let x = left - (low - high); x < right; x += step) {
    pen.moveTo(x, low);
    pen.lineTo(x + low - high, high);
  }
  pen.stroke();
  pen.restore();
}

function tipRow(part, text) {
  const dot = vars(h("span", { class: "dot" }), { dot: `var(--${part.color})` });
  return h("tr", {}, h("td", {}, dot), h("th", {}, part.label), h("td", {}, text(part.value)));
}

/** Return uPlot's data: the places of the columns, then the running sums, highest first. */
function stacked(model) {
  const sums = [];
  let below = new Array(model.columns.length).fill(0);
  for (const one of model.series) {
    below = one.values.map((value, index) => value + below[index]);
    sums.unshift(below);
  }
  // Where nothing is, nothing is drawn: not even the edge of a column without height.
  for (const sum of sums) for (const index of sum.keys()) if (!below[index]) sum[index] = null;
  return [model.columns.map((_, index) => index), ...sums];
}

/** Return where the axis ends: above the highest column, and the line. */
export function top(model) {
  const sums = model.columns.map((_, index) => model.series.reduce((sum, one) => sum + one.values[index], 0));
  return Math.max(4, 1.06 * Math.max(0, ...sums, ...(model.before ?? []).map((value) => value ?? 0)));
}

const xAxisSize = (_plot, values) => ((values ?? []).some((value) => value.includes("\n")) ? 44 : 28);

function yAxisSize(_plot, values) {
  const longest = (values ?? []).reduce((most, value) => Math.max(most, value.length), 0);
  return 18 + longest * 7.2;
}
