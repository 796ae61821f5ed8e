/** A list of tracks of which only those are made that can be seen: ten thousand scroll like ten. */

import { element } from "./elements.js";
import { badge } from "./verdict.js";

const REM = parseFloat(getComputedStyle(document.documentElement).fontSize); // as large as the reader wants it
const [ROW, BEYOND, PAGE] = [3.375 * REM, 6, 8]; // pixels; rows made above and below; rows of PageDown

/** A list box with one chosen track. */
export class ReviewList {
  #tracks = [];
  #chosen = -1; // place

  /**
   * @param {HTMLElement} container - Empty; the list fills it.
   * @param {function(string): void} onChoose - Gets the id of a track.
   */
  constructor(container, onChoose) {
    this.choose = onChoose;
    this.space = element("div", { class: "track-space", role: "presentation" });
    const naming = { role: "listbox", tabindex: 0, "aria-label": "Tracks" };
    /** What takes the focus. @type {HTMLElement} */
    this.box = element("div", { class: "track-list", ...naming }, this.space);
    container.replaceChildren(this.box);
    this.box.addEventListener("scroll", () => this.#draw(), { passive: true });
    new ResizeObserver(() => this.#draw()).observe(this.box);
    this.box.addEventListener("click", ({ target }) => {
      const row = target.closest("[role=option]");
      if (row) onChoose(row.dataset.id);
    });
    this.box.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * Show tracks.
   * @param {Object[]} tracks - Of GET /tracks.
   * @param {?string} id - Of the chosen one, which may be none of them.
   */
  show(tracks, id) {
    this.#tracks = tracks;
    this.#chosen = tracks.findIndex((track) => track.id === id);
    this.box.hidden = !tracks.length;
    this.space.style.height = `${ROW * tracks.length}px`;
    this.#draw();
    this.#reveal();
  }

  /** Go to the start. */
  toStart() {
    this.box.scrollTop = 0;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const last = this.#tracks.length - 1;
    const [down, up] = [this.#chosen + PAGE, this.#chosen - PAGE];
    const place = { Enter: this.#chosen, Home: 0, End: last, PageDown: down, PageUp: up }[event.key];
    if (place === undefined) return;
    event.preventDefault();
    this.choose(this.#tracks[Math.min(last, Math.max(0, place))].id);
  }

  #draw() {
    const { scrollTop, clientHeight } = this.box;
    const first = Math.max(0, Math.floor(scrollTop / ROW) - BEYOND);
    const end = Math.min(this.#tracks.length, Math.ceil((scrollTop + clientHeight) / ROW) + BEYOND);
    const places = Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
    // it is what the focus is on for a screen reader, wherever the list is scrolled to
    if (this.#chosen >= 0 && !places.includes(this.#chosen)) places.push(this.#chosen);
    this.space.replaceChildren(...places.map((place) => this.#row(place)));
    const active = this.#tracks[this.#chosen];
    if (active) this.box.setAttribute("aria-activedescendant", `track-${active.id}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  #row(place) {
    const track = this.#tracks[place];
    const at = { "aria-posinset": place + 1, "aria-setsize": this.#tracks.length };
    const naming = { role: "option", id: `track-${track.id}`, "data-id": track.id };
    const name = element("span", { class: "track-name" }, track.track_id);
    const row = element("div", { class: "track-row", ...naming, ...at }, name, prediction(track));
    if (track.verdict) row.append(element("span", { class: "badge" }, badge(track)));
    row.setAttribute("aria-selected", String(place === this.#chosen));
    row.style.height = `${ROW}px`;
    row.style.transform = `translateY(${ROW * place}px)`;
    return row;
  }

  #reveal() {
    if (this.#chosen < 0 || !this.box.clientHeight) return;
    const [top, bottom] = [ROW * this.#chosen, ROW * (this.#chosen + 1)];
    const { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.box.scrollTop = bottom - clientHeight;
  }
}

/**
 * Mark a prediction.
 * @param {boolean} isWrong
 * @returns {HTMLElement[]} A sign, and the word for it.
 */
export function sign(isWrong) {
  const shown = element("span", { class: "sign", "aria-hidden": "true" }, isWrong ? "✗" : "✓");
  return [shown, element("span", { class: "visually-hidden" }, isWrong ? "wrong: " : "right: ")];
}

function prediction({ label, predicted, probability, is_wrong: isWrong }) {
  if (predicted === null) return element("span", { class: "muted" }, `${label || "no label"}, not in test`);
  const both = isWrong ? `${label || "no label"} → ${predicted} ` : `${label} `;
  const value = element("span", { class: "number" }, probability.toFixed(2));
  return element("span", { class: isWrong ? "is-wrong" : "is-right" }, ...sign(isWrong), both, value);
}
