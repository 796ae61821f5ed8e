/** The buttons of a verdict, and the verdict that a track has. */

import { element } from "./elements.js";
import { LabelChoice } from "./label_choice.js";
import { KEYS, badge, nameOf } from "./verdict.js";

/** Takes one verdict at a time. */
export class VerdictPanel {
  #track = null;
  #isSaving = false;
  #canUndo = false;
  #buttons = new Map(); // by verdict

  /**
   * @param {HTMLElement} container - Empty; the panel fills it.
   * @param {Object} options
   * @param {string[]} options.labels - Of the model.
   * @param {function(string, string): void} options.onVerdict - Gets the verdict and its label.
   * @param {function(): void} options.onUndo
   */
  constructor(container, { labels, onVerdict, onUndo }) {
    this.labels = labels;
    this.onVerdict = onVerdict;
    this.onUndo = onUndo;
    this.present = element("p", { class: "present" });
    const group = { class: "verdicts", role: "group", "aria-label": "Your verdict" };
    const buttons = Object.entries(KEYS).map(([key, verdict]) => this.#button(key, verdict));
    const row = element("div", group, ...buttons);
    this.undoName = element("span", {}, "Take back");
    const shortcut = { type: "button", class: "undo", "aria-keyshortcuts": "u" };
    this.undo = element("button", shortcut, this.undoName, element("kbd", { "aria-hidden": "true" }, "u"));
    this.undo.addEventListener("click", () => this.takeBack());
    const top = element("div", { class: "judging-top" }, this.present, this.undo);
    const place = element("div", { class: "label-choice" });
    this.choice = new LabelChoice(place, {
      onTake: (label) => this.#give("label_wrong", label),
      onCancel: () => this.#leave(),
    });
    /** What was saved, and what was not. */
    this.live = element("p", { class: "saved", role: "status" });
    this.problem = element("p", { class: "problem", role: "alert" });
    container.replaceChildren(top, row, place, this.live, this.problem);
  }

  /**
   * Show a track's verdict.
   * @param {Object} track - Of GET /tracks.
   * @param {?Object} last - The track that was judged last: its verdict can be taken back where this one has
   *   none.
   */
  show(track, last) {
    this.#track = track;
    this.choice.close();
    for (const [verdict, button] of this.#buttons) {
      button.firstChild.textContent = nameOf(verdict, track);
      button.setAttribute("aria-pressed", String(track.verdict?.verdict === verdict));
      button.setAttribute("aria-expanded", "false");
      if (verdict !== "label_wrong") button.removeAttribute("aria-expanded");
    }
    const time = track.verdict?.time.replace("T", " ").replace(/(:\d\d)?Z$/, " UTC");
    const words = [badge(track), time].filter(Boolean); // a person's table may have no time
    const given = `Your verdict: ${words.join(", ")}`;
    this.present.textContent = track.verdict ? given : "Is the label right?";
    this.undoName.textContent = track.verdict || !last ? "Take back" : `Take back ${last.track_id}`;
    this.#canUndo = Boolean(track.verdict || last);
    this.#allow();
  }

  /**
   * Give a verdict, or ask for the right class first.
   * @param {string} verdict
   */
  judge(verdict) {
    if (this.#isSaving || this.#buttons.get(verdict).disabled) return;
    if (verdict !== "label_wrong") return this.#give(verdict, "");
    this.#buttons.get(verdict).setAttribute("aria-expanded", "true");
    this.choice.open(this.#track, this.labels);
  }

  /** Take the verdict back. */
  takeBack() {
    if (!this.undo.disabled) this.onUndo();
  }

  /**
   * Say what was saved.
   * @param {string} line
   */
  say(line) {
    this.problem.textContent = "";
    this.live.textContent = line;
  }

  /**
   * Say what was not saved.
   * @param {string} line
   */
  fail(line) {
    this.live.textContent = "";
    this.problem.textContent = line;
  }

  /** Whether a verdict is on its way to the disk: no other one is taken then. @param {boolean} isSaving */
  set isSaving(isSaving) {
    this.#isSaving = isSaving;
    this.#allow();
  }

  get isSaving() {
    return this.#isSaving;
  }

  #button(key, verdict) {
    const state = { "aria-pressed": "false", "aria-keyshortcuts": key, "data-verdict": verdict };
    const shown = element("kbd", { "aria-hidden": "true" }, key);
    const button = element("button", { type: "button", ...state }, element("span"), shown);
    button.addEventListener("click", () => this.judge(verdict));
    this.#buttons.set(verdict, button);
    return button;
  }

  #give(verdict, label) {
    if (!this.#isSaving) this.onVerdict(verdict, label);
  }

  #leave() {
    this.choice.close();
    const button = this.#buttons.get("label_wrong");
    button.setAttribute("aria-expanded", "false");
    button.focus();
  }

  #allow() {
    for (const [verdict, button] of this.#buttons) {
      const hasNoLabel = verdict === "label_right" && !this.#track?.label;
      button.disabled = this.#isSaving || hasNoLabel;
    }
    this.undo.disabled = this.#isSaving || !this.#canUndo;
  }
}
