// How far each report is counted: every version of it, its position, and what it takes.

import { h } from "../dom.js";
import { bytes, whole } from "../format.js";

/** Return the table of `GET /reports`. `drop(state)` is what may be done with one of one's own. */
export function statesTable(states, drop = null) {
  const sized = states.some((state) => state.datapoints !== null || state.bytes !== null);
  const droppable = drop && states.some((state) => state.own);
  const head = ["Report", "Version", "Counted", "Position", ...(sized ? ["Datapoints", "Size"] : []), ...(droppable ? ["Drop"] : [])];
  return h(
    "table",
    { class: "data states" },
    h("caption", { class: "sr" }, "Reports and their progress"),
    h("thead", {}, h("tr", {}, ...head.map((title, index) => h("th", { scope: "col", class: headClass(index, title) }, title)))),
    h("tbody", {}, ...states.map((state) => h("tr", { "data-report": state.name }, ...cells(state, droppable ? drop : null, sized)))),
  );
}

/** Return the class of a head: that of the cells below it, some of which a phone leaves out. */
function headClass(index, title) {
  if (index < 2 || title === "Drop") return null;
  return title === "Counted" ? "num" : "num side";
}

function cells(state, drop, sized) {
  const counted = state.whole ? "all" : `${whole(Math.floor((100 * state.position) / Math.max(1, state.journal_position)))}%`;
  const title = state.readable ? h("a", { href: `#/${encodeURIComponent(state.name)}` }, state.title) : state.title;
  const progress = h("progress", { max: Math.max(1, state.journal_position), value: state.position, "aria-label": `${state.name}: counted` });
  return [
    h("td", { class: "name" }, title, state.readable ? null : h("span", { class: "tag" }, "being counted")),
    h("td", {}, state.own ? whole(state.version) : "built-in"),
    h("td", { class: "num", title: `${whole(state.position)} of ${whole(state.journal_position)}` }, state.whole ? null : progress, counted),
    h("td", { class: "num side" }, whole(state.position)),
    ...(sized ? [h("td", { class: "num side" }, state.datapoints === null ? "" : whole(state.datapoints)), h("td", { class: "num side" }, state.bytes === null ? "" : bytes(state.bytes))] : []),
    drop ? h("td", {}, state.own ? sure("Drop", `drop-${state.name}-${state.version}`, () => drop(state)) : null) : null,
  ];
}

/** Return a button that asks once more before it acts. */
export function sure(text, id, act, kind = "danger") {
  const button = h("button", { type: "button", class: `button ${kind}`, id }, text);
  button.addEventListener("click", async () => {
    if (!button.dataset.sure) {
      button.dataset.sure = "yes";
      button.textContent = `Confirm: ${text}`;
      return;
    }
    button.setAttribute("aria-busy", "true");
    try {
      await act();
    } catch (error) {
      button.after(h("span", { class: "field-error", role: "alert" }, error.message));
    } finally {
      button.removeAttribute("aria-busy");
      delete button.dataset.sure;
      button.textContent = text;
    }
  });
  return button;
}
