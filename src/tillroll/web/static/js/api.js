// The public HTTP API, and nothing else: what the page can show, any other program can read.

// A token that may read and one that may send need not be the same; each is kept for this tab only.
const KEYS = { read: "tillroll.token", send: "tillroll.send_token", manage: "tillroll.manage_token" };
/** @type {(reason: string) => Promise<string | null>} */
let askForToken = async () => null;
const asking = {};
/** Answers that early.js has asked for already, by their addresses. @type {Record<string, Promise<Response>>} */
const early = /** @type {any} */ (globalThis).early ?? {};

/** What the server answered instead of what was asked for. `status` is 0 when it did not answer at all. */
export class ApiError extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.problem = problem;
  }
}

export const tokens = {
  get: (right) => sessionStorage.getItem(KEYS[right]) ?? sessionStorage.getItem(KEYS.read),
  forget: () => {
    for (const key of Object.values(KEYS)) sessionStorage.removeItem(key);
  },
  /** Say how to ask for one: a function of the reason that resolves to a token, or to null when none is given. */
  askWith: (ask) => {
    askForToken = ask;
  },
};

/** Ask for another token, once however many requests want one. Resolves to whether there is a new one. */
export function renewToken(right, reason) {
  asking[right] ??= askForToken(reason).finally(() => delete asking[right]);
  return asking[right].then((value) => {
    if (value) sessionStorage.setItem(KEYS[right], value);
    return Boolean(value);
  });
}

/**
 * Return the answer to a request that the server took; ask for a token when it wants another. Throws ApiError.
 * @param {string} path
 * @param {{ method?: string, body?: BodyInit, headers?: Record<string, string>, signal?: AbortSignal, right?: string }} [options]
 */
export async function request(path, { method = "GET", body, headers = {}, signal, right = method === "GET" ? "read" : "send" } = {}) {
  for (;;) {
    const held = tokens.get(right);
    const response = await send(path, { method, body, signal, headers: held ? { ...headers, Authorization: `Bearer ${held}` } : headers });
    if (response.ok) return response;
    const problem = await problemOf(response);
    const wanting = response.status === 401 || problem.code === "token_forbids";
    if (right === "read" && problem.code === "token_forbids") sessionStorage.setItem(KEYS.send, held); // it is of use there
    const renewed = wanting && (tokens.get(right) !== held || (await renewToken(right, reasonOf(right, held, problem.code))));
    if (!renewed) throw new ApiError(response.status, problem);
  }
}

function reasonOf(right, held, code) {
  if (right !== "read") return right;
  if (code === "token_forbids") return "sends";
  return held ? "refused" : "wanted";
}

async function send(path, options) {
  const { [path]: begun = null } = early;
  delete early[path];
  try {
    return await (begun ?? fetch(path, { cache: "no-store", credentials: "same-origin", ...options }));
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { detail: "The server cannot be reached." });
  }
}

async function problemOf(response) {
  try {
    return (await response.json()) ?? {};
  } catch {
    return { title: response.statusText || `The server answered ${response.status}.` };
  }
}

export const getJson = async (path, options) => parseJson(await (await request(path, options)).text());

/** Read JSON whose amounts may be larger than a number holds exactly: such a one is a BigInt. */
export function parseJson(text) {
  const marked = text.replaceAll(/("amount":)(\d{16,})/g, '$1"$2"');
  const big = (row) => (typeof row.amount === "string" ? { ...row, amount: BigInt(row.amount) } : row);
  const value = JSON.parse(marked);
  return marked !== text && Array.isArray(value) ? value.map(big) : value;
}

/**
 * Return the address that asks a report a question; the same one serves any other program.
 * @param {string} name
 * @param {Record<string, any>} [question]
 */
export function reportPath(name, { from, to, zone, filters = {}, by, measures, order, limit, cursor, format, columns } = {}) {
  const query = new URLSearchParams();
  if (from) query.set("from", from);
  if (to) query.set("to", to);
  if (zone) query.set("zone", zone);
  for (const [dimension, values] of Object.entries(filters)) {
    for (const value of values) query.append(dimension, value);
  }
  if (by?.length) query.set("by", by.join(","));
  if (measures) query.set("measures", measures);
  if (order && order !== "datapoint") query.set("order", order);
  if (limit) query.set("limit", limit);
  if (cursor) query.set("cursor", cursor);
  if (format) query.set("format", format);
  if (columns) query.set("columns", columns);
  const text = query.toString();
  return `/reports/${encodeURIComponent(name)}${text ? `?${text}` : ""}`;
}

const KEPT_MOST = 40;
const kept = new Map();
let standing = null;

/**
 * Say where the server stands, as a text; null when nobody knows. What was answered since it stands there is what it
 * would answer again, and is kept.
 */
export function keepAnswers(position) {
  if (position !== standing) kept.clear();
  standing = position;
}

/**
 * Return one page of a report: its rows, the totals of all pages, and the cursor of the next (or null). Only an answer
 * without a cursor has the totals; they are not numbers in any other. What is returned is not to be changed.
 */
export async function page(path, options) {
  const known = kept.get(path);
  if (known) return known;
  const asked = standing;
  const found = await readPage(path, options);
  if (asked !== null && asked === standing) {
    if (kept.size >= KEPT_MOST) kept.delete(kept.keys().next().value);
    kept.set(path, found);
  }
  return found;
}

async function readPage(path, options) {
  const response = await request(path, options);
  return {
    rows: parseJson(await response.text()),
    datapoints: Number.parseInt(response.headers.get("Tillroll-Datapoints"), 10),
    events: Number.parseInt(response.headers.get("Tillroll-Events"), 10),
    amount: amountOf(response.headers.get("Tillroll-Amount")),
    next: nextCursor(response),
  };
}

const amountOf = (text) => (text === null ? undefined : Number.isSafeInteger(Number(text)) ? Number(text) : BigInt(text));

/** Return the cursor in a response's `Link: <...>; rel="next"`, or null on the last page. */
export function nextCursor(response) {
  const match = /<([^>]*)>;\s*rel="?next"?/.exec(response.headers.get("Link") ?? "");
  return match ? new URL(match[1], location.href).searchParams.get("cursor") : null;
}

/**
 * Return all rows of a question, page after page, up to `most` of them.
 * @param {string} name
 * @param {Record<string, any>} question
 * @param {{ signal?: AbortSignal, most?: number }} [options]
 */
export async function everything(name, question, { signal, most = 50_000 } = {}) {
  const rows = [];
  let cursor = null;
  do {
    const part = await page(reportPath(name, { ...question, limit: 10_000, cursor }), { signal });
    for (const row of part.rows) rows.push(row);
    cursor = part.next;
  } while (cursor && rows.length < most);
  return rows;
}
