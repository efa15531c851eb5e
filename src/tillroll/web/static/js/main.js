// The page itself: navigation, the live stream, and the view that the address asks for.

import { everything, getJson, renewToken, token } from "./api.js";
import { h } from "./dom.js";
import { short } from "./format.js";
import { Live, paced } from "./live.js";
import { findReport, parseRow } from "./model.js";
import { askForToken } from "./parts/token.js";
import { apply, bind, stored } from "./parts/theme.js";
import { calendarOf, format, parse } from "./state.js";
import { dayOf, instantText, now } from "./time.js";
import { Operations } from "./views/operations.js";
import { Overview } from "./views/overview.js";
import { ReportView } from "./views/report.js";
import { View } from "./views/view.js";

const main = document.getElementById("main");
const STATES = { connecting: "Connecting", live: "Live", lost: "Reconnecting", refused: "Signed out" };

class Page {
  reports = [];
  #view = null;
  #name = null;
  #calendar = null;
  #counted = 0; // rises with every tick, so that the calendar is read again when something was counted
  live = new Live();

  async start() {
    apply(stored());
    bind(document.getElementById("theme"));
    token.askWith(askForToken);
    addEventListener("hashchange", () => this.route());
    document.getElementById("sign-out").addEventListener("click", () => {
      token.forget();
      location.reload();
    });
    const refresh = paced(() => this.#view?.refresh());
    this.live.addEventListener("tick", () => {
      this.#counted += 1;
      this.#freshness();
      refresh();
    });
    this.live.addEventListener("state", () => this.#freshness());
    this.#freshness();
    await this.route();
    this.live.run();
    this.#firstFreshness();
  }

  /** Until the first tick, the status says how fresh the numbers are. */
  async #firstFreshness() {
    try {
      const { freshness_ms } = await getJson("/status");
      this.live.last ??= { freshness_ms, at: Date.now() };
      this.#freshness();
    } catch {
      // The view says what is wrong; this line only adds to it.
    }
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
  async calendar(signal) {
    const stamp = `${this.#counted} ${dayOf(now())}`;
    if (this.#calendar?.stamp !== stamp) {
      const report = findReport(this.reports, ["hour"], true);
      const rows = await everything(report.name, { by: ["day"] }, { signal });
      this.#calendar = { stamp, value: calendarOf(rows.map((row) => parseRow(row, ["day"]))) };
    }
    return this.#calendar.value;
  }

  async route() {
    const state = parse(location.hash);
    if (!this.reports.length && !(await this.#loadReports())) return;
    if (state.view !== this.#name) this.#enter(state.view);
    await this.#view.show(state);
    document.getElementById("sign-out").hidden = !token.get();
  }

  /** Read what reports there are; when that fails, show why, and how to try again. */
  async #loadReports() {
    const page = this;
    const loading = new (class extends View {
      async load(_, signal) {
        page.reports = await getJson("/reports", { signal });
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
    document.getElementById("nav-list").replaceChildren(link("overview", "Overview"), heading, ...this.reports.map((report) => link(report.name, report.title.replace(/^Purchases /, "").replace(/^\w/, (letter) => letter.toUpperCase()))), h("li", { class: "nav-gap", role: "separator" }), link("operations", "Operations"));
  }

  #enter(name) {
    const first = this.#name === null;
    this.#view?.destroy();
    this.#name = name;
    this.#view = this.#make(name);
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

  #make(name) {
    if (name === "operations") return new Operations(this);
    const report = this.reports.find((one) => one.name === name);
    return report ? new ReportView(this, report) : new Overview(this);
  }

  /** Say how fresh the numbers are. */
  #freshness() {
    const { state, last } = this.live;
    const node = document.getElementById("freshness");
    node.dataset.state = state;
    node.querySelector(".fresh-state").textContent = STATES[state];
    const known = last?.freshness_ms !== undefined && last.freshness_ms !== null;
    node.querySelector(".fresh-age").textContent = state === "live" && known ? `${short(Math.round(last.freshness_ms))} ms fresh` : "";
    node.title = last ? `Last count at ${instantText(last.at / 1000)} UTC` : "Counts show here as purchases arrive";
  }
}

document.getElementById("nav-toggle").addEventListener("click", (event) => {
  const open = document.getElementById("nav").classList.toggle("open");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});
document.getElementById("freshness").addEventListener("click", () => page.live.state === "refused" && renewToken("wanted").then((given) => given && location.reload()));

const page = new Page();
page.start();
