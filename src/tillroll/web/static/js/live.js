// One stream of server-sent events for the whole page. `EventSource` cannot send a token, so this reads the stream itself.

import { ApiError, request } from "./api.js";

const WAIT_MS = [500, 1_000, 2_000, 4_000, 8_000];
const SILENCE_MS = 45_000; // three keep-alives missed: the connection is dead, whatever the socket says

/** Follow the server for as long as the page is open. Events: `tick` (detail: its data) and `state` (detail: the state). */
export class Live extends EventTarget {
  state = "connecting"; // connecting, live, lost, or refused
  last = null;
  heard_ms = Date.now(); // when the server was last heard of
  #running = false;

  /** Follow, until the server refuses: call it again once there is a token. */
  async run() {
    if (this.#running) return;
    this.#running = true;
    for (let failures = 0; ; failures += 1) {
      try {
        await this.#follow(() => {
          failures = 0;
        });
      } catch (error) {
        if (error instanceof ApiError && (error.status === 401 || error.status === 403)) break;
      }
      this.#enter("lost");
      await pause(WAIT_MS[Math.min(failures, WAIT_MS.length - 1)]);
    }
    this.#running = false;
    this.#enter("refused");
  }

  async #follow(opened) {
    const abort = new AbortController();
    const response = await request("/live", { signal: abort.signal, headers: { Accept: "text/event-stream" } });
    const missed = this.state === "lost";
    opened();
    this.heard_ms = Date.now();
    this.#enter("live");
    if (missed) this.#tick({}); // whatever was counted while nobody listened
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        this.heard_ms = Date.now();
        clearTimeout(watchdog);
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS);
        text = this.#take(text + value.replaceAll("\r\n", "\n"));
      }
    } finally {
      clearTimeout(watchdog);
      abort.abort();
    }
  }

  /** Deliver the whole events in the text, and return what is left of it. */
  #take(text) {
    const blocks = text.split("\n\n");
    const rest = blocks.pop();
    for (const block of blocks) {
      const data = block
        .split("\n")
        .filter((line) => line.startsWith("data:"))
        .map((line) => line.slice(5).trimStart())
        .join("\n");
      if (data) this.#tick(JSON.parse(data));
    }
    return rest;
  }

  #tick(data) {
    this.last = { ...this.last, ...data, at: Date.now() };
    this.dispatchEvent(new CustomEvent("tick", { detail: data }));
  }

  #enter(state) {
    if (state === this.state) return;
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}

/** Wait, but no longer than until the network or the page comes back. */
function pause(wait_ms) {
  /** @type {Promise<void>} */
  const waited = new Promise((resolve) => {
    const stop = new AbortController();
    const done = () => {
      stop.abort();
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(done, wait_ms);
    addEventListener("online", done, { signal: stop.signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && done(), { signal: stop.signal });
  });
  return waited;
}

/**
 * Return a function that runs `refresh` soon: never twice at once, never while the page is hidden, and never so often
 * that the server works more than a fifth of the time for this page.
 */
export function paced(refresh, least_ms = 500) {
  let wanted = false;
  let busy = false;
  const run = async () => {
    if (busy || !wanted || document.visibilityState === "hidden") return;
    busy = true;
    wanted = false;
    const began = performance.now();
    await refresh();
    const rest_ms = Math.max(least_ms, 4 * (performance.now() - began));
    setTimeout(() => {
      busy = false;
      run();
    }, rest_ms);
  };
  document.addEventListener("visibilitychange", run);
  return () => {
    wanted = true;
    run();
  };
}
