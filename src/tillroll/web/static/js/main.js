// The page itself: navigation, the live stream, and the view that the address asks for.

import { cleaned, problemsOf } from "./address.js";
import { ApiError, everything, getJson, keepAnswers, renewToken, tokens } from "./api.js";
import { h, icon } from "./dom.js";
import { short } from "./format.js";
import { Live, paced } from "./live.js";
import { haveNames } from "./names.js";
import { askForToken } from "./parts/token.js";
import { apply, bind, printLight, stored } from "./parts/theme.js";
import { trailOf } from "./parts/trail.js";
import { Report, leanest, parseRow } from "./reports.js";
import { calendarOf } from "./span.js";
import { format, parse } from "./state.js";
import { HOUR, UTC, findZone, floor, now } from "./time.js";
import { View, problem } from "./views/view.js";

const main = document.getElementById("main");

// A view is fetched when it is first asked for, so that the first one need not wait for the others.
const VIEWS = {
  overview: async () => (await import("./views/overview.js")).Overview,
  operations: async () => (await import("./views/operations.js")).Operations,
  reports: async () => (await import("./views/reports.js")).Reports,
  purchases: async () => (await import("./views/purchases.js")).Purchases,
  report: async () => (await import("./views/report.js")).ReportView,
};
const kindOf = (view) => (Object.hasOwn(VIEWS, view) && view !== "report" ? view : "report");
const WAITS_MS = 400; // before it is said that the page waits for the server
const LOST_MS = 1_500; // before it is said that the numbers grow old: a stream may well break and come back
const STATES = { connecting: "Connecting", live: "Live", lost: "Reconnecting", refused: "Signed out" };

const positionOf = ({ visible, rejected }) => `${visible} ${rejected}`;

class Page {
  /** @type {Report[]} */ reports = [];
  zone = UTC; // that is shown unless an address says otherwise
  parquet = false; // whether the server writes it
  #view = null;
  #name = null;
  #calendars = new Map();
  #listed = "";
  #position = null;
  #counted = 0; // rises whenever the position moves, so that the calendar is read again when something was counted
  #waits = 0;
  #lost = 0;
  #stuck = false; // the view that the address asks for could not be fetched
  #notices = h("div", { class: "notices" });
  #outdated = h("div", { role: "status" });
  live = new Live();

