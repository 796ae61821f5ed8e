/** The answer about a file, in words and as a list of all genres. */

import { classColours } from "./colours.js";
import { element } from "./elements.js";
import { best } from "./over_time.js";

/** What a novelty over the threshold means. */
export const NEW = "unlike anything the model learnt from"; // as `encore predict` says it

/**
 * Say what the model says of a file, in one sentence.
 * @param {Object} answer - Of POST /predict.
 * @returns {HTMLElement[]} The sentence, and one on its novelty.
 */
export function inWords(answer) {
  const genre = element("strong", { class: "genre" }, answer.genre);
  const sure = element("span", {}, `with a probability of ${answer.probability.toFixed(2)}`);
  const then = `; then ${answer.second}, ${answer.second_probability.toFixed(2)}.`;
  const novelty = element("p", { class: "novelty" }, noveltyInWords(answer));
  novelty.classList.toggle("is-new", answer.is_new === true);
  return [element("p", { class: "sentence" }, genre, ", ", sure, then), novelty];
}

function noveltyInWords({ novelty, is_new: isNew }) {
  const value = `Novelty ${novelty.toFixed(2)}: `;
  if (isNew === null) return `${value}what that means is not known, since this model was not evaluated.`;
  return `${value}${isNew ? NEW : "like music it learnt from"}.`;
}

/**
 * Say what an answer is worth: what the model has learnt from.
 * @param {Object} model - Of GET /about.
 * @returns {HTMLElement}
 */
export function worth({ origin }) {
  const lines = origin.length ? origin : ["it is not known what this model has learnt from"];
  const known = lines.map((line) => (/[.!?]$/.test(line) ? line : `${line}.`)).join(" ");
  const text = ` ${known} Of music unlike that, the answer says little.`;
  return element("p", { class: "worth" }, element("strong", {}, "The model:"), text);
}

/**
 * List all genres with their probability, the most probable first.
 * @param {Object} answer - Of POST /predict.
 * @param {string[]} labels - In the model's order.
 * @returns {HTMLElement} A table.
 */
export function allGenres(answer, labels) {
  const colours = classColours(labels);
  const ranked = best(labels, labels.map((label) => answer.probabilities[label]));
  const rows = ranked.map(({ label, probability }) => {
    const bar = element("div", { class: "bar" });
    bar.style.width = `${100 * probability}%`;
    bar.style.backgroundColor = colours[label];
    const track = element("td", { class: "track", "aria-hidden": "true" }, bar);
    const value = element("td", { class: "number" }, probability.toFixed(2));
    return element("tr", {}, element("th", { scope: "row" }, label), track, value);
  });
  const caption = element("caption", { class: "visually-hidden" }, "All genres, with their probability");
  return element("table", { class: "bars" }, caption, element("tbody", {}, ...rows));
}
