// The page itself: navigation, the live stream, and the view that the address asks for.

import { everything, getJson, renewToken, tokens } from "./api.js";
import { h } from "./dom.js";
import { short } from "./format.js";
import { Live, paced } from "./live.js";
import { findReport, parseRow } from "./model.js";
import { askForToken } from "./parts/token.js";
import { apply, bind, stored } from "./parts/theme.js";
import { calendarOf, format, parse } from "./state.js";
import { dayOf, instantText, now } from "./time.js";
import { View } from "./views/view.js";

const main = document.getElementById("main");

// A view is fetched when it is first asked for, so that the first one need not wait for the others.
const VIEWS = {
  overview: async () => (await import("./views/overview.js")).Overview,
  operations: async () => (await import("./views/operations.js")).Operations,
  report: async () => (await import("./views/report.js")).ReportView,
};
const kindOf = (view) => (view === "overview" || view === "operations" ? view : "report");
const STATES = { connecting: "Connecting", live: "Live", lost: "Reconnecting", refused: "Signed out" };

const positionOf = ({ visible, rejected }) => `${visible} ${rejected}`;

class Page {
  reports = [];
  #view = null;
  #name = null;
  #calendar = null;
  #position = null;
  #counted = 0; // rises whenever the position moves, so that the calendar is read again when something was counted
  live = new Live();

  async start() {
    apply(stored());
    bind(document.getElementById("theme"));
    tokens.askWith(askForToken);
    addEventListener("hashchange", () => this.route());
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
    this.live.addEventListener("tick", ({ detail }) => {
      const position = positionOf(detail);
      if (position !== this.#position) {
        this.#position = position;
        this.#counted += 1;
        refresh();
      }
      this.#freshness();
    });
    this.live.addEventListener("state", () => this.#freshness());
    this.#freshness();
  }

  go(state) {
    const address = format(state);
    if (address === location.hash) return;
    location.hash = address;
  }

  progress(on) {
    document.getElementById("progress").classList.toggle("on", on);
  }

  /** Return the calendar of the data: what days there are. Read again only when something was counted since. */
  async calendar() {
    const stamp = `${this.#counted} ${dayOf(now())}`;
    if (this.#calendar?.stamp !== stamp) this.#calendar = { stamp, value: this.#readCalendar() };
    try {
      return await this.#calendar.value;
    } catch (error) {
      this.#calendar = null;
      throw error;
    }
  }

  async #readCalendar() {
    const report = findReport(this.reports, ["hour"], true);
    const rows = await everything(report.name, { by: ["day"] });
    return calendarOf(rows.map((row) => parseRow(row, ["day"])));
  }

  async route() {
    const state = parse(location.hash);
    const asked = location.hash;
    VIEWS[kindOf(state.view)](); // begins to fetch it, beside what follows
    if (!this.reports.length && !(await this.#loadReports())) return;
    if (state.view !== this.#name) {
      if (state.view !== "operations") this.calendar().catch(() => null); // who waits for it will say what is wrong
      const view = await this.#make(state.view);
      if (location.hash !== asked) return view.destroy(); // somebody went on meanwhile
      this.#enter(state.view, view);
    }
    await this.#view.show(state);
    if (location.hash === asked) main.dataset.shown = asked; // whoever waits for a view waits for this
    document.getElementById("sign-out").hidden = !tokens.get("send");
  }

  /** Read what reports there are; when that fails, show why, and how to try again. */
  async #loadReports() {
    const page = this;
    const loading = new (class extends View {
      async load(_, signal) {
        // Where the server stands before anything is read: a stream that begins with this has nothing new.
        const [reports, status] = await Promise.all([getJson("/reports", { signal }), getJson("/status", { signal })]);
        page.#position = positionOf({ visible: status.visible_position, rejected: status.rejected });
        page.reports = reports;
        page.#navigation();
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

  #navigation() {
    const link = (view, label) => h("li", {}, h("a", { href: `#/${encodeURIComponent(view)}`, "data-view": view }, label));
    const heading = h("li", { class: "nav-heading", id: "nav-reports" }, "Reports");
    document.getElementById("nav-list").replaceChildren(link("overview", "Overview"), heading, ...this.reports.map((report) => link(report.name, report.title.replace(/^Purchases /, "").replace(/^\w/, (letter) => letter.toUpperCase()))), link("operations", "Operations"));
  }

  #enter(name, view) {
    const first = this.#name === null;
    this.#view?.destroy();
    this.#name = name;
    this.#view = view;
    main.replaceChildren(this.#view.node);
    for (const link of document.querySelectorAll("#nav-list a")) {
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.getElementById("nav").classList.remove("open");
    document.getElementById("nav-toggle").setAttribute("aria-expanded", "false");
    if (!first) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
  }

  async #make(name) {
    const report = this.reports.find((one) => one.name === name);
    if (report) return new (await VIEWS.report())(this, report);
    return new (await VIEWS[name === "operations" ? name : "overview"]())(this);
  }

  /** Say how fresh the numbers are. */
  #freshness() {
    const { state, last } = this.live;
    const node = document.getElementById("freshness");
    node.dataset.state = state;
    node.querySelector(".fresh-state").textContent = STATES[state];
    const behind = last?.freshness_ms ?? null;
    const age = behind === 0 ? "up to date" : `${short(behind)} ms behind`;
    node.querySelector(".fresh-age").textContent = state === "live" && behind !== null ? age : "";
    node.title = last ? `How far the reports are behind what was accepted. Last news at ${instantText(last.at / 1000)} UTC` : "Counts move here as purchases arrive";
  }
}

document.getElementById("nav-toggle").addEventListener("click", (event) => {
  const open = document.getElementById("nav").classList.toggle("open");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});
document.getElementById("freshness").addEventListener("click", () => page.live.state === "refused" && renewToken("read", "wanted").then((given) => given && location.reload()));

const page = new Page();
page.start();
