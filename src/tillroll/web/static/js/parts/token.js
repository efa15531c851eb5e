// The prompt for a token. The token stays in this tab's session storage: never in the address, never on disk.

import { h, icon } from "../dom.js";

const WORDS = {
  wanted: ["This server requires a token", "Ask the operator for one that may read."],
  refused: ["The server refused the token", "It may be revoked or mistyped. Enter another."],
  sends: ["This token may only send", "The page needs a token that may read. Ask the operator for one. The token that you entered is kept for sending."],
  manage: ["This needs a token that may manage reports", "The current token may not. Enter another; it is used only for this."],
  send: ["This needs a token that may send", "The current token may not. Enter another; it is used only for this."],
};

/** Ask for a token; resolve to it, or to null when the person gives none. */
export function askForToken(reason) {
  const [title, text] = WORDS[reason];
  return new Promise((resolve) => {
    const input = h("input", { class: "input mono", id: "token", name: "token", type: "password", autocomplete: "off", required: true, spellcheck: "false" });
    const form = h(
      "form",
      { method: "dialog" },
      icon("key"),
      h("h2", { id: "token-title" }, title),
      h("p", {}, text),
      h("label", { for: input.id }, "Token"),
      input,
      h("p", { class: "hint" }, "Kept in this tab until it is closed."),
      h("div", { class: "buttons" }, h("button", { class: "button primary", type: "submit", value: "use" }, "Continue"), h("button", { class: "button", type: "button", id: "token-cancel", onclick: () => dialog.close() }, "Cancel")),
    );
    const dialog = h("dialog", { class: "dialog", "aria-labelledby": "token-title" }, form);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "use" ? input.value.trim() || null : null);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
