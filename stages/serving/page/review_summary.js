/** What the verdicts change: the accuracy with them, the command that trains with them, another reviewer. */

import { getJson } from "./api.js";
import { element } from "./elements.js";

const COLUMNS = [
  ["label_wrong", "label wrong"],
  ["ambiguous", "ambiguous"],
  ["label_right", "label right"],
  ["broken_audio", "broken audio"],
  ["not_judged", "not judged"],
  ["n", "all"],
];
const WORDS = Object.fromEntries(COLUMNS);
const COPIED_MS = 2000;
const NONE = "No verdicts on test tracks yet.";

/**
 * Say how far the review has come.
 * @param {Object} summary - Of GET /verdicts.
 * @returns {string}
 */
export function progress({ wrong, right }) {
  const [ofWrong, ofRight] = [wrong, right].map((one) => `${one.n - one.not_judged} of ${one.n}`);
  return `${ofWrong} wrong ones judged, ${ofRight} right ones`;
}

/** The panel below the track. */
export class ReviewSummary {
  #verdicts = null;
  #shown = 0; // counts what was asked for: the last one is shown

  /**
   * @param {HTMLElement} container - Empty; the panel fills it.
   * @param {function(string): void} onTrack - Gets the id of a track that is to be shown.
   */
  constructor(container, onTrack) {
    this.onTrack = onTrack;
    this.numbers = element("div", { class: "changes" });
    this.command = element("code");
    this.copy = element("button", { type: "button" }, "Copy");
    const line = element("div", { class: "command" }, this.command, this.copy);
    const why = element("p", {}, "To train and test with these corrections:");
    const then = "Then start `encore serve` again. The split is drawn anew: the accuracy is of other test tracks.";
    this.training = element("div", { class: "training" }, why, line, element("p", { class: "muted" }, then));
    this.copy.addEventListener("click", () => this.#copy());
    this.other = element("select", { id: "other-reviewer" });
    this.other.addEventListener("change", () => this.#compare());
    const name = element("label", { for: "other-reviewer" }, "Lay beside ");
    this.choice = element("p", { class: "other" }, name, this.other);
    this.nobody = element("p", { class: "muted" });
    this.agreement = element("div", { "aria-live": "polite" });
    container.replaceChildren(
      element("h2", {}, "What your verdicts change"),
      this.numbers,
      this.training,
      element("h2", { class: "beside-title" }, "Another reviewer"),
      this.choice,
      this.nobody,
      this.agreement,
    );
  }

  /**
   * Show what the verdicts change.
   * @param {Object} verdicts - Of GET /verdicts.
   */
  show(verdicts) {
    this.#verdicts = verdicts;
    this.showSummary(verdicts.summary);
    const others = verdicts.reviewers.filter((name) => name !== verdicts.reviewer);
    const { value } = this.other;
    const options = [["", "nobody"], ...others.map((name) => [name, name])];
    this.other.replaceChildren(...options.map(([key, text]) => element("option", { value: key }, text)));
    this.other.value = others.includes(value) ? value : "";
    this.choice.hidden = !others.length;
    const how = "have them start `encore serve --reviewer NAME`, or put their file into data/verdicts";
    this.nobody.textContent = others.length ? "" : `Nobody else has judged yet: ${how}.`;
    this.#compare();
  }

  /**
   * Show numbers after a verdict.
   * @param {Object} summary - As in GET /verdicts.
   */
  showSummary(summary) {
    const { wrong, right, n_elsewhere: elsewhere, n_known: known } = summary;
    const given = wrong.n - wrong.not_judged + right.n - right.not_judged;
    this.training.hidden = !given && !elsewhere;
    const { file } = this.#verdicts; // experiments run in copies of the project, with what is in git
    this.command.textContent = `git add ${file} && encore run dataset.labels=${file}`;
    const lines = [];
    const { n_other_music: other } = this.#verdicts;
    if (summary.bias) lines.push(`${capital(summary.bias)}.`);
    const say = (n, what) => n && lines.push(`${some(n, "verdict")} ${what}.`);
    say(known, "on a wrong label that is corrected in the data already");
    say(elsewhere, "on tracks that are not in test: not counted here");
    say(other, "on music that is not here, or has changed: left out");
    this.numbers.replaceChildren(
      ...(given ? [accuracies(summary), kinds(summary)] : [element("p", {}, NONE)]),
      ...lines.map((line) => element("p", { class: "bias" }, line)),
    );
    if (this.other.value) this.#compare();
  }

  async #compare() {
    const asked = (this.#shown += 1);
    if (!this.other.value) return this.agreement.replaceChildren();
    if (!this.agreement.children.length) this.agreement.append(element("p", { class: "muted" }, "Comparing …"));
    let content = [];
    try {
      const path = `/verdicts/agreement?with=${encodeURIComponent(this.other.value)}`;
      content = this.#beside(await getJson(path));
    } catch (error) {
      content = [element("p", { class: "problem" }, error.message)];
    }
    if (asked === this.#shown) this.agreement.replaceChildren(...content);
  }

  #beside({ agreement: found, other, ids }) {
    const both = `You and ${other} have judged ${some(found.n, "track")} in common`;
    if (!found.n) return [element("p", {}, `${both}.`), ...otherMusic(found)];
    const share = `the same verdict on ${Math.round(found.observed * 100)} % of them`;
    const said = element("p", {}, `${both}, with ${share}. ${kappaInWords(found)}`);
    const differences = this.#differences(found, other, ids);
    return [said, ...newLabels(found), ...otherMusic(found), confusion(found, other), ...differences];
  }

  #differences({ differences }, other, ids) {
    if (!differences.length) return [];
    const rows = differences.map((one) => {
      const name = ids[one.track_id]
        ? element("button", { type: "button", class: "link" }, one.track_id)
        : element("span", {}, one.track_id);
      if (ids[one.track_id]) name.addEventListener("click", () => this.onTrack(ids[one.track_id]));
      const [own, theirs] = [spelled(one.first, one.first_label), spelled(one.second, one.second_label)];
      return element("li", {}, name, `: you: ${own}; ${other}: ${theirs}`);
    });
    const title = element("h3", {}, `${some(differences.length, "difference")}, to listen to again`);
    return [title, element("ul", { class: "differences" }, ...rows)];
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText(this.command.textContent);
      this.copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(this.command); // not allowed: it is one Ctrl-C away
      this.copy.textContent = "Selected";
    }
    setTimeout(() => {
      this.copy.textContent = "Copy";
    }, COPIED_MS);
  }
}

