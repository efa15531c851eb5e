// How what is shown is taken elsewhere: the names of files, and how other tools ask the API for the same rows.

/** Return the name of a file with what it holds: report, range and filters; in characters that every system takes. */
export function fileName({ report, zone, range, grain, filters, measure }, extension) {
  const span = range.name === "all" ? ["all"] : [zone.parameter(range.from), zone.parameter(range.to)].map((text) => text.replaceAll(":", ""));
  const chosen = Object.entries(filters).map(([name, values]) => `${name}-${values.join("+")}`);
  const parts = ["tillroll", report.name, grain && `by-${grain}`, measure === "events" ? null : measure, span.join("_to_"), zone.name === "UTC" ? null : zone.name.replaceAll("/", "-"), ...chosen];
  const name = parts.filter(Boolean).join("_").replaceAll("<", "under-").replaceAll(">", "over-").replaceAll(/[^\p{L}\p{N}+._-]+/gu, "-");
  return `${[...name].slice(0, 120).join("")}.${extension}`;
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
const python = (text) => JSON.stringify(text);

/** Return how tools ask for the rows at an address, which answers JSON; each [name, text]. `guarded`: it wants a token. */
export function recipes(address, guarded) {
  const csv = new URL(address);
  csv.searchParams.set("format", "csv");
  csv.searchParams.set("columns", "split");
  csv.searchParams.set("limit", "10000");
  const header = guarded ? ' -H "Authorization: Bearer $TILLROLL_TOKEN"' : "";
  const options = guarded ? `, storage_options={"Authorization": f"Bearer {os.environ['TILLROLL_TOKEN']}"}` : "";
  const secret = guarded ? "CREATE SECRET (TYPE http, BEARER_TOKEN 'the token');\n" : "";
  return [
    ["curl", `curl -s${header} ${quoted(address)}`],
    ["pandas", `${guarded ? "import os\n" : ""}import pandas as pd\n\nrows = pd.read_csv(${python(csv.href)}${options})`],
    ["DuckDB", `INSTALL httpfs; LOAD httpfs;\n${secret}SELECT * FROM read_csv('${csv.href.replaceAll("'", "''")}');`],
    ["Grafana", grafana(address, guarded)],
  ];
}

/** Return a query of Grafana's Infinity data source. */
function grafana(address, guarded) {
  const query = { type: "json", source: "url", parser: "backend", format: "table", url: address, root_selector: "", columns: [{ selector: "datapoint", text: "datapoint", type: "string" }, { selector: "events", text: "events", type: "number" }] };
  return `${guarded ? "// The data source's own settings hold the bearer token.\n" : ""}${JSON.stringify(query, null, 2)}`;
}
