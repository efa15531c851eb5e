// A chart as a PNG that can stand alone: title, subtitle, legend, and the chart itself, in the colours of the theme.

import { whole } from "../format.js";
import { color } from "./palette.js";

const PADDING = 28;
const FONT = "Inter, system-ui, sans-serif";

/** Return the PNG of `picture`: {title, subtitle, legend: [{label, color}], and either canvas, or rows as `bars` takes them}. */
export function png(picture) {
  const scale = picture.canvas ? picture.canvas.width / picture.canvas.clientWidth : 2;
  const width = picture.canvas ? picture.canvas.clientWidth : 860;
  const height = picture.canvas ? picture.canvas.clientHeight : picture.rows.length * 34;
  const head = 84;
  const canvas = document.createElement("canvas");
  canvas.width = (width + 2 * PADDING) * scale;
  canvas.height = (height + head + 2 * PADDING) * scale;
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  pen.fillStyle = color("surface");
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.translate(PADDING, PADDING);
  heading(pen, picture);
  pen.translate(0, head);
  if (picture.canvas) pen.drawImage(picture.canvas, 0, 0, width, height);
  else drawBars(pen, picture, width);
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}

function heading(pen, { title, subtitle, legend }) {
  pen.textBaseline = "top";
  write(pen, title, 0, 0, "ink", `600 18px ${FONT}`);
  write(pen, subtitle, 0, 26, "muted", `13px ${FONT}`);
  let x = 0;
  for (const part of legend) {
    pen.fillStyle = color(part.color);
    pen.fillRect(x, 54, 10, 10);
    write(pen, part.label, x + 16, 52, "ink", `12px ${FONT}`);
    x += pen.measureText(part.label).width + 36;
  }
}

function drawBars(pen, { rows, share }, width) {
  const [label, number] = [220, 80];
  const room = width - label - number;
  const sums = rows.map((row) => row.parts.reduce((sum, part) => sum + part.value, 0));
  const most = Math.max(1, ...sums);
  rows.forEach((row, index) => {
    const y = index * 34;
    write(pen, row.label, 0, y + 6, "ink", `13px ${FONT}`);
    let x = label;
    for (const part of row.parts) {
      const size = (part.value / (share ? Math.max(1, sums[index]) : most)) * room;
      pen.fillStyle = color(part.color);
      pen.fillRect(x, y, Math.max(0, size - 1), 24);
      x += size;
    }
    pen.textAlign = "right";
    write(pen, whole(sums[index]), width, y + 6, "ink", `13px ${FONT}`);
    pen.textAlign = "left";
  });
}

function write(pen, text, x, y, ink, font) {
  pen.font = font;
  pen.fillStyle = color(ink);
  pen.fillText(text, x, y);
}
