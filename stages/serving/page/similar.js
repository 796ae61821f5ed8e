/** The tracks that are most like a file, to play. */

import { element, icon } from "./elements.js";
import { alone } from "./sound.js";

const WORDS = [[0.9, "very similar"], [0.7, "similar"], [0.4, "somewhat similar"], [-1, "hardly similar"]];

/** A list of tracks with one sound for all of them. */
export class SimilarTracks {
  #audio = element("audio", { preload: "none" });
  #buttons = new Map(); // by address
  #playing = "";

  /** @param {HTMLElement} container - Empty; the list fills it. */
  constructor(container) {
    this.container = container;
    alone(this.#audio);
    for (const name of ["play", "pause"]) this.#audio.addEventListener(name, () => this.#showState());
    this.#audio.addEventListener("error", () => this.#fail());
  }

  /**
   * Show a line in place of tracks.
   * @param {string} line - Empty: nothing.
   */
  say(line) {
    this.#clear();
    this.container.replaceChildren(...(line ? [element("p", { class: "muted" }, line)] : []));
  }

  /**
   * Show tracks.
   * @param {Object[]} tracks - Of POST /similar.
   */
  show(tracks) {
    if (!tracks.length) {
      this.say("No track fits.");
      return;
    }
    this.#clear();
    const list = element("ol", { class: "similar" }, ...tracks.map((track) => this.#row(track)));
    this.container.replaceChildren(list, element("p", { class: "similar-problem", role: "status" }));
  }

  #clear() {
    this.#audio.pause();
    this.#audio.removeAttribute("src");
    this.#playing = "";
    this.#buttons.clear();
  }

  #row({ name, genre, is_predicted: isPredicted, artist, similarity, same_recording: isSame, audio }) {
    const naming = { class: "round", "aria-label": `Play ${name}` };
    const button = element("button", { type: "button", ...naming }, icon("play"));
    button.addEventListener("click", () => this.#toggle(audio));
    this.#buttons.set(audio, button);
    // a path breaks behind its folders
    const parts = name.split(/(?<=\/)/).flatMap((part) => [part, element("wbr")]);
    const title = element("span", { class: "name" }, ...parts);
    const genreText = isPredicted ? `${genre} (predicted)` : genre;
    const how = [artist, genreText, inWords(similarity), similarity.toFixed(2)].filter(Boolean).join(", ");
    const about = element("span", { class: "muted number" }, how);
    if (isSame) about.append(" ", element("span", { class: "badge" }, "same recording"));
    return element("li", {}, button, element("div", {}, title, about));
  }

  #toggle(audio) {
    if (this.#playing !== audio) {
      this.#playing = audio;
      this.#audio.src = audio;
    }
    if (this.#audio.paused) this.#audio.play().catch(() => {}); // "error" says why
    else this.#audio.pause();
  }

  #showState() {
    for (const [audio, button] of this.#buttons) {
      const isPlaying = audio === this.#playing && !this.#audio.paused;
      button.replaceChildren(icon(isPlaying ? "pause" : "play"));
      const name = button.getAttribute("aria-label").replace(/^\S+ /, "");
      button.setAttribute("aria-label", `${isPlaying ? "Pause" : "Play"} ${name}`);
    }
  }

  #fail() {
    if (!this.#audio.hasAttribute("src")) return;
    const problem = this.container.querySelector(".similar-problem");
    problem.textContent = "This browser cannot play this track.";
  }
}

function inWords(similarity) {
  return (WORDS.find(([least]) => similarity >= least) ?? WORDS.at(-1))[1];
}
