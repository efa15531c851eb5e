// Ways to take what is shown elsewhere: CSV of the rows, pictures of the chart, and how other tools ask for the same.

import { nextCursor, request, tokens } from "../api.js";
import { color } from "../charts/palette.js";
import { pngOf, svgOf } from "../charts/picture.js";
import { announce, copyText, h, icon, saveFile } from "../dom.js";
import { fileName, recipes } from "../elsewhere.js";
import { plural, whole } from "../format.js";
import { choice } from "./tools.js";

const ROWS_MOST = 500_000; // of a file
const ROWS_AT_ONCE = 10_000;

/**
 * Return the bar. `picture` returns what `svgOf` draws, or null; `path` asks for all rows, `pagePath` for the page shown;
 * `parquet` says whether the server writes that.
 */
export function exportBar({ plan, page, path, pagePath, picture, parquet }) {
  const many = page.datapoints > page.rows.length;
  const address = new URL(path, location.href).href;
  const named = (extension) => fileName(plan, extension);
  const svg = () => svgOf(picture(), color);
  return h(
    "section",
    { class: "card export", "aria-label": "Export" },
    h("h2", {}, "Export"),
    h(
      "div",
      { class: "buttons" },
      button("csv-page", many ? `CSV of these ${whole(page.rows.length)} rows` : `CSV of ${plural(page.rows.length, "row")}`, async () => saveFile(named("csv"), await (await csvOf(pagePath)).blob()), page.rows.length > 0),
      many ? button("csv-all", `CSV of all ${whole(page.datapoints)} rows`, () => saveAll(named("csv"), path), page.datapoints <= ROWS_MOST) : null,
      parquet ? button("parquet", many ? `Parquet of all ${whole(page.datapoints)} rows` : `Parquet of ${plural(page.rows.length, "row")}`, async () => saveFile(named("parquet"), await (await request(parquetOf(path))).blob()), page.rows.length > 0 && page.datapoints <= ROWS_MOST) : null,
      button("png", "PNG of the chart", async () => saveFile(named("png"), await pngOf(svg())), page.rows.length > 0),
      button("svg", "SVG of the chart", async () => saveFile(named("svg"), new Blob([svg()], { type: "image/svg+xml" })), page.rows.length > 0),
    ),
    page.datapoints > ROWS_MOST ? h("p", { class: "hint" }, "For this many rows, use the API page by page, or ", h("code", {}, "tillroll report"), ".") : null,
    addressBox(address),
    recipeBox(address, page.datapoints),
  );
}

function button(id, text, action, enabled) {
  const run = async (event) => {
    const pressed = event.currentTarget;
    pressed.setAttribute("aria-busy", "true");
    try {
      await action();
      announce(`${text}: saved`);
    } catch (error) {
      announce(error.message);
      pressed.after(h("span", { class: "field-error", role: "alert" }, error.message));
    } finally {
      pressed.removeAttribute("aria-busy");
    }
  };
  return h("button", { type: "button", class: "button", id, disabled: !enabled, onclick: run }, icon("download"), text);
}

function addressBox(address) {
  const input = h("input", { class: "input mono", id: "api-address", readonly: true, value: address, onfocus: (event) => event.target.select() });
  return h("div", { class: "address" }, h("label", { for: input.id }, "API address of the same data"), h("div", { class: "address-row" }, input, copyButton("copy-address", () => address, () => input.select())));
}

let chosenRecipe = "curl"; // while the page is open: what is counted must not change it

/** Return the same question in the words of other tools, one at a time. */
function recipeBox(address, datapoints) {
  const found = recipes(address, Boolean(tokens.get("read")));
  const code = h("code");
  const show = (name) => {
    chosenRecipe = name;
    code.textContent = found.find(([one]) => one === name)[1];
  };
  const select = choice("recipe", "Copy as", found.map(([name]) => [name, name]), chosenRecipe, show);
  show(chosenRecipe);
  const pre = h("pre", { class: "recipe", tabindex: 0, role: "region", "aria-label": "Copy as" }, code);
  const note = datapoints > ROWS_AT_ONCE ? h("p", { class: "hint" }, `An answer has ${whole(ROWS_AT_ONCE)} rows at most; its Link header has the address of the next page.`) : null;
  return h("div", { class: "recipes" }, h("div", { class: "address-row" }, select, copyButton("copy-recipe", () => code.textContent, () => getSelection().selectAllChildren(code))), pre, note);
}

function copyButton(id, textOf, select) {
  const copy = h("button", { type: "button", class: "button", id }, icon("copy"), "Copy");
  copy.addEventListener("click", async () => {
    const copied = await copyText(textOf());
    if (!copied) select();
    copy.lastChild.textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(copied ? "Copied" : "Selected: press Control C");
    setTimeout(() => {
      copy.lastChild.textContent = "Copy";
    }, 2_000);
  });
  return copy;
}

/** Return the address of all rows as one file of Parquet. */
function parquetOf(path) {
  const url = new URL(path, location.href);
  url.searchParams.set("format", "parquet");
  return url.pathname + url.search;
}

const csvOf = (path) => request(path, { headers: { Accept: "text/csv" } });

/** Save all rows, page after page, with one header line. */
async function saveAll(name, path) {
  const parts = [];
  let cursor = null;
  do {
    const url = new URL(path, location.href);
    url.searchParams.set("limit", String(ROWS_AT_ONCE));
    if (cursor) url.searchParams.set("cursor", cursor);
    const response = await csvOf(url.pathname + url.search);
    const text = await response.text();
    parts.push(parts.length ? text.slice(text.indexOf("\n") + 1) : text);
    cursor = nextCursor(response);
  } while (cursor);
  saveFile(name, new Blob(parts, { type: "text/csv" }));
}
