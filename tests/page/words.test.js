// Numbers, money, names of files, addresses and pictures, as people and other programs read them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseJson } from "./js/api.js";
import { svgOf } from "./js/charts/picture.js";
import { fileName, recipes } from "./js/elsewhere.js";
import { add, averageCents, change, money, moneyShort, nothing, partTitle, percent, word } from "./js/format.js";
import { timeModel } from "./js/model.js";
import { columnsOf } from "./js/grain.js";
import { format, parse } from "./js/state.js";
import { UTC } from "./js/time.js";

test("money is written to the cent, however much it is", () => {
  assert.equal(money(0), "€0.00");
  assert.equal(money(5), "€0.05");
  assert.equal(money(123_456_789), "€1,234,567.89");
  assert.equal(money(100_000_000_000_000_000_001n), "€1,000,000,000,000,000,000.01");
  assert.equal(moneyShort(123_456_700), "€1.2M");
});

test("amounts beyond what a number holds are taken from the text", () => {
  const [row, small] = parseJson('[{"datapoint":"a\\"amount\\":12345678901234567890|b","events":1,"amount":90071992547409931},{"datapoint":"b","events":2,"amount":5}]');
  assert.equal(row.amount, 90_071_992_547_409_931n);
  assert.equal(row.datapoint, 'a"amount":12345678901234567890|b');
  assert.equal(small.amount, 5);
  const sums = nothing();
  for (const one of [row, small, { events: 1, amount: Number.MAX_SAFE_INTEGER }]) add(sums, one);
  assert.equal(sums.amount, 90_071_992_547_409_931n + 5n + BigInt(Number.MAX_SAFE_INTEGER));
  const grown = nothing();
  for (let turn = 0; turn < 3; turn += 1) add(grown, { events: 1, amount: Number.MAX_SAFE_INTEGER });
  assert.equal(BigInt(grown.amount), 3n * BigInt(Number.MAX_SAFE_INTEGER));
});

test("an average is rounded half up, once", () => {
  assert.equal(averageCents(5, 2), 3);
  assert.equal(averageCents(4, 3), 1);
  assert.equal(averageCents(0, 0), 0);
});

test("changes and shares that are small are not nothing", () => {
  assert.equal(percent(0.0001), "<0.1%");
  assert.equal(percent(0), "0%");
  assert.deepEqual(change(120, 100), { text: "20%", direction: 1 });
  assert.equal(change(5, 0), null);
});

test("texts of datapoints are put in words by the kind of their part", () => {
  const bracket = { name: "bracket", kind: "bracket", values: [] };
  assert.deepEqual(["<10", "10-50", ">500", ">=100", "5.50-10", "odd"].map((text) => word(bracket, text)), ["Under €10", "€10–50", "Over €500", "€100 and more", "€5.50–10", "odd"]);
  assert.equal(word({ name: "x", kind: "choice", values: [] }, "SLICE_IT"), "Slice it");
  assert.equal(word({ name: "x", kind: "open" }, "SLICE_IT"), "SLICE_IT");
  assert.equal(partTitle({ name: "field.hour-of_day", kind: "open" }), "Hour of day");
});

test("an address is the state it was made of", () => {
  for (const hash of ["#/overview", "#/hour-bracket?range=30d&bracket=%3C10&bracket=10-50", "#/x?from=2026-01-01&to=2026-01-02&zone=Europe%2FStockholm&grain=day&compare=year&measure=amount&order=-amount", "#/x?field.range=a&cursor=abc&start=100", "#/purchases?datapoint=10-50%7CSLICE_IT"]) {
    assert.deepEqual(parse(format(parse(hash))), parse(hash), hash);
  }
  assert.deepEqual(parse("#/x?field.range=a&range=7d").filters, { range: ["a"] });
  assert.equal(parse("#/%E0%A4%A").view, "");
});

const plan = { report: { name: "hour-bracket" }, zone: UTC, range: { name: "custom", from: UTC.parse("2026-11-01"), to: UTC.parse("2026-12-01") }, grain: "day", measure: "events", filters: { bracket: ["<10"], merchant: ["a/b\\c:d*?", "<img src=x>"] } };

test("a file's name says report, range and filters, in characters that every system takes", () => {
  const name = fileName(plan, "csv");
  assert.equal(name, "tillroll_hour-bracket_by-day_2026-11-01_to_2026-12-01_bracket-under-10_merchant-a-b-c-d-+under-img-src-xover-.csv");
  assert.ok(fileName({ ...plan, filters: { merchant: ["x".repeat(500)] } }, "csv").length < 140);
});

test("what is copied cannot break out of the quotes of a shell, of Python or of SQL", () => {
  const address = "http://localhost:8080/reports/x?merchant=it's%22%24(id)&by=day";
  const found = Object.fromEntries(recipes(address, true));
  assert.ok(found.curl.endsWith(`'http://localhost:8080/reports/x?merchant=it'\\''s%22%24(id)&by=day'`));
  assert.ok(!found.DuckDB.slice(found.DuckDB.indexOf("('") + 2, -3).includes("'"));
  assert.ok(found.pandas.includes("os.environ"));
  assert.equal(JSON.parse(Object.fromEntries(recipes(address, false)).Grafana).url, address);
});

test("a picture is SVG that holds every text as text", () => {
  const columns = columnsOf("day", UTC, plan.range, UTC.parse("2026-11-20"));
  const rows = [{ at: columns[0].start, values: {}, events: 7, amount: 0 }];
  const model = timeModel(rows, { columns, grain: "day", zone: UTC, stack: null, measure: "events", before: columns.map(() => ({ events: 3, amount: 0 })) });
  const svg = svgOf({ title: "<script>alert(1)</script>\u0000", subtitle: "a & b", source: "here", legend: [], before: "Last month", model }, () => "#123456");
  assert.ok(!svg.includes("<script"));
  assert.ok(svg.includes("&lt;script&gt;") && svg.includes("a &amp; b") && !svg.includes("\u0000") && !svg.includes("NaN"));
  assert.match(svg, /stroke-dasharray/);
});
