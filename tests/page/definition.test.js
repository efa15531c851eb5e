// Definitions of reports, from what stands in the form.

import assert from "node:assert/strict";
import { test } from "node:test";
import { boundsOf, definitionOf, nameOf, valuesOf } from "./js/definition.js";

test("bounds in euro are cents, exactly, and what is none is left for the server to refuse", () => {
  assert.deepEqual(boundsOf("5.50, 20,100"), [550, 2_000, 10_000]);
  assert.deepEqual(boundsOf("0.1,0.29, 1.005, -3, ten"), [10, 29, "1.005", "-3", "ten"]);
});

test("values are parted by commas, but for those in quotes", () => {
  assert.deepEqual(valuesOf('SE, NO ,"a, b",'), ["SE", "NO", "a, b"]);
  assert.deepEqual(valuesOf(" "), []);
});

test("a name is made of the title", () => {
  assert.equal(nameOf("Umsätze je Woche & Methode!"), "umsa-tze-je-woche-methode");
  assert.equal(nameOf("x".repeat(60)).length, 40);
});

test("a definition has only what was given", () => {
  const given = { title: "", name: "", by: ["week", "method"], zone: "UTC", where: { method: [], merchant: [] }, brackets: "" };
  assert.deepEqual(definitionOf({ ...given, name: "a" }), { name: "a", by: ["week", "method"] });
  assert.deepEqual(definitionOf({ ...given, title: "Per week", zone: "Europe/Stockholm", where: { method: ["PAY_NOW"], merchant: [] }, brackets: "10" }), { name: "per-week", title: "Per week", by: ["week", "method"], zone: "Europe/Stockholm", where: { method: ["PAY_NOW"] }, brackets: [1_000] });
});
