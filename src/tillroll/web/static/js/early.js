// Runs before the first paint: a chosen theme must not flash. What the view that the address asks for needs, modules and
// the first answers, is fetched beside the page's own modules instead of after them. The rest is in parts/theme.js and
// main.js.

const chosen = localStorage.getItem("tillroll.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;

const modules = {
  overview: ["charts/bars", "charts/columns", "charts/heatmap", "charts/palette", "charts/spark", "model", "parts/table", "parts/tools", "question", "views/overview", "views/spans"],
  report: ["charts/bars", "charts/columns", "charts/palette", "charts/picture", "elsewhere", "model", "parts/export", "parts/filters", "parts/search", "parts/table", "parts/tools", "question", "views/report"],
  operations: ["charts/bars", "charts/columns", "charts/palette", "parts/rejected", "parts/states", "parts/table", "parts/tools", "views/operations"],
  reports: ["definition", "parts/states", "parts/tools", "views/reports"],
  purchases: ["views/purchases"],
};
const asked = /^#\/([^?]*)/.exec(location.hash)?.[1] || "overview";
for (const name of Object.hasOwn(modules, asked) ? modules[asked] : modules.report) {
  const link = document.createElement("link");
  link.rel = "modulepreload";
  link.href = new URL(`${name}.js`, /** @type {HTMLScriptElement} */ (document.currentScript).src).href;
  document.head.append(link);
}

// What api.js would ask for first, by the addresses that it would ask. One that it does not ask is of no use, and no harm.
const held = sessionStorage.getItem("tillroll.token");
const ask = (address) => fetch(address, { cache: "no-store", credentials: "same-origin", headers: held ? { Authorization: `Bearer ${held}` } : {} });
const early = { "/reports": ask("/reports"), "/status": ask("/status").then(askCalendar) };
/** @type {any} */ (globalThis).early = early;
for (const answer of Object.values(early)) answer.catch(() => null); // whoever waits for it will say what is wrong

/** Ask for the calendar as well: only now, so that nothing that is counted meanwhile is missed. */
async function askCalendar(status) {
  const { zone } = await status.clone().json().catch(() => ({}));
  const search = new URLSearchParams(location.hash.split("?")[1]);
  // A zone that somebody wrote into the address may be none.
  if (zone && !search.has("zone") && (asked === "overview" || !Object.hasOwn(modules, asked))) {
    const question = [zone === "UTC" ? [] : [["zone", zone]], [["by", "day"]], asked === "overview" && search.has("measure") ? [["measures", "events,amount"]] : [], [["limit", 10_000]]];
    const address = `/reports/hour-bracket?${new URLSearchParams(question.flat())}`;
    early[address] = ask(address);
    early[address].catch(() => null);
  }
  return status;
}
