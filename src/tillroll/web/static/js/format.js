// How numbers and the contract's words are written for people. Times are in time.js.

const LOCALE = "en-GB";
const WHOLE = new Intl.NumberFormat(LOCALE);
const SHORT = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const ONE = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 1 });
const PERCENT = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 0 });
const PERCENT_FINE = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });

export const BRACKETS = ["<10", "10-50", "50-100", "100-500", ">500"];
export const METHODS = ["PAY_NOW", "PAY_LATER", "SLICE_IT"];

const WORDS = {
  "<10": "Under €10",
  "10-50": "€10–50",
  "50-100": "€50–100",
  "100-500": "€100–500",
  ">500": "Over €500",
  PAY_NOW: "Pay now",
  PAY_LATER: "Pay later",
  SLICE_IT: "Slice it",
};

const DIMENSIONS = { hour: "Hour", day: "Day", bracket: "Amount", method: "Method", merchant: "Merchant" };

export const whole = (number) => WHOLE.format(number);
export const short = (number) => (number < 10_000 ? WHOLE.format(number) : SHORT.format(number));
export const average = (number) => (number < 100 ? ONE.format(number) : WHOLE.format(Math.round(number)));
export const percent = (share) => (share > 0 && share < 0.1 ? PERCENT_FINE : PERCENT).format(share);
export const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

/** Return a bracket or a method in words, and anything else (a merchant) as it is. */
export const word = (dimension, value) =>
  dimension === "bracket" || dimension === "method" ? (WORDS[value] ?? value) : value;

export const dimensionWord = (dimension) => DIMENSIONS[dimension] ?? dimension;

/** Return a merchant short enough for a label; whoever shows it offers the whole name as well. */
export const brief = (name, characters = 26) => {
  const letters = [...name];
  return letters.length <= characters ? name : `${letters.slice(0, characters - 1).join("")}…`;
};

/** Return a change as people say it: +12 %, or null when there is nothing to compare with. */
export function change(now, before) {
  if (!before) return null;
  const share = now / before - 1;
  const text = percent(Math.abs(share));
  return { text, direction: Math.abs(share) < 0.0005 ? 0 : Math.sign(share) };
}
