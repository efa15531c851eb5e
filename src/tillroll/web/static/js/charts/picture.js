// A chart as a picture that can stand alone: title, range, legend, the chart, and where it comes from. SVG, in text; a PNG
// is that, drawn at twice its size.

import { MEASURES } from "../format.js";
import { tickText, ticksOf } from "../grain.js";

const WIDTH = 960;
const LEFT = 64;
const TOP = 96;
const CHART = 320;
const FOOT = 64;
const ROW = 34;
const FONT = "Inter, system-ui, -apple-system, 'Segoe UI', sans-serif";

const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
// Control characters, which XML has not, could only come with a text that nobody checked.
const clean = (text) => [...String(text)].filter((letter) => letter >= " ").join("");

function tag(name, attributes, ...children) {
  const given = Object.entries(attributes).map(([key, value]) => ` ${key}="${escaped(typeof value === "number" ? Math.round(value * 100) / 100 : value)}"`);
  return `<${name}${given.join("")}>${children.join("")}</${name}>`;
}

const text = (x, y, words, fill, size, more = {}) => tag("text", { x, y, fill, "font-size": size, ...more }, escaped(clean(words)));

/**
 * Return a picture as SVG. `picture` is {title, subtitle, source, legend: [{label, color}], before (the dotted line's
 * name)} with a `model` over time or `rows` of bars (and `share`, `measure`); `colors(name)` resolves a colour's name.
 */
export function svgOf(picture, colors) {
  const inside = picture.model ? columns(picture.model, colors) : bars(picture, colors);
  const height = TOP + (picture.model ? CHART : picture.rows.length * ROW) + FOOT;
  return tag(
    "svg",
    { xmlns: "http://www.w3.org/2000/svg", width: WIDTH, height, viewBox: `0 0 ${WIDTH} ${height}`, "font-family": FONT },
    tag("title", {}, escaped(clean(picture.title))),
    tag("rect", { width: WIDTH, height, fill: colors("surface") }),
    text(28, 38, picture.title, colors("ink"), 19, { "font-weight": 600 }),
    text(28, 60, picture.subtitle, colors("muted"), 13),
    legend(picture, colors),
    tag("g", { transform: `translate(0 ${TOP})` }, inside),
    text(28, height - 16, picture.source, colors("muted"), 11),
  );
}

function legend({ legend: parts, before }, colors) {
  let x = 28;
  const shown = parts.map((part) => {
    const drawn = tag("rect", { x, y: 72, width: 10, height: 10, rx: 3, fill: colors(part.color) }) + text(x + 16, 81, part.label, colors("ink"), 12);
    x += 40 + 6.6 * [...part.label].length;
    return drawn;
  });
  if (before) shown.push(tag("path", { d: `M${x} 77h18`, stroke: colors("ink"), "stroke-width": 2, "stroke-dasharray": "2 4", "stroke-linecap": "round" }) + text(x + 24, 81, before, colors("ink"), 12));
  return shown.join("");
}

function columns(model, colors) {
  const count = model.columns.length;
  const measure = MEASURES[model.measure];
  const { step, high } = axis(model);
  const wide = WIDTH - LEFT - 28;
  const x = (index) => LEFT + ((index + 0.5) * wide) / count;
  const y = (value) => CHART - (value / high) * (CHART - 8);
  const width = Math.min(72, (wide / count) * (count > 120 ? 0.94 : 0.86));
  const lines = [];
  for (let value = 0; value <= high; value += step) lines.push(tag("path", { d: `M${LEFT} ${y(value)}H${WIDTH - 28}`, stroke: colors("grid") }), text(LEFT - 10, y(value) + 4, measure.short(value), colors("muted"), 12, { "text-anchor": "end" }));
  const drawn = model.columns.map((column, index) => {
    let below = 0;
    const parts = model.series.map((one) => {
      const from = below;
      below += one.values[index];
      return below === from ? "" : tag("rect", { x: x(index) - width / 2, y: y(below), width, height: y(from) - y(below), fill: colors(one.color) });
    });
    return parts.join("") + (column.part && below ? tag("rect", { x: x(index) - width / 2, y: y(below), width, height: y(0) - y(below), fill: "url(#hatch)" }) : "");
  });
  const hatch = tag("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, tag("rect", { width: 2, height: 6, fill: colors("surface") }));
  const ticks = ticksOf(model.grain, model.zone, model.columns, 12).flatMap((index, at) =>
    tickText(model.grain, model.zone, model.columns[index].start, at === 0).split("\n").map((line, row) => text(x(index), CHART + 18 + 14 * row, line, colors("muted"), 12, { "text-anchor": "middle" })),
  );
  return tag("defs", {}, hatch) + lines.join("") + drawn.join("") + line(model.before, x, y, colors) + ticks.join("");
}

function line(before, x, y, colors) {
  if (!before) return "";
  const path = before.map((value, index) => (value === null ? "" : `${index && before[index - 1] !== null ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`)).join("");
  return tag("path", { d: path, fill: "none", stroke: colors("ink"), "stroke-width": 2, "stroke-dasharray": "2 4", "stroke-linecap": "round" });
}

/** Return the step of the axis, 1, 2 or 5 of some power of ten, and where it ends. */
function axis(model) {
  const sums = model.columns.map((_, index) => model.series.reduce((sum, one) => sum + one.values[index], 0));
  const most = Math.max(4, ...sums, ...(model.before ?? []).map((value) => value ?? 0));
  const power = 10 ** Math.floor(Math.log10(most / 4));
  const step = [1, 2, 5, 10].find((one) => most / (one * power) <= 5) * power;
  return { step, high: Math.ceil(most / step) * step };
}

function bars({ rows, share, measure }, colors) {
  const room = WIDTH - 28 - 220 - 130;
  const sums = rows.map((row) => row.parts.reduce((sum, part) => sum + part.value, 0));
  const most = Math.max(1, ...sums);
  return rows
    .map((row, index) => {
      let x = 240;
      const parts = row.parts.map((part) => {
        const width = (part.value / (share ? Math.max(1, sums[index]) : most)) * room;
        x += width;
        return tag("rect", { x: x - width, y: index * ROW, width: Math.max(0, width - 1), height: 24, fill: colors(part.color) });
      });
      const label = [...row.label].length > 30 ? `${[...row.label].slice(0, 29).join("")}…` : row.label;
      return text(28, index * ROW + 17, label, colors("ink"), 13) + parts.join("") + text(WIDTH - 28, index * ROW + 17, MEASURES[measure].text(row.total), colors("ink"), 13, { "text-anchor": "end" });
    })
    .join("");
}

/** Return the PNG of an SVG, at twice its size. */
export async function pngOf(svg) {
  const address = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    canvas.width = 2 * image.width;
    canvas.height = 2 * image.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => {
      canvas.toBlob(resolve, "image/png");
    });
  } finally {
    URL.revokeObjectURL(address);
  }
}
