/** The keys of the tab Listen. */

import { element } from "./elements.js";

const HELP = [
  [["Space"], "play, pause"],
  [["←", "→"], "5 seconds back, on"],
  [["j", "k"], "next track, track before; ↓ and ↑ do the same"],
  [["l"], "the label is wrong; then choose the right class"],
  [["a"], "ambiguous: nobody could say one class"],
  [["m"], "the label is right; so the model is wrong, if it says something else"],
  [["b"], "broken audio: silence, noise, another recording"],
  [["u"], "take the verdict back; on a track without one, the last that you gave"],
  [["?"], "this help"],
];
const TYPED = ["text", "search", "number"];

/**
 * Make the help on keys.
 * @returns {HTMLDialogElement}
 */
export function helpDialog() {
  const rows = HELP.map(([keys, words]) => {
    const shown = keys.flatMap((key) => [element("kbd", {}, key), " "]);
    return element("tr", {}, element("th", { scope: "row" }, ...shown), element("td", {}, words));
  });
  const close = element("button", { type: "button", class: "primary" }, "Close");
  const title = element("h2", { id: "keys-title" }, "Keys");
  const table = element("table", {}, element("tbody", {}, ...rows));
  const naming = { class: "keys-help", "aria-labelledby": "keys-title" };
  const dialog = element("dialog", naming, title, table, close);
  close.addEventListener("click", () => dialog.close());
  return dialog;
}

/**
 * Return which key an event means for the tab.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} section - The tab.
 * @returns {?string} Letters are small; null: it is for something else, such as a field that is typed into.
 */
export function keyFor(event, section) {
  const { target, key } = event;
  if (event.defaultPrevented || event.isComposing) return null;
  if (event.ctrlKey || event.altKey || event.metaKey) return null;
  const onTab = target.getAttribute("aria-controls") === section.id; // where a click that opens the tab leaves one
  if (section.hidden || !(target === document.body || onTab || section.contains(target))) return null;
  if (target.closest("select, textarea, dialog, [contenteditable]")) return null;
  if (target.matches("input") && TYPED.includes(target.type)) return null;
  if (key === " " && target.closest("button, input, summary, a")) return null; // it presses that
  if (key.startsWith("Arrow") && target.closest(".scroll, input, [role=tab]")) return null;
  return key.length === 1 ? key.toLowerCase() : key;
}
