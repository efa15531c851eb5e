// How numbers, money and the contract's texts are written for people. Times are in time.js.

import { nameOf } from "./names.js";

const LOCALE = "en-GB";
const number = (options) => new Intl.NumberFormat(LOCALE, options);
const WHOLE = number({});
const SHORT = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 }); // 1.2M
const ONE = number({ maximumFractionDigits: 1 });
const PERCENT = number({ style: "percent", maximumFractionDigits: 0 });
const PERCENT_FINE = number({ style: "percent", maximumFractionDigits: 1 });

export const whole = (count) => WHOLE.format(count);
export const short = (count) => (count < 10_000 ? WHOLE.format(Math.round(count * 10) / 10) : SHORT.format(count));
export const average = (count) => (count < 100 ? ONE.format(count) : WHOLE.format(Math.round(count)));
export const percent = (share) => (share > 0 && share < 0.0005 ? "<0.1%" : (share > 0 && share < 0.1 ? PERCENT_FINE : PERCENT).format(share));
export const bytes = (count) => (count < 1_000 ? `${count} B` : `${SHORT.format(count).replace("K", " k").replace("M", " M").replace("B", " G")}B`);
export const plural = (count, one, many = `${one}s`) => `${whole(count)} ${count === 1 ? one : many}`;

/** Write cents as euro, exactly: €1,234.56. Takes whole numbers of any size. */
export function money(cents) {
  const text = BigInt(cents).toString().padStart(3, "0");
  return `€${WHOLE.format(BigInt(text.slice(0, -2)))}.${text.slice(-2)}`;
}

/** Write cents as euro where there is little room: €1,234, €1.2M. */
export const moneyShort = (cents) => (cents < 1_000 && cents % 100 ? money(Math.round(cents)) : `€${short(Math.round(cents / 100))}`);

/** Return half of a fraction rounded up, as the API rounds an average: cents a purchase. */
export const averageCents = (amount, events) => (events ? Number((2n * BigInt(amount) + BigInt(events)) / (2n * BigInt(events))) : 0);

/** Return a bracket of euro in words: `<10`, `10-50`, `>500`, `>=100`. */
function bracketWords(text) {
  const [, sign, low, high] = /^(<|>=|>)?([\d.]+)(?:-([\d.]+))?$/.exec(text) ?? [];
  if (low === undefined) return text;
  if (high !== undefined) return `€${low}–${high}`;
  return { "<": `Under €${low}`, ">": `Over €${low}`, ">=": `€${low} and more` }[sign] ?? text;
}

/** Return a constant in words: PAY_NOW is "Pay now". Whatever is none stays as it is. */
export const constantWords = (text) => (/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(text) ? text[0] + text.slice(1).toLowerCase().replaceAll("_", " ") : text);

/** Return a value of a part of a report in words; a value of an open one as it is. */
export function word(part, value) {
  if (part.kind === "bracket") return bracketWords(value);
  if (part.kind === "choice") return constantWords(value);
  return part.search ? nameOf(value) : value;
}

/** Return what a part of a report is called. */
export function partTitle(part) {
  const name = part.kind === "bracket" ? "amount" : part.name.replace(/^field\./, "").replaceAll(/[-_]/g, " ");
  return name[0].toUpperCase() + name.slice(1);
}

/** Return a text short enough for a label; whoever shows it offers the whole as well. */
export const brief = (text, characters = 26) => {
  const letters = [...text];
  return letters.length <= characters ? text : `${letters.slice(0, characters - 1).join("")}…`;
};

/** Return how a number changed: {text, direction}, or null when there is nothing to compare with. */
export function change(count, before) {
  if (!before) return null;
  const share = Number(count) / Number(before) - 1;
  const direction = Math.abs(share) < 0.0005 ? 0 : Math.sign(share);
  return { text: percent(Math.abs(share)), direction };
}

/** What can be counted of purchases: how it is called, reckoned from {events, amount}, and written. */
export const MEASURES = {
  events: { title: "Purchases", noun: "purchases", of: (sums) => sums.events, text: whole, short, adds: true, order: "-events" },
  amount: { title: "Turnover", noun: "turnover", of: (sums) => sums.amount ?? 0, text: money, short: moneyShort, adds: true, order: "-amount" },
  average: { title: "Average purchase", noun: "on average", of: (sums) => averageCents(sums.amount ?? 0, sums.events), text: money, short: moneyShort, adds: false, order: null },
};

/** Add sums, whose amounts may be larger than a number holds exactly. */
export function add(into, { events, amount }) {
  into.events += events;
  if (amount === undefined) return;
  const sum = typeof into.amount === "bigint" || typeof amount === "bigint" ? BigInt(into.amount) + BigInt(amount) : into.amount + amount;
  into.amount = typeof sum === "number" && !Number.isSafeInteger(sum) ? BigInt(into.amount) + BigInt(amount) : sum;
}

export const nothing = () => /** @type {{ events: number, amount: number | bigint }} */ ({ events: 0, amount: 0 });

/** Return the sum of rows. */
export function sumOf(rows) {
  const sums = nothing();
  for (const row of rows) add(sums, row);
  return sums;
}
