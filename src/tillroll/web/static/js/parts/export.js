// Ways to take what is shown elsewhere: CSV of the rows, PNG of the chart, and the API address of the same data.

import { nextCursor, request } from "../api.js";
import { png } from "../charts/image.js";
import { announce, copyText, h, icon, saveFile } from "../dom.js";
import { plural, whole } from "../format.js";

const CSV_ROWS_MOST = 500_000;

/** Return the bar. `picture` returns what `png` draws; `path` asks for all rows, `pagePath` for the page shown. */
export function exportBar({ plan, page, path, pagePath, picture }) {
  const name = `tillroll-${plan.report.name}`;
  const many = page.datapoints > page.rows.length;
  const address = new URL(path, location.href).href;
  return h(
    "section",
    { class: "card export", "aria-label": "Take it elsewhere" },
    h("h2", {}, "Take it elsewhere"),
    h(
      "div",
      { class: "buttons" },
      button("csv-page", many ? `CSV of these ${whole(page.rows.length)} rows` : `CSV of ${plural(page.rows.length, "row")}`, () => savePage(name, pagePath), page.rows.length > 0),
      many ? button("csv-all", `CSV of all ${whole(page.datapoints)} rows`, () => saveAll(name, path), page.datapoints <= CSV_ROWS_MOST) : null,
      button("png", "PNG of the chart", async () => saveFile(`${name}.png`, await png(picture())), true),
    ),
    page.datapoints > CSV_ROWS_MOST ? h("p", { class: "hint" }, "So many rows are better read page after page from the API, or with ", h("code", {}, "tillroll report"), ".") : null,
    addressBox(address),
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
  const copy = h("button", { type: "button", class: "button", id: "copy-address" }, icon("copy"), "Copy");
  copy.addEventListener("click", async () => {
    const copied = await copyText(address);
    if (!copied) input.select();
    copy.lastChild.textContent = copied ? "Copied" : "Press Ctrl+C";
    announce(copied ? "The address is copied" : "The address is selected: press Control C");
    setTimeout(() => {
      copy.lastChild.textContent = "Copy";
    }, 2_000);
  });
  return h("div", { class: "address" }, h("label", { for: input.id }, "API address of the same data"), h("div", { class: "address-row" }, input, copy));
}

const csvOf = (path) => request(path, { headers: { Accept: "text/csv" } });

async function savePage(name, path) {
  const response = await csvOf(path);
  saveFile(`${name}.csv`, await response.blob());
}

/** Save all rows, page after page, with one header line. */
async function saveAll(name, path) {
  const parts = [];
  let cursor = null;
  do {
    const url = new URL(path, location.href);
    url.searchParams.set("limit", "10000");
    if (cursor) url.searchParams.set("cursor", cursor);
    const response = await csvOf(url.pathname + url.search);
    const text = await response.text();
    parts.push(parts.length ? text.slice(text.indexOf("\n") + 1) : text);
    cursor = nextCursor(response);
  } while (cursor);
  saveFile(`${name}.csv`, new Blob(parts, { type: "text/csv" }));
}
