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

/**
 * Say how far the review has come.
 * @param {Object} summary - Of GET /verdicts.
 * @returns {string}
 */
export function progress({ wrong, right }) {
  return `${wrong.n - wrong.not_judged} of ${wrong.n} wrong ones judged, ${right.n - right.not_judged} of ${right.n} right ones`;
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
    this.numbers = element("div");
    this.command = element("code");
    this.copy = element("button", { type: "button" }, "Copy");
    const line = element("div", { class: "command" }, this.command, this.copy);
    const why = element("p", {}, "To train and test with these corrections:");
    this.training = element("div", { class: "training" }, why, line);
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
    this.command.textContent = `encore run dataset.labels=${this.#verdicts.file}`;
    const lines = [];
    const { n_other_music: other } = this.#verdicts;
    if (summary.bias) lines.push(`${capital(summary.bias)}.`);
    if (known) lines.push(`${some(known, "verdict")} of a wrong label that the data has corrected already.`);
    if (elsewhere) lines.push(`${some(elsewhere, "verdict")} on tracks that are not in test: not counted here.`);
    if (other) lines.push(`${some(other, "verdict")} on music that is not here, or has changed: left out.`);
    this.numbers.replaceChildren(
      ...(given ? [accuracies(summary), kinds(summary)] : [element("p", {}, "No verdicts on test tracks yet.")]),
      ...lines.map((line) => element("p", { class: "bias" }, line)),
    );
    if (this.other.value) this.#compare();
  }

  async #compare() {
    const asked = (this.#shown += 1);
    if (!this.other.value) return this.agreement.replaceChildren();
    let content;
    try {
      content = this.#beside(await getJson(`/verdicts/agreement?with=${encodeURIComponent(this.other.value)}`));
    } catch (error) {
      content = [element("p", { class: "problem" }, error.message)];
    }
    if (asked === this.#shown) this.agreement.replaceChildren(...content);
  }

  #beside({ agreement: found, other, ids }) {
    if (!found.n) return [element("p", {}, `You and ${other} have judged no track both.`), ...otherMusic(found)];
    const share = `the same verdict on ${Math.round(found.observed * 100)} % of ${some(found.n, "track")}`;
    const said = element("p", {}, `You and ${other} gave ${share} that both have judged. ${kappaInWords(found)}`);
    const labels = found.n_both_wrong
      ? [element("p", {}, `Both call ${some(found.n_both_wrong, "label")} wrong, and name the same class for ${found.n_same_label}.`)]
      : [];
    return [said, ...labels, ...otherMusic(found), confusion(found, other), ...this.#differences(found, other, ids)];
  }

  #differences({ differences }, other, ids) {
    if (!differences.length) return [];
    const rows = differences.map((one) => {
      const name = ids[one.track_id]
        ? element("button", { type: "button", class: "link" }, one.track_id)
        : element("span", {}, one.track_id);
      if (ids[one.track_id]) name.addEventListener("click", () => this.onTrack(ids[one.track_id]));
      const [own, theirs] = [spelled(one.first, one.first_label), spelled(one.second, one.second_label)];
      return element("li", {}, name, `: you ${own}; ${other} ${theirs}`);
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
    const [value, interval] = accuracy === null ? ["–", "–"] : [accuracy.toFixed(3), ci95.map((one) => one.toFixed(3)).join(" – ")];
    return [name, value, interval, String(n)];
  };
  const heads = ["accuracy", "", "95 % interval", "tracks"];
  return table("Accuracy on test", heads, [row("with the labels as they are", before), row("with your verdicts", after)]);
}

function kinds({ wrong, right }) {
  const row = (name, counts) => [name, ...COLUMNS.map(([key]) => String(counts[key]))];
  const rows = [row("wrong predictions", wrong), row("right predictions", right)];
  return table("Verdicts", ["judged as", ...COLUMNS.map(([, name]) => name)], rows);
}

function confusion({ verdicts, table: counts }, other) {
  const names = verdicts.map((verdict) => WORDS[verdict]);
  const rows = counts.map((row, i) => [`you: ${names[i]}`, ...row.map(String)]);
  return table(`Your verdicts and those of ${other}`, ["", ...names.map((name) => `${other}: ${name}`)], rows);
}

function table(caption, heads, rows) {
  const head = heads.map((name) => (name ? element("th", { scope: "col" }, name) : element("td")));
  const body = rows.map(([name, ...cells]) => {
    return element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell)));
  });
  const title = element("caption", { class: "visually-hidden" }, caption);
  const made = element("table", {}, title, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...body));
  return element("div", { class: "scroll numbers", tabindex: 0, role: "region", "aria-label": caption }, made);
}

function kappaInWords({ kappa, kappa_ci95: interval }) {
  if (kappa === null) return "Cohen's kappa is not defined: both always gave one and the same verdict.";
  const limits = interval ? ` (95 % interval ${interval.map((one) => one.toFixed(2)).join(" to ")})` : "";
  return `Cohen's kappa, which takes away what chance would bring, is ${kappa.toFixed(2)}${limits}.`;
}

function otherMusic({ n_other_music: n }) {
  return n ? [element("p", {}, `${some(n, "track")} left out: the two verdicts are about different music files.`)] : [];
}

function spelled(verdict, label) {
  return verdict === "label_wrong" ? `say ${label}` : `say ${WORDS[verdict]}`;
}

function some(n, what) {
  return `${n} ${what}${n === 1 ? "" : "s"}`;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}
