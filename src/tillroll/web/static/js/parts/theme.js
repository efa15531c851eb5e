// Light, dark, or as the system has it. The choice is the only thing the page keeps beyond the tab.

const KEY = "tillroll.theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const WORDS = { system: "Theme: system", light: "Theme: light", dark: "Theme: dark" };

export function stored() {
  const value = localStorage.getItem(KEY);
  return value in NEXT ? value : "system";
}

export function apply(theme) {
  if (theme === "system") {
    delete document.documentElement.dataset.theme;
    localStorage.removeItem(KEY);
  } else {
    document.documentElement.dataset.theme = theme;
    localStorage.setItem(KEY, theme);
  }
  dispatchEvent(new Event("themechange"));
}

/** Draw charts in the colours of paper while the page is printed: what a canvas has on it no style sheet changes. */
export function printLight() {
  for (const event of ["beforeprint", "afterprint"]) {
    addEventListener(event, () => {
      document.documentElement.toggleAttribute("data-printing", event === "beforeprint");
      dispatchEvent(new Event("themechange"));
    });
  }
}

/** Make a button go through the themes. */
export function bind(button) {
  const show = () => {
    button.title = WORDS[stored()];
    button.setAttribute("aria-label", WORDS[stored()]);
    button.dataset.theme = stored();
  };
  button.addEventListener("click", () => {
    apply(NEXT[stored()]);
    show();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
  show();
}
