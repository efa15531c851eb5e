// Names of values that the server has names for: merchants. Ids stay what is asked for, filtered by and exported.

import { getJson } from "./api.js";

const AT_ONCE = 100;
const known = new Map();
let named = false;

/** Say whether the server has names at all. */
export function haveNames(on) {
  named = on;
}

/** Return what a value is called: its name, else itself; a UUID so short that it still differs where it can be seen. */
export const nameOf = (value) => known.get(value) ?? value;
export const shortOf = (value) => known.get(value) ?? (/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(value) ? `${value.slice(0, 8)}…${value.slice(-6)}` : value);

/** Learn the names of values of a part. Without them the ids are shown. */
export async function learn(part, values, signal) {
  if (!named || !part?.search) return;
  const wanted = [...new Set(values)].filter((value) => !known.has(value));
  const pages = [];
  for (let start = 0; start < wanted.length; start += AT_ONCE) pages.push(wanted.slice(start, start + AT_ONCE));
  await Promise.all(
    pages.map(async (page) => {
      const query = new URLSearchParams(page.map((value) => ["id", value]));
      for (const [value, name] of Object.entries(await getJson(`${part.search}/names?${query}`, { signal }))) known.set(value, name);
    }),
  );
}
