// A definition of a report of one's own, from what stands in the form. Checked by the server, which names what is wrong.

/** Return bounds of brackets in cents, from euro parted by commas: "5.50, 20". What is no amount stays for the server to refuse. */
export function boundsOf(text) {
  const parts = text.split(",").map((part) => part.trim()).filter(Boolean);
  return parts.map((part) => {
    const found = /^(\d{1,10})(?:[.](\d{1,2}))?$/.exec(part);
    return found ? Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0")) : part;
  });
}

/** Return values parted by commas; one that is quoted may have a comma. */
export const valuesOf = (text) => [...text.matchAll(/"([^"]*)"|([^,]+)/g)].map(([, quoted, bare]) => (quoted ?? bare).trim()).filter(Boolean);

/** Return a name for a title: a-z, 0-9 and -, up to 40. */
export const nameOf = (title) => title.toLowerCase().normalize("NFKD").replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-+|-+$/g, "").slice(0, 40);

/**
 * Return the definition of what was filled in: {title, name, by, zone, where, brackets}, without what is not given.
 * @param {{ title: string, name: string, by: string[], zone: string, where: Record<string, string[]>, brackets: string }} given
 */
export function definitionOf({ title, name, by, zone, where, brackets }) {
  const conditions = Object.entries(where).filter(([, values]) => values.length);
  return {
    name: name.trim() || nameOf(title),
    ...(title.trim() ? { title: title.trim() } : {}),
    by,
    ...(zone && zone !== "UTC" ? { zone } : {}),
    ...(conditions.length ? { where: Object.fromEntries(conditions) } : {}),
    ...(brackets.trim() ? { brackets: boundsOf(brackets) } : {}),
  };
}
