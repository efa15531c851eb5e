// What every view does alike: load, show that it loads, show what went wrong, refresh in silence, and stop.

import { h, icon } from "../dom.js";

export class View {
  #abort = null;
  #failure = null;
  #loaded = false;
  /** What is shown, as a step of the trail: in few words, with its address. @type {{ address: string, label: string } | null} */
  here = null;

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
  const title = { 0: "The server does not answer", 401: "Token required", 403: "This token may not read" }[error.status] ?? "Something went wrong";
  if (error.status === undefined) console.error(error);
  return h(
    "section",
    { class: shown ? "card banner" : "card empty", role: "alert" },
    icon("warning"),
    h("div", {}, h("h2", {}, title), h("p", {}, error.message, shown ? " The last loaded data are shown below." : "")),
    h("button", { type: "button", class: "button primary", onclick: again }, { 401: "Enter a token", 403: "Enter another token" }[error.status] ?? "Try again"),
  );
}

/** Replace children, and keep the focus on the element of the same id. */
export function rebuild(container, ...children) {
  const fresh = h("div", {}, ...children);
  const focused = container.contains(document.activeElement) ? document.activeElement : null;
  if (focused instanceof HTMLSelectElement && keepSelect(container, fresh, focused)) return;
  container.replaceChildren(...fresh.childNodes);
  if (focused?.id) document.getElementById(focused.id)?.focus({ preventScroll: true });
}

/**
 * Replace all but a choice that has the focus, and what it is in: whoever types its second letter finds what begins with
 * both only if it stays the same element, in the document all the while. Return whether that can be done.
 */
function keepSelect(container, fresh, select) {
  const twin = /** @type {HTMLSelectElement | null} */ (select.id ? fresh.querySelector(`#${CSS.escape(select.id)}`) : null);
  const [held, given] = [pathTo(container, select), twin && pathTo(fresh, twin)];
  if (!given || held.length !== given.length || held.some((node) => !["DIV", "SECTION", "SELECT"].includes(node.tagName))) return false;
  for (const [depth, node] of held.entries()) {
    for (const child of [...node.parentNode.childNodes]) if (child !== node) child.remove();
    const around = [...given[depth].parentNode.childNodes];
    const at = around.indexOf(given[depth]);
    node.before(...around.slice(0, at));
    node.after(...around.slice(at + 1));
    for (const { name, value } of given[depth].attributes) node.setAttribute(name, value);
  }
  adopt(select, twin);
  return true;
}

/** Return the elements from a child of the container to one within. */
function pathTo(container, element) {
  const path = [];
  for (let node = element; node !== container; node = node.parentNode) path.unshift(node);
  return path;
}

/** Make a choice what another is: its words, its value and what it does. */
function adopt(select, twin) {
  const known = new Map([...select.options].map((option) => [option.value, option]));
  const given = [...twin.options].map((option) => [known.get(option.value), option]);
  if (given.every(([option]) => option)) for (const [option, { text }] of given) option.text = text;
  else select.replaceChildren(...twin.childNodes);
  select.value = twin.value;
  select.choose = twin.choose;
}

/** Return what is shown where there is nothing at all. */
export function nothingYet() {
  const example = `curl -H 'Content-Type: application/json' ${location.origin}/events \\\n  -d '{"date":"${new Date().toISOString().slice(0, 19)}Z","amount":4285,"paymentMethod":"SLICE_IT","merchantId":"acme"}'`;
  return h(
    "section",
    { class: "card empty" },
    icon("roll"),
    h("h2", {}, "No purchases yet"),
    h("p", {}, "The first purchase appears here as soon as it is counted. To send one:"),
    h("pre", { tabindex: 0 }, h("code", {}, example)),
    h("p", {}, "Or import a file with ", h("code", {}, "tillroll import FILE"), "."),
  );
}
