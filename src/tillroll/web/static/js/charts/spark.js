// A sparkline: the shape of some numbers in the space of a word. Decoration beside a number that is written out.

import { svg } from "../dom.js";

const WIDTH = 120;
const HEIGHT = 32;

/** Return a sparkline of columns; those before `from` (the span before) are paler, those from `to` on are yet to come. */
export function spark(values, from = 0, to = values.length) {
  const most = Math.max(1, ...values);
  const step = WIDTH / Math.max(1, values.length);
  const columns = values.slice(0, to).map((value, index) => {
    const height = value === 0 ? 0.75 : Math.max(1.5, (value / most) * HEIGHT);
    return svg("rect", { x: (index * step).toFixed(2), y: (HEIGHT - height).toFixed(2), width: Math.max(0.5, step * 0.78).toFixed(2), height: height.toFixed(2), class: index < from ? "spark-before" : "spark-now" });
  });
  return svg("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...columns);
}