  async start() {
    apply(stored());
    bind(document.getElementById("theme"));
    printLight();
    tokens.askWith(askForToken);
    addEventListener("hashchange", () => this.route());
    main.addEventListener("click", (event) => this.#follows(event));
    document.getElementById("sign-out").addEventListener("click", () => {
      tokens.forget();
      location.reload();
    });
    this.#follow();
    await this.route();
    if (this.reports.length) this.live.run();
  }

  /** Refresh the view when something was counted or set aside since it was shown, and only then. */
  #follow() {
    const refresh = paced(() => this.#view?.refresh());
    this.live.addEventListener("tick", (/** @type {CustomEvent} */ { detail }) => {
      const position = positionOf(detail);
      if (position !== this.#position) {
        this.#position = position;
        this.#counted += 1;
        this.#keep();
        refresh();
      }
      this.#freshness();
    });
    this.live.addEventListener("state", (/** @type {CustomEvent} */ { detail }) => {
      this.#freshness();
      this.#keep();
      clearTimeout(this.#lost);
      if (detail === "lost") this.#lost = setTimeout(() => this.#sayOutdated(true), LOST_MS);
      else this.#sayOutdated(false);
      if (detail === "live" && this.#stuck) this.route();
    });
    this.#freshness();
  }

  /** Keep answers for as long as the server says when one of them would be another. */
  #keep() {
    keepAnswers(["connecting", "live"].includes(this.live.state) ? `${this.#counted} ${this.#listed}` : null);
  }

  /** Show another state of a view; the trail to it stays. */
  go(state) {
    this.#go(format(state), trailOf());
  }

  /** Show what is deeper in: what was shown is added to the trail. */
  enter(state) {
    const here = this.#view?.here ?? { address: location.hash || "#/overview", label: document.title.replace(/ · Tillroll$/, "") };
    this.#go(typeof state === "string" ? state : format(state), [...trailOf(), here]);
  }

  #go(address, trail) {
    if (address === location.hash) return;
    history.pushState({ trail }, "", address);
    this.route();
  }

  /** Follow a link that leads deeper in, or back along the trail, with the trail. Other links are the browser's. */
  #follows(event) {
    const link = event.target.closest?.("a[data-drill], a[data-trail]");
    if (!link?.getAttribute("href") || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    const step = link.dataset.trail;
    if (step !== undefined) this.#go(link.getAttribute("href"), trailOf().slice(0, Number(step)));
    else this.enter(link.getAttribute("href"));
  }

  /** Return the zone that a state is shown in. */
  zoneOf = (state) => (state.zone && findZone(state.zone)) || this.zone;

  progress(on) {
    document.getElementById("progress").classList.toggle("on", on);
    clearTimeout(this.#waits);
    const waiting = document.getElementById("waiting");
    if (!on) waiting.hidden = true;
    else this.#waits = setTimeout(() => (waiting.hidden = false), WAITS_MS);
  }

  /** Return the calendar of the data by the clocks of a zone. Read again only when something was counted since. */
  async calendar(zone, measure = "events") {
    const stamp = `${this.#counted} ${floor(now(), HOUR)}`;
    const key = measure === "events" ? zone.name : `${zone.name} with amounts`;
    if (this.#calendars.get(key)?.stamp !== stamp) this.#calendars.set(key, { stamp, value: this.#readCalendar(zone, measure) });
    try {
      return await this.#calendars.get(key).value;
    } catch (error) {
      this.#calendars.delete(key);
      throw error;
    }
  }

  async #readCalendar(zone, measure) {
    const report = leanest(this.reports, [], { timed: true, anyZone: true });
    const rows = await everything(report.name, { by: ["day"], zone: zone === UTC ? undefined : zone.name, measures: measure === "events" ? undefined : "events,amount" });
    const days = rows.map((row) => parseRow(row, ["day"], report)).map((row) => ({ ...row, at: zone.window(row.values.day) }));
    return calendarOf(days, zone, now());
  }

  async route() {
    const asked = location.hash;
    this.#mark(parse(asked).view);
    this.progress(true);
    try {
      await this.#open(asked);
      this.#stuck = false;
    } catch (error) {
      if (location.hash === asked) this.#stop(error);
    }
    if (location.hash === asked) this.progress(false);
  }

  /** Say that the view cannot be fetched: the modules of the page come from the server as well. */
  #stop(error) {
    this.#stuck = true;
    console.warn(error);
    if (this.#view === null) main.replaceChildren(this.#outdated, this.#notices);
    this.#notices.replaceChildren(problem(new ApiError(0, { detail: "The server cannot be reached." }), this.#view !== null, () => this.route()));
  }

  async #open(asked) {
    const state = parse(asked);
    VIEWS[kindOf(state.view)]().catch(() => null); // begins to fetch it, beside what follows, which tells of an error
    if (!this.reports.length && !(await this.#loadReports())) return;
    const named = state.view;
    if (!this.#isView(named)) state.view = "overview";
    this.#tell(named, state);
    if (state.view !== this.#name) {
      if (["overview", "report"].includes(kindOf(state.view))) this.calendar(this.zoneOf(state), kindOf(state.view) === "overview" ? state.measure : "events").catch(() => null); // who waits for it will say what is wrong
      const view = await this.#make(state.view);
      if (location.hash !== asked) return view.destroy(); // somebody went on meanwhile
      this.#enter(state.view, view);
    }
    await this.#view.show(state);
    if (location.hash === asked) main.dataset.shown = asked; // whoever waits for a view waits for this
    document.getElementById("sign-out").hidden = !tokens.get("send");
    for (const fetch of Object.values(VIEWS)) fetch().catch(() => null); // so that a click needs no more than the numbers
  }

  /** Tell what the address says that its view cannot show. */
  #tell(named, state) {
    const problems = problemsOf(location, state.view, this.reports);
    if (named !== state.view) problems.unshift(`There is no view ${named || location.hash}. This is the overview.`);
    const note = h(
      "section",
      { class: "note address-note", role: "alert" },
      icon("warning"),
      h("div", {}, h("p", {}, "Parts of the address are not valid:"), h("ul", {}, ...problems.map((text) => h("li", {}, text))), h("a", { href: cleaned(state, this.reports) }, "Remove the invalid parts")),
    );
    this.#notices.replaceChildren(...(problems.length ? [note] : []));
  }

  #isView(name) {
    return kindOf(name) !== "report" || this.reports.some((one) => one.name === name);
  }

  /** Say since when the numbers are not followed any more, or stop saying it. */
  #sayOutdated(on) {
    if (!on || !this.#name) return this.#outdated.replaceChildren();
    const text = `The server does not answer. The numbers are as of ${this.zone.text("clock", this.live.heard_ms / 1000)} ${this.zone.name}; the page retries automatically.`;
    this.#outdated.replaceChildren(h("p", { class: "note outdated" }, icon("warning"), text));
  }

  /** Read what reports there are; when that fails, show why, and how to try again. */
  async #loadReports() {
    const page = this;
    const loading = new (class extends View {
      retried = false;

      async load(_, signal) {
        // Where the server stands before anything is read: a stream that begins with this has nothing new.
        const [reports, status] = await Promise.all([getJson("/reports", { signal }), getJson("/status", { signal })]);
        page.#position = positionOf({ visible: status.visible_position, rejected: status.rejected });
        page.listReports(reports);
        page.zone = findZone(status.zone) ?? UTC;
        haveNames(status.merchant_names);
        page.parquet = status.parquet;
        if (this.retried) {
          page.route();
          page.live.run();
        }
      }
    })(this);
    main.replaceChildren(loading.node);
    await loading.show({});
    loading.retried = true;
    return this.reports.length > 0;
  }

  /** Take what reports can be read, as `GET /reports` lists them, into the menu. */
  listReports(listed) {
    const readable = listed.filter((one) => one.readable);
    const stamp = JSON.stringify(readable.map((one) => [one.name, one.version, one.title]));
    if (stamp === this.#listed) return;
    this.#listed = stamp;
    this.reports = readable.map((one) => new Report(one));
    this.#keep();
    this.#navigation();
    this.#mark(this.#name);
  }

  #navigation() {
    const link = (view, label) => h("li", {}, h("a", { href: `#/${encodeURIComponent(view)}`, "data-view": view }, label));
    const heading = (text) => h("li", { class: "nav-heading" }, text);
    const reports = (own) => this.reports.filter((report) => report.own === own).map((report) => link(report.name, own ? report.title : report.title.replace(/^Purchases /, "").replace(/^\w/, (letter) => letter.toUpperCase())));
    const mine = reports(true);
    document.getElementById("nav-list").replaceChildren(link("overview", "Overview"), heading("Reports"), ...reports(false), ...(mine.length ? [heading("Your own"), ...mine] : []), heading("Administration"), link("reports", "Manage reports"), link("operations", "Operations"));
  }

  #enter(name, view) {
    const first = this.#name === null;
    this.#view?.destroy();
    this.#name = name;
    this.#view = view;
    main.replaceChildren(this.#outdated, this.#notices, this.#view.node);
    this.#mark(name);
    document.getElementById("nav").classList.remove("open");
    document.getElementById("nav-toggle").setAttribute("aria-expanded", "false");
    if (!first) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
  }

  /** Show in the navigation where one is, or is going. */
  #mark(name) {
    for (const link of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("#nav-list a"))) {
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  async #make(name) {
    const report = this.reports.find((one) => one.name === name);
    if (report) return new (await VIEWS.report())(this, report);
    return new (await VIEWS[name]())(this);
  }

  /** Say how fresh the numbers are. */
  #freshness() {
    const { state, last } = this.live;
    const node = document.getElementById("freshness");
    node.dataset.state = state;
    node.querySelector(".fresh-state").textContent = STATES[state];
    const behind = last?.freshness_ms ?? null;
    const age = behind === 0 ? "up to date" : `${short(behind)} ms behind`;
    const shown = { live: behind === null ? "" : age, lost: `as of ${this.zone.text("clock", this.live.heard_ms / 1000)}` };
    node.querySelector(".fresh-age").textContent = shown[state] ?? "";
    node.title = last ? `How far the reports are behind the accepted events. Last update at ${this.zone.instantText(last.at / 1000)} ${this.zone.name}` : "Counts update here as purchases arrive";
  }
}

const toggle = document.getElementById("nav-toggle");
toggle.addEventListener("click", () => {
  const open = document.getElementById("nav").classList.toggle("open");
  toggle.setAttribute("aria-expanded", String(open));
});
document.getElementById("freshness").addEventListener("click", () => page.live.state === "refused" && renewToken("read", "wanted").then((given) => given && location.reload()));

const page = new Page();
page.start();
