// Before the first paint: the theme that was chosen on the page, or else the system's.

const chosen = localStorage.getItem("tillroll.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
