// Runs before the first paint: a chosen theme must not flash, and the modules of the view that the address asks for are
// fetched beside the page's own instead of after them. The rest of either is in parts/theme.js and main.js.

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
  link.href = `/static/js/${name}.js`;
  document.head.append(link);
}