function accuracies({ before, after }) {
  const row = (name, { accuracy, ci95, n }) => {
    if (accuracy === null) return [name, "–", "–", "0"];
    return [name, accuracy.toFixed(3), ci95.map((one) => one.toFixed(3)).join(" – "), String(n)];
  };
  const rows = [row("as they are", before), row("with your verdicts", after)];
  return table("Accuracy on test", ["labels", "accuracy", "95 % interval", "tracks"], rows);
}

function kinds({ wrong, right }) {
  const rows = COLUMNS.map(([key, name]) => [name, String(wrong[key]), String(right[key])]);
  return table("Your verdicts", ["your verdict", "wrong predictions", "right predictions"], rows);
}

function confusion({ verdicts, table: counts }, other) {
  const names = verdicts.map((verdict) => WORDS[verdict]);
  const rows = counts.map((row, i) => [names[i], ...row.map(String)]);
  return table(`Your verdicts, by row, and those of ${other}`, [`you, and ${other} →`, ...names], rows);
}

function table(caption, heads, rows) {
  const head = heads.map((name) => element("th", { scope: "col" }, name));
  const body = rows.map(([name, ...cells]) => {
    const values = cells.map((cell) => element("td", {}, cell));
    return element("tr", {}, element("th", { scope: "row" }, name), ...values);
  });
  const top = element("thead", {}, element("tr", {}, ...head));
  const made = element("table", { "aria-label": caption }, top, element("tbody", {}, ...body));
  const region = { class: "scroll numbers", tabindex: 0, role: "region", "aria-label": caption };
  return element("div", region, made);
}

function kappaInWords({ kappa, kappa_ci95: interval }) {
  if (kappa === null) return "Cohen's kappa is not defined: both always gave one and the same verdict.";
  const limits = interval ? ` (95 % interval ${interval.map(signed).join(" to ")})` : "";
  return `Cohen's kappa, which takes away what chance would bring, is ${signed(kappa)}${limits}.`;
}

function signed(value) {
  return value.toFixed(2).replace("-", "−");
}

function newLabels({ n_both_wrong: n, n_same_label: nSame }) {
  if (!n) return [];
  const line = `Of ${some(n, "label")} that both call wrong, you replace ${nSame} by the same one.`;
  return [element("p", {}, line)];
}

function otherMusic({ n_other_music: n }) {
  if (!n) return [];
  const line = `${some(n, "track")} left out: the music has changed between the two verdicts.`;
  return [element("p", {}, line)];
}

function spelled(verdict, label) {
  return verdict === "label_wrong" ? `${WORDS[verdict]} (${label})` : WORDS[verdict];
}

function some(n, what) {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
