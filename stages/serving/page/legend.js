/** The classes of the map, with their colours; each can be left out. */

import { element } from "./elements.js";

/** Buttons, one for each class. */
export class Legend {
  #hidden = new Set();
  #entries = [];

  /**
   * @param {HTMLElement} container - Empty; the legend fills it.
   * @param {function(): void} changed - Called when other classes are shown.
   */
  constructor(container, changed) {
    this.changed = changed;
    this.list = element("ul", { class: "legend", "aria-label": "Classes" });
    this.every = element("button", { type: "button", class: "plain" }, "All");
    this.none = element("button", { type: "button", class: "plain" }, "None");
    const which = { class: "map-row", role: "group", "aria-label": "Which classes are shown" };
    container.append(this.list, element("div", which, this.every, this.none));
    this.every.addEventListener("click", () => this.#hide([]));
    this.none.addEventListener("click", () => this.#hide(this.#entries.map(({ name }) => name)));
  }

  /**
   * Take other classes; all are shown.
   * @param {{name: string, n: number, colour: ?string}[]} classes - Without a colour: it is grey.
   */
  fill(classes) {
    this.#hidden.clear();
    this.#entries = classes.map(({ name, n, colour }) => {
      const swatch = element("span", { class: "swatch", "aria-hidden": "true" });
      const count = element("span", { class: "number muted" }, n.toLocaleString("en"));
      const button = element("button", { type: "button", class: "plain" }, swatch, `${name} `, count);
      button.addEventListener("click", () => this.#toggle(name));
      return { name, colour, swatch, button };
    });
    this.list.replaceChildren(...this.#entries.map(({ button }) => element("li", {}, button)));
    this.#tell();
  }

  /** Say whether a class is shown. @param {string} name */
  shows(name) {
    return !this.#hidden.has(name);
  }

  /** Colour the classes as on the map. @param {function(string): string} seen - Gives the colour there. */
  paint(seen) {
    for (const { colour, swatch } of this.#entries) {
      swatch.style.backgroundColor = colour ? seen(colour) : "var(--muted)";
    }
  }

  #toggle(name) {
    if (!this.#hidden.delete(name)) this.#hidden.add(name);
    this.#tell();
    this.changed();
  }

  #hide(names) {
    this.#hidden = new Set(names);
    this.#tell();
    this.changed();
  }

  #tell() {
    for (const { name, button } of this.#entries) button.setAttribute("aria-pressed", String(this.shows(name)));
  }
}
