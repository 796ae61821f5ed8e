/** Tracks of the map as a list that is read and played without it. */

import { element, icon } from "./elements.js";

const AT_ONCE = 100; // rows that are made

/** A list of tracks under a title. */
export class TrackList {
  #points = [];
  #playing = null;

  /**
   * @param {HTMLElement} container - Empty; the list fills it, and is hidden as long as there is none.
   * @param {Object} tracks
   * @param {function(number): void} tracks.play - Plays one.
   * @param {function(?number): void} tracks.point - Shows where one is; null: no longer.
   * @param {function(number): string} tracks.nameOf
   * @param {function(number): string} tracks.about - What to say of one.
   */
  constructor(container, tracks) {
    [this.container, this.tracks] = [container, tracks];
    this.title = element("h2", { tabindex: -1 });
    this.rows = element("ol", { class: "map-tracks" });
    this.more = element("button", { type: "button" });
    container.append(this.title, this.rows, this.more);
    this.more.addEventListener("click", () => {
      const first = this.rows.children.length;
      this.#add();
      this.rows.children[first].querySelector("button").focus();
    });
  }

  /**
   * List other tracks.
   * @param {number[]} points
   * @param {string} title
   */
  show(points, title) {
    this.#points = points;
    this.title.textContent = title;
    this.container.hidden = false;
    this.rows.replaceChildren();
    this.rows.scrollTop = 0;
    this.#add();
  }

  /** List none. */
  clear() {
    this.#points = [];
    this.container.hidden = true;
    this.rows.replaceChildren();
  }

  /** Say which track is heard. @param {number} point */
  playing(point) {
    this.#playing = point;
    [...this.rows.children].forEach((row, place) => this.#tell(row, this.#points[place]));
  }

  #add() {
    const first = this.rows.children.length;
    this.rows.append(...this.#points.slice(first, first + AT_ONCE).map((point) => this.#row(point)));
    const left = this.#points.length - this.rows.children.length;
    this.more.hidden = !left;
    this.more.textContent = `${Math.min(left, AT_ONCE)} more of ${left.toLocaleString("en")}`;
  }

  #row(point) {
    const { play, point: show, nameOf, about } = this.tracks;
    const name = element("span", { class: "map-track-name" }, nameOf(point));
    const words = element("span", { class: "muted" }, about(point));
    const text = element("span", { class: "map-track-text" }, name, words);
    const button = element("button", { type: "button", class: "plain" }, icon("play"), text);
    const row = element("li", {}, button);
    button.addEventListener("click", () => play(point));
    for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => show(point));
    for (const name of ["pointerleave", "blur"]) button.addEventListener(name, () => show(null));
    this.#tell(row, point);
    return row;
  }

  #tell(row, point) {
    if (point === this.#playing) row.setAttribute("aria-current", "true");
    else row.removeAttribute("aria-current");
  }
}
