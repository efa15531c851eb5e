// Before the first paint: the theme that was chosen on the page, or else the system's. Swagger UI has a dark one by a class.

const dark = matchMedia("(prefers-color-scheme: dark)");

function show() {
  const chosen = localStorage.getItem("tillroll.theme");
  const isDark = chosen === "dark" || (chosen !== "light" && dark.matches);
  document.documentElement.classList.toggle("dark-mode", isDark);
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

dark.addEventListener("change", show);
addEventListener("storage", show);
show();
