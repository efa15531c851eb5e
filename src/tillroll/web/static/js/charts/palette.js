// Colours come from the style sheet, so that both themes are defined in one place. Canvas needs them resolved.

let probe = null;
const resolved = new Map();

/** Return the value of a custom property as a colour that a canvas understands, in the theme of this moment. */
export function color(name) {
  probe ??= document.body.appendChild(Object.assign(document.createElement("span"), { hidden: true }));
  if (!resolved.has(name)) {
    if (!resolved.size) queueMicrotask(() => resolved.clear()); // one drawing asks for each many times, the next anew
    probe.style.color = `var(--${name})`;
    resolved.set(name, getComputedStyle(probe).color);
  }
  return resolved.get(name);
}

const STEPS = 5; // of the scale that brackets have
const NAMES = 3; // colours for names that nobody could mix up

/** Return the name of the colour of a part's value, the `place`-th of those shown. */
export function colorName(part, value, place) {
  const at = part.values?.indexOf(value) ?? place;
  if (part.kind === "bracket" && part.values.length <= STEPS) return `bracket-${at + 1}`;
  if (part.kind === "choice" && part.values.length <= NAMES) return `method-${at + 1}`;
  return `series-${(at % 8) + 1}`;
}
