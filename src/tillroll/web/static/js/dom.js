// Builds elements. Text only ever enters the page as text: nothing here, or anywhere else, parses HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Return an element: attributes, `on*` listeners, and children that are nodes, strings, or nothing. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Return an SVG element, likewise. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Return an icon of the page's own sprite. It is decoration: whatever holds it carries the label. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true", width: 16, height: 16 }, svg("use", { href: `#i-${name}` }));
}

/** Set custom properties through the object model, which the Content Security Policy allows; return the element. */
export function vars(element, values) {
  for (const [name, value] of Object.entries(values)) element.style.setProperty(`--${name}`, String(value));
  return element;
}

/** Say something to screen readers without moving the focus. */
export function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Return a function that runs `action` once calls to it have paused for so long. */
export function debounce(action, wait_ms) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait_ms);
  };
}

/** Hand a file to the person at the page. */
export function saveFile(name, blob) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** Put text on the clipboard; false where the browser will not have it (a page not served over HTTPS). */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
