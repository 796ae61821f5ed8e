/** Which class a track is: one of the model's by number, letters or arrow keys, or any other in words. */

import { element } from "./elements.js";

const DIGITS = "1234567890";
const MOST_SHOWN = 60; // of some hundred classes; letters bring the others
const LONGEST = 80; // characters, as the server takes

/** A text field with the list of what it may mean. */
export class LabelChoice {
  #labels = [];
  #was = "";
  #options = []; // {label, isNew}
  #active = 0;
  #isNumbered = true;

  /**
   * @param {HTMLElement} container - Empty; it fills it while it is open.
   * @param {Object} calls
   * @param {function(string): void} calls.onTake - Gets the class.
   * @param {function(): void} calls.onCancel
   */
  constructor(container, { onTake, onCancel }) {
    this.container = container;
    this.onTake = onTake;
    this.cancel = onCancel;
    this.title = element("label", { for: "label-choice" });
    const box = { role: "combobox", "aria-expanded": "true", "aria-controls": "label-options" };
    const how = { "aria-autocomplete": "list", "aria-describedby": "label-how", autocomplete: "off" };
    this.input = element("input", { id: "label-choice", type: "text", maxlength: LONGEST, ...box, ...how });
    this.list = element("ul", { id: "label-options", role: "listbox", "aria-label": "Classes" });
    this.how = element("p", { id: "label-how", class: "muted" });
    this.none = element("p", { class: "muted", role: "status" });
    this.take = element("button", { type: "button", class: "primary" }, "Take it");
    const leave = element("button", { type: "button" }, "Leave it");
    const buttons = element("div", { class: "label-buttons" }, this.take, leave);
    container.append(this.title, this.input, this.list, this.none, buttons, this.how);
    container.hidden = true;
    this.input.addEventListener("input", () => this.#find());
    this.take.addEventListener("click", () => this.#take());
    leave.addEventListener("click", () => onCancel());
    container.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("click", ({ target }) => {
      const row = target.closest("[role=option]");
      if (!row) return;
      this.#active = Number(row.dataset.place);
      this.#take();
    });
  }

  /** Whether it is open. @type {boolean} */
  get isOpen() {
    return !this.container.hidden;
  }

  /**
   * Ask for the class of a track.
   * @param {Object} track - Of GET /tracks.
   * @param {string[]} labels - Of the model; offered the most probable first, without the one that is wrong.
   */
  open({ track_id: name, label, probabilities }, labels) {
    const probable = probabilities ?? {};
    const offered = labels.filter((one) => one !== label);
    this.#labels = offered.sort((one, other) => (probable[other] ?? 0) - (probable[one] ?? 0));
    this.#was = label;
    this.#isNumbered = !labels.some((one) => /^\d/.test(one)); // "1980s" is typed
    this.title.textContent = `Which class is ${name}? ${label ? `Not ${label}, but` : ""}`;
    const numbers = this.#isNumbered ? "A number or letters choose" : "Letters choose";
    const others = "A class that is not listed can be typed.";
    this.how.textContent = `${numbers}, Enter takes it, Esc leaves it. ${others}`;
    this.input.value = "";
    this.container.hidden = false;
    this.#find();
    this.input.focus();
  }

  /** Close it. */
  close() {
    this.container.hidden = true;
  }

  #find() {
    const typed = this.input.value.trim();
    const small = typed.toLowerCase();
    const fits = this.#labels.filter((label) => label.toLowerCase().includes(small));
    const begins = (label) => label.toLowerCase().startsWith(small);
    if (small) fits.sort((one, other) => begins(other) - begins(one) || one.length - other.length);
    this.#options = fits.slice(0, MOST_SHOWN).map((label) => ({ label, isNew: false }));
    const isKnown = [this.#was, ...this.#labels].some((label) => label.toLowerCase() === small);
    if (typed && !isKnown) this.#options.push({ label: typed, isNew: true });
    this.#active = 0;
    this.#draw();
  }

  #draw() {
    this.list.replaceChildren(...this.#options.map((one, place) => this.#row(one, place)));
    this.list.hidden = !this.#options.length;
    this.take.disabled = !this.#options.length;
    this.none.textContent = this.#options.length ? "" : `${this.input.value.trim()} is its label already.`;
    if (!this.#options.length) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `label-${this.#active}`);
    this.list.children[this.#active]?.scrollIntoView({ block: "nearest" });
  }

  #row({ label, isNew }, place) {
    const isActive = String(place === this.#active);
    const naming = { id: `label-${place}`, "data-place": place, "aria-selected": isActive };
    const row = element("li", { role: "option", ...naming });
    const hasNumber = this.#isNumbered && !this.input.value && place < DIGITS.length;
    if (hasNumber) row.append(element("kbd", {}, DIGITS[place]), " ");
    row.append(isNew ? `“${label}”, a new class` : label);
    return row;
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    event.stopPropagation(); // letters are letters here
    const [digit, last] = [DIGITS.indexOf(event.key), this.#options.length - 1];
    const onField = event.target === this.input;
    if (event.key === "Escape") this.cancel();
    else if (event.key === "Enter" && onField) this.#take();
    else if (event.key === "ArrowDown" && onField) this.#go(Math.min(last, this.#active + 1));
    else if (event.key === "ArrowUp" && onField) this.#go(Math.max(0, this.#active - 1));
    else if (onField && this.#isNumbered && !this.input.value && digit >= 0 && digit <= last) this.#go(digit);
    else return;
    event.preventDefault();
  }

  #go(place) {
    this.#active = place;
    this.#draw();
  }

  #take() {
    if (this.#options.length) this.onTake(this.#options[this.#active].label);
  }
}
