// Runs before the first paint, so that a chosen theme does not flash. The rest of it is in parts/theme.js.
const chosen = localStorage.getItem("tillroll.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
