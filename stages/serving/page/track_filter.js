/** The fields that say which tracks are listed, with counts of what each choice would leave. */

import { EVERYTHING, chosen, counts, ordered } from "./chosen_tracks.js";
import { element } from "./elements.js";

const MOST_PAIRS = 5; // confusions that have a button
const ARROW = " → ";
const WHICH = [["all", "right and wrong"], ["wrong", "wrong only"], ["right", "right only"]];
const JUDGED = [["all", "judged or not"], ["unjudged", "not judged yet"], ["judged", "judged"]];
const ORDERS = [
  ["confidently_wrong", "most confidently wrong first"],
  ["novelty", "most novel first"],
  ["name", "by name"],
  ["chance", "by chance: an unbiased sample"],
];

/** Filters and the order. */
export class TrackFilter {
  /**
   * @param {HTMLElement} container - Empty; the fields fill it.
   * @param {function(): void} onChange
   */
  constructor(container, onChange) {
    this.changed = onChange;
    this.text = element("input", { type: "search", placeholder: "name or class", "aria-label": "Search" });
    this.label = element("select");
    this.predicted = element("select");
    this.which = select(WHICH);
    this.judged = select(JUDGED);
    this.order = select(ORDERS);
    this.seed = element("input", { type: "number", min: 0, step: 1, value: 1 });
    this.seedField = field("Seed", this.seed);
    this.pairs = element("div", { class: "pairs", role: "group", "aria-label": "Most frequent confusions" });
    this.clear = element("button", { type: "button", class: "quiet" }, "Clear filters");
    container.replaceChildren(
      element("div", { class: "filter-wide" }, this.text),
      field("Label", this.label),
      field("Model says", this.predicted),
      field("Predictions", this.which),
      field("Verdicts", this.judged),
      element("div", { class: "filter-wide filter-order" }, field("Order", this.order), this.seedField),
      this.pairs,
      element("div", { class: "filter-wide" }, this.clear),
    );
    container.addEventListener("input", onChange);
    this.clear.addEventListener("click", () => this.#clear());
  }

  /** What is chosen, as `EVERYTHING`. @type {Object} */
  get values() {
    const names = Object.keys(EVERYTHING);
    return Object.fromEntries(names.map((name) => [name, this[name].value]));
  }

  /**
   * Choose tracks, and say in each field how many each of its choices would leave.
   * @param {Object[]} tracks - All.
   * @returns {Object[]} In the chosen order.
   */
  apply(tracks) {
    const { values } = this;
    this.#fill(this.label, "any", counts(chosen(tracks, { ...values, label: "" }), (track) => track.label));
    const others = chosen(tracks, { ...values, predicted: "" });
    this.#fill(this.predicted, "any", counts(others, (track) => track.predicted));
    this.#fillPairs(tracks);
    this.seedField.hidden = this.order.value !== "chance";
    this.clear.hidden = Object.entries(values).every(([name, value]) => value === EVERYTHING[name]);
    return ordered(chosen(tracks, values), this.order.value, this.seed.valueAsNumber || 0);
  }

  #fill(box, any, found) {
    const { value } = box;
    const all = found.reduce((sum, [, n]) => sum + n, 0);
    const named = found.filter(([name]) => name).sort(([one], [other]) => (one < other ? -1 : 1));
    if (value && !named.some(([name]) => name === value)) named.push([value, 0]);
    const options = [["", any, all], ...named.map(([name, n]) => [name, name, n])];
    box.replaceChildren(...options.map(([key, name, n]) => option(key, `${name} (${n})`)));
    box.value = value;
  }

  #fillPairs(tracks) {
    const wrong = tracks.filter((track) => track.is_wrong && track.label);
    const pairs = counts(wrong, ({ label, predicted }) => JSON.stringify([label, predicted]));
    const focused = this.pairs.contains(document.activeElement) ? document.activeElement.dataset.pair : null;
    this.pairs.replaceChildren(...pairs.slice(0, MOST_PAIRS).map(([pair, n]) => this.#pair(pair, n)));
    this.pairs.hidden = !pairs.length;
    [...this.pairs.children].find((button) => button.dataset.pair === focused)?.focus();
  }

  #pair(pair, n) {
    const [label, predicted] = JSON.parse(pair);
    const isChosen = this.label.value === label && this.predicted.value === predicted;
    const state = { "aria-pressed": String(isChosen), "data-pair": pair };
    const count = element("span", { class: "muted" }, ` ${n}`);
    const words = [label, ARROW, predicted, count];
    const button = element("button", { type: "button", class: "chip", ...state }, ...words);
    button.addEventListener("click", () => {
      choose(this.label, isChosen ? "" : label);
      choose(this.predicted, isChosen ? "" : predicted);
      this.changed();
    });
    return button;
  }

  #clear() {
    for (const [name, value] of Object.entries(EVERYTHING)) this[name].value = value;
    this.changed();
    this.text.focus();
  }
}

/** Choose a value that may have no option yet. */
function choose(box, value) {
  if (![...box.options].some((one) => one.value === value)) box.append(option(value, value));
  box.value = value;
}

function option(value, text) {
  return element("option", { value }, text);
}

function select(choices) {
  return element("select", {}, ...choices.map(([value, text]) => option(value, text)));
}

function field(name, control) {
  control.id = `filter-${name.toLowerCase().replace(" ", "-")}`;
  return element("div", { class: "field" }, element("label", { for: control.id }, name), control);
}
