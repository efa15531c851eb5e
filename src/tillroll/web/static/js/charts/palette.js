// Colours come from the style sheet, so that both themes are defined in one place. Canvas needs them resolved.

const probe = document.createElement("span");
probe.hidden = true;

/** Return the value of a custom property as a colour that a canvas understands, in the theme of this moment. */
export function color(name) {
  if (!probe.isConnected) document.body.append(probe);
  probe.style.color = `var(--${name})`;
  return getComputedStyle(probe).color;
}

const PLACES = {
  "<10": "bracket-1",
  "10-50": "bracket-2",
  "50-100": "bracket-3",
  "100-500": "bracket-4",
  ">500": "bracket-5",
  PAY_NOW: "method-1",
  PAY_LATER: "method-2",
  SLICE_IT: "method-3",
  accepted: "outcome-1",
  duplicates: "outcome-2",
  conflicts: "outcome-3",
  rejected: "outcome-4",
};

/** Return the name of the colour of a bracket, a method or an outcome, and else that of the n-th of a list. */
export const colorName = (value, index = 0) => PLACES[value] ?? `series-${(index % 8) + 1}`;
