// Stacked columns over time, drawn by uPlot: pointer, keyboard and touch show one column's numbers, dragging zooms in.

import { h, vars } from "../dom.js";
import { short, whole } from "../format.js";
import { DAY, HOUR, clockText, dayTextShort, monthText, windowText } from "../time.js";
import { color } from "./palette.js";

/** @type {any} */
const uPlot = /** @type {any} */ (globalThis).uPlot;
const HEIGHT = { tall: 340, low: 190 };

/**
 * A chart of `model`s: {label, from, to, window, at: [window starts], series: [{label, color, values}], link(from, to)}.
 * The series are stacked in their order, the first at the bottom. `zoom(from, to)` is called with a dragged range.
 */
export class Columns {
  #plot = null;
  #model = null;
  #shape = "";
  #size;
  #zoom;
  #index = null;

  /** @param {{ size?: string, zoom?: (from: number, to: number) => void }} [options] */
  constructor({ size = "tall", zoom } = {}) {
    this.#size = size;
    this.#zoom = zoom;
    this.#tip = h("div", { class: "tip", hidden: true });
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

  #tip;
  #observer;

  destroy() {
    this.#observer.disconnect();
    removeEventListener("themechange", this.#redraw);
    this.#plot?.destroy();
  }

  get canvas() {
    return this.#plot?.ctx.canvas ?? null;
  }

  /** Show a model. The chart is made anew only when its form changes, so that a live update does not flicker. */
  draw(model) {
    this.#model = model;
    this.node.setAttribute("aria-label", `${model.label}. Arrow keys step through the columns.`);
    this.node.setAttribute("aria-valuemax", Math.max(0, model.at.length - 1));
    this.node.setAttribute("aria-valuetext", model.summary ?? "");
    const shape = JSON.stringify([model.window, model.series.map((one) => [one.label, one.color])]);
    if (this.#plot && shape === this.#shape) {
      this.#plot.setData(stacked(model), false);
      this.#scale();
    } else this.#make(shape);
    if (this.#index !== null) this.#point(this.#index);
  }

  #redraw = () => this.#model && this.#make(this.#shape);

  #make(shape) {
    this.#plot?.destroy();
    this.#shape = shape;
    this.#plot = new uPlot(this.#options(), stacked(this.#model), this.holder);
    this.#scale();
  }

  #scale() {
    const { from, to } = this.#model;
    this.#plot.batch(() => {
      this.#plot.setScale("x", { min: from, max: to });
      this.#plot.setScale("y", { min: 0, max: niceTop(this.#model) });
    });
  }

  #resize() {
    const width = Math.floor(this.holder.clientWidth);
    if (this.#plot && width > 0 && width !== this.#plot.width) this.#plot.setSize({ width, height: HEIGHT[this.#size] });
  }

  #options() {
    const ink = color("muted");
    const grid = { stroke: color("grid"), width: 1 };
    const font = "12px Inter, system-ui, sans-serif";
    const surface = color("surface");
    return {
      width: Math.max(200, Math.floor(this.holder.clientWidth)),
      height: HEIGHT[this.#size],
      padding: [10, 28, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      legend: { show: false },
      cursor: { y: false, points: { show: false }, drag: { x: Boolean(this.#zoom), y: false, setScale: false } },
      scales: { x: { time: true }, y: {} },
      axes: [
        { stroke: ink, font, grid: { show: false }, ticks: { stroke: color("line"), width: 1, size: 5 }, space: 64, size: xAxisSize, values: timeTicks },
        { stroke: ink, font, grid, ticks: { show: false }, gap: 8, space: this.#size === "low" ? 30 : 44, size: yAxisSize, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? short(tick) : "")) },
      ],
      // Drawn from the top of the stack down: each column covers all but its own part of the one behind it.
      series: [
        {},
        ...this.#model.series.toReversed().map((one) => ({
          label: one.label,
          fill: color(one.color),
          stroke: surface,
          width: this.#model.at.length > 120 ? 0 : 1,
          points: { show: false },
          paths: uPlot.paths.bars({ size: [this.#model.at.length > 120 ? 0.94 : 0.86, 72], gap: 0 }),
        })),
      ],
      hooks: { setCursor: [(plot) => this.#point(plot.cursor.idx, plot.cursor.left < 0)], setSelect: [(plot) => this.#selected(plot)] },
    };
  }

  #selected(plot) {
    const { left, width } = plot.select;
    if (width < 6) return;
    const { window, from, to } = this.#model;
    const step = Math.min(window, DAY);
    const start = Math.max(from, Math.floor(plot.posToVal(left, "x") / step) * step);
    const stop = Math.min(to, Math.ceil(plot.posToVal(left + width, "x") / step) * step);
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    if (stop > start) this.#zoom?.(start, stop);
  }

  #key(event) {
    const last = this.#model ? this.#model.at.length - 1 : -1;
    if (last < 0) return;
    const at = this.#index ?? -1;
    const to = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at < 0 ? last : at - 1, ArrowDown: at < 0 ? last : at - 1, Home: 0, End: last, PageUp: at + 10, PageDown: at - 10 }[event.key];
    if (event.key === "Enter" && at >= 0 && this.#zoom && this.#model.window > HOUR) {
      this.#zoom(this.#model.at[at], this.#model.at[at] + this.#model.window);
    } else if (event.key === "Escape") this.#point(null);
    else if (to === undefined) return;
    else this.#point(Math.min(last, Math.max(0, to)));
    event.preventDefault();
  }

  /** Show the numbers of one column, or of none. */
  #point(index, gone = false) {
    const model = this.#model;
    this.#index = gone || index === null || index === undefined || !model || index >= model.at.length ? null : index;
    this.#tip.hidden = this.#index === null;
    if (this.#index === null) return;
    const parts = model.series.map((one) => ({ ...one, value: one.values[this.#index] })).toReversed();
    const total = parts.reduce((sum, part) => sum + part.value, 0);
    const when = windowText(model.at[this.#index], model.window);
    this.node.setAttribute("aria-valuenow", this.#index);
    this.node.setAttribute("aria-valuetext", `${when}: ${whole(total)}. ${parts.map((part) => `${part.label} ${whole(part.value)}`).join(", ")}`);
    this.#tip.replaceChildren(
      h("p", { class: "tip-title" }, when),
      h("table", {}, ...parts.map((part) => tipRow(part)), parts.length > 1 ? h("tr", { class: "tip-total" }, h("td"), h("th", {}, "Total"), h("td", {}, whole(total))) : null),
    );
    const x = this.#plot.valToPos(model.at[this.#index] + model.window / 2, "x") + this.#plot.over.offsetLeft;
    const flip = x > this.node.clientWidth / 2;
    vars(this.#tip, { x: `${Math.round(x)}px` });
    this.#tip.classList.toggle("tip-left", flip);
  }
}

function tipRow(part) {
  const dot = h("span", { class: "dot" });
  vars(dot, { dot: `var(--${part.color})` });
  return h("tr", {}, h("td", {}, dot), h("th", {}, part.label), h("td", {}, whole(part.value)));
}

/** Return uPlot's data: the middles of the windows, then the running sums, highest first. */
function stacked(model) {
  const sums = [];
  let below = new Array(model.at.length).fill(0);
  for (const one of model.series) {
    below = one.values.map((value, index) => value + below[index]);
    sums.unshift(below);
  }
  return [model.at.map((start) => start + model.window / 2), ...sums];
}

function niceTop(model) {
  let top = 0;
  for (let index = 0; index < model.at.length; index += 1) {
    top = Math.max(top, model.series.reduce((sum, one) => sum + one.values[index], 0));
  }
  return top === 0 ? 4 : Math.max(4, top * 1.06);
}

function yAxisSize(_plot, values) {
  const longest = (values ?? []).reduce((most, value) => Math.max(most, value.length), 0);
  return 18 + longest * 7.2;
}

const xAxisSize = (_plot, values) => ((values ?? []).some((value) => value.includes("\n")) ? 44 : 28);

/** Label ticks by what changes between them: the clock, with the day under midnight; the day; or the month. */
function timeTicks(_, ticks, __, ___, step) {
  return ticks.map((tick, index) => {
    if (step < DAY) return tick % DAY === 0 || index === 0 ? `${clockText(tick)}\n${dayTextShort(tick)}` : clockText(tick);
    return step < 28 * DAY ? dayTextShort(tick) : monthText(tick);
  });
}
