// The trail: how one came into a view, step by step, each a way back. It is kept with the browser's history, so that Back
// and a reload keep it; a link given to somebody else has none.

import { h } from "../dom.js";

export const trailOf = () => /** @type {{ address: string, label: string }[]} */ (history.state?.trail ?? []);

/** Return the trail to what is shown, or nothing when nobody came by one. */
export function trailBar(label) {
  const trail = trailOf();
  if (!trail.length) return null;
  const step = ({ address, label: text }, index) => h("li", {}, h("a", { href: address, "data-trail": index }, text));
  return h("nav", { class: "trail", "aria-label": "Breadcrumb" }, h("ol", {}, ...trail.map(step), h("li", { "aria-current": "page" }, label)));
}
