// Searches the guides: in an index that is fetched when somebody begins to type. What is found is shown as text.

import { debounce, h } from "../js/dom.js";

const SHOWN = 12;
const AROUND = 60; // characters before and after what was found

const input = /** @type {HTMLInputElement} */ (document.getElementById("search"));
const found = document.getElementById("found");
let index = null;

const read = async () => {
  index ??= fetch("/guide/index.json").then((response) => response.json());
  return index;
};

/** Return the sections that have every word, those that have them in the title first. */
function search(sections, words) {
  const rank = (section) => {
    const title = `${section.title} ${section.page}`.toLowerCase();
    const text = `${title} ${section.text}`.toLowerCase();
    if (!words.every((word) => text.includes(word))) return 0;
    return words.every((word) => title.includes(word)) ? 2 : 1;
  };
  const ranked = sections.map((section) => ({ section, rank: rank(section) })).filter((one) => one.rank);
  return ranked.sort((one, other) => other.rank - one.rank).map((one) => one.section);
}

function excerpt(text, word) {
  const at = text.toLowerCase().indexOf(word);
  if (at < 0) return text.slice(0, 2 * AROUND);
  const from = Math.max(0, at - AROUND);
  return [from ? "…" : "", text.slice(from, at), h("mark", {}, text.slice(at, at + word.length)), text.slice(at + word.length, at + word.length + AROUND), "…"];
}

async function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) {
    found.hidden = true;
    return;
  }
  const sections = search(await read(), words);
  const item = (section) => h("li", {}, h("a", { href: section.href }, h("b", {}, section.title), section.title === section.page ? null : h("span", {}, section.page)), h("p", {}, excerpt(section.text, words[0])));
  found.replaceChildren(h("p", { class: "count" }, sections.length ? `${sections.length} found` : "Nothing found"), h("ul", {}, ...sections.slice(0, SHOWN).map(item)));
  found.hidden = false;
}

const tryToShow = () => show().catch(() => found.replaceChildren(h("p", {}, "The server cannot be reached.")));

input.addEventListener("focus", () => read().catch(() => null), { once: true });
input.addEventListener("input", debounce(tryToShow, 80));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") found.hidden = true;
  if (event.key === "/" && document.activeElement !== input) {
    event.preventDefault();
    input.focus();
  }
});
found.addEventListener("click", () => {
  found.hidden = true;
});
addEventListener("click", (event) => {
  if (!(/** @type {Element} */ (event.target).closest(".search"))) found.hidden = true;
});

const menu = document.querySelector(".guides details");
if (matchMedia("(max-width: 900px)").matches) menu.removeAttribute("open");
tryToShow(); // of what was typed before this was loaded
