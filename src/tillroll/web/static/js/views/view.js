// What every view does alike: load, show that it loads, show what went wrong, refresh in silence, and stop.

import { h, icon } from "../dom.js";

export class View {
  #abort = null;
  #failure = null;
  #loaded = false;
  /** What is shown, in few words, for the trail. @type {string | null} */
  label = null;

  /** `page` is what a view needs of the page: reports, calendar(), go(state), progress(on). */
  constructor(page) {
    this.page = page;
    this.body = h("div", { class: "view-body" });
    this.node = h("div", { class: "view" }, this.body);
  }

  /**
   * Read what a state shows, and show it: a view's own.
   * @param {any} _state
   * @param {AbortSignal} _signal
   */
  async load(_state, _signal) {
    throw new Error("a view says what it loads");
  }

  /** Show a state of the address. */
  async show(state) {
    this.state = state;
    await this.#run(false);
  }

  /** Load again what is shown, without a sign of it: something was counted. */
  async refresh() {
    if (this.state) await this.#run(true);
  }

  destroy() {
    this.#abort?.abort();
  }

  async #run(silent) {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    if (!silent) this.#busy(true);
    try {
      await this.load(this.state, abort.signal);
      this.#loaded = true;
      this.#fail(null);
    } catch (error) {
      if (error.name === "AbortError" || abort.signal.aborted) return;
      if (!silent || this.#failure || error.status !== 0) this.#fail(error);
    }
    if (abort === this.#abort) this.#busy(false);
  }

  #busy(on) {
    this.page.progress(on);
    this.body.setAttribute("aria-busy", String(on));
  }

  #fail(error) {
    this.#failure?.remove();
    this.#failure = error && problem(error, this.#loaded, () => this.show(this.state));
    if (error) this.node.prepend(this.#failure);
  }
}

/** Return what tells a person that something failed, and lets them try again. `shown` says that there is older content. */
export function problem(error, shown, again) {
  const title = { 0: "The server does not answer", 401: "A token is needed", 403: "This token may not read" }[error.status] ?? "That did not work";
  if (error.status === undefined) console.error(error);
  return h(
    "section",
    { class: shown ? "card banner" : "card empty", role: "alert" },
    icon("warning"),
    h("div", {}, h("h2", {}, title), h("p", {}, error.message, shown ? " Below is what was shown before." : "")),
    h("button", { type: "button", class: "button primary", onclick: again }, { 401: "Enter a token", 403: "Enter another token" }[error.status] ?? "Try again"),
  );
}

/** Replace children, and keep the focus on the element of the same id. */
export function rebuild(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement.id : "";
  container.replaceChildren(...children.flat().filter(Boolean));
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

/** Return what is shown where there is nothing at all. */
export function nothingYet() {
  const example = `curl -H 'Content-Type: application/json' ${location.origin}/events \\\n  -d '{"date":"${new Date().toISOString().slice(0, 19)}Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"acme"}'`;
  return h(
    "section",
    { class: "card empty" },
    icon("roll"),
    h("h2", {}, "No purchases yet"),
    h("p", {}, "The first one shows here the moment it is counted. To send one:"),
    h("pre", { tabindex: 0 }, h("code", {}, example)),
    h("p", {}, "Or import a file with ", h("code", {}, "tillroll import FILE"), "."),
  );
}
