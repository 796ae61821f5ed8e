/** The tab Ask: a file or a recording, and what the model says of it. */

import { allGenres, inWords, worth } from "./answer.js";
import { clock } from "./clock.js";
import { element } from "./elements.js";
import { Recording } from "./microphone.js";
import { Player } from "./player.js";
import { SimilarTracks } from "./similar.js";
import { send } from "./upload.js";

const K = 5; // similar tracks
const MOST_GENRES = 16; // in view at once
const MB = 1e6;
const [UNHEARD, UNHEARD_S] = [0.001, 2]; // below this level for so long, the microphone may be muted
const MANY = "one file at a time; `encore predict FOLDER` answers about many";

/**
 * Start the tab.
 * @param {HTMLElement} section - Empty; the tab fills it.
 * @param {Object} about - Of GET /about.
 * @returns {{receive: function({dropped: {files: File[], isFolder: boolean}}): void}}
 */
export function start(section, about) {
  const tab = new Ask(section, about);
  return { receive: ({ dropped }) => dropped && tab.take(dropped) };
}

class Ask {
  #about;
  #question = null; // what can be aborted
  #recording = null;
  #url = null; // of the sound of the file

  constructor(section, about) {
    this.#about = about;
    this.#buildQuestion();
    this.#buildAnswer();
    section.classList.add("ask");
    section.append(this.drop, this.problem, this.waiting, this.status, this.live, this.answer);
    this.player = new Player(this.playing);
    this.similar = new SimilarTracks(this.tracks);
  }

  /**
   * Ask about a file, in place of what was asked before.
   * @param {File} file
   */
  async ask(file) {
    this.#forget();
    const { bytes } = this.#about.limits;
    const size = sizeInWords(file.size);
    if (!file.size) return this.#fail(`${file.name}: is an empty file`);
    if (file.size > bytes) return this.#fail(`${file.name}: has ${size}; at most ${bytes / MB} MB are taken`);
    this.#question = new AbortController();
    this.#url = URL.createObjectURL(file);
    this.drop.classList.add("is-small");
    this.waiting.hidden = false;
    this.what.textContent = `${file.name}, ${size}`;
    this.#showSent(0);
    this.#sayTracks("");
    const { signal } = this.#question;
    const similar = this.#findSimilar(file, signal);
    await this.#predict(file, signal);
    await similar;
  }

  /**
   * Ask about the first of the files that were dropped.
   * @param {{files: File[], isFolder: boolean}} dropped
   */
  take({ files, isFolder }) {
    if (isFolder || !files.length) return this.#fail(isFolder ? `a folder: ${MANY}` : "no file was dropped");
    this.ask(files[0]);
    if (files.length > 1) this.#fail(`of ${files.length} files ${files[0].name} is asked about: ${MANY}`);
  }

  async #predict(file, signal) {
    const began = performance.now();
    try {
      const path = `/predict?name=${encodeURIComponent(file.name)}&over_time=true`;
      const answer = await send(path, file, {
        signal,
        onSent: (part) => this.#showSent(part),
        onBusy: (seconds) => this.#say(`The server is busy; trying again in ${Math.round(seconds)} s.`),
      });
      if (!signal.aborted) this.#show(file, answer, (performance.now() - began) / 1000);
    } catch (error) {
      if (signal.aborted) return;
      this.#forget();
      this.#fail(`${file.name}: ${error.message}`);
    }
  }

  async #findSimilar(file, signal) {
    try {
      const { tracks } = await send(`/similar?k=${K}`, file, {
        signal,
        onBusy: (_, line) => this.#sayTracks(`${line}. The list appears here by itself.`),
      });
      if (!signal.aborted) this.similar.show(tracks);
    } catch (error) {
      if (!signal.aborted) this.#sayTracks(error.message);
    }
  }

  #show(file, answer, seconds) {
    this.waiting.hidden = true;
    this.answer.hidden = false;
    const words = inWords(answer);
    this.#say("");
    this.live.textContent = words.map((one) => one.textContent).join(" ");
    const inPart = `Read only in part: it ${answer.note}.`;
    const note = answer.note ? [element("p", { class: "note" }, inPart)] : [];
    const heard = `${lengthInWords(answer)}, answered in ${seconds.toFixed(1)} s`;
    const about = element("p", { class: "muted" }, heard);
    const said = element("div", {}, element("h2", {}, file.name), ...words, ...note, about);
    this.said.replaceChildren(said, worth(this.#about.model));
    const { labels } = this.#about.model;
    const scrolled = { class: "scroll", tabindex: 0, role: "region", "aria-label": "All genres" };
    const genres = element("div", labels.length > MOST_GENRES ? scrolled : {}, allGenres(answer, labels));
    this.genres.replaceChildren(genres);
    const { threshold } = this.#about.model;
    this.player.load({ name: file.name, audioUrl: this.#url, overTime: answer.over_time, threshold });
    this.noPicture.textContent = answer.over_time_problem ? `No picture: ${answer.over_time_problem}.` : "";
  }

  /** End what is going on, and clear what is shown. */
  #forget() {
    this.#question?.abort();
    this.#question = null;
    this.#endRecording()?.discard();
    this.problem.textContent = this.live.textContent = "";
    this.waiting.hidden = true;
    this.answer.hidden = true;
    this.said.replaceChildren();
    this.player.unload();
    this.similar.say("");
    if (this.#url) URL.revokeObjectURL(this.#url);
    this.#url = null;
  }

  #cancel() {
    this.#forget();
    this.#say("Cancelled.");
    this.choose.focus();
  }

  #say(line) {
    this.status.textContent = line;
  }

  #fail(line) {
    this.#say("");
    this.problem.textContent = line;
  }

  #sayTracks(line) {
    this.similar.say(line || "Looking for similar tracks …");
  }

  #showSent(part) {
    if (part < 1) this.progress.value = part;
    else this.progress.removeAttribute("value"); // nobody knows how long it takes
    this.#say(part < 1 ? "Sending …" : "The model listens …");
  }

  #buildQuestion() {
    const { bytes, seconds_of_music: mostS } = this.#about.limits;
    this.input = element("input", { type: "file", hidden: true });
    this.choose = element("button", { type: "button", class: "primary" }, "Choose a file");
    this.record = element("button", { type: "button" }, "Record");
    this.choices = element("div", { class: "row" }, this.choose, this.record, this.input);
    const formats = "WAV, MP3, FLAC, OGG, M4A, MIDI, …";
    const most = `${formats} up to ${bytes / MB} MB and ${Math.round(mostS / 60)} minutes.`;
    const kept = "It stays on this machine, and is not kept.";
    this.drop = element(
      "div",
      { class: "card drop" },
      element("h2", {}, "What genre is this?"),
      element("p", {}, "Drop a file anywhere on this page, choose one, or let the microphone listen."),
      this.choices,
      this.#buildRecorder(),
      element("p", { class: "muted" }, `${most} ${kept}`),
    );
    this.problem = element("p", { class: "problem", role: "alert" });
    this.choose.addEventListener("click", () => this.input.click());
    this.input.addEventListener("change", () => {
      if (this.input.files.length) this.ask(this.input.files[0]);
      this.input.value = ""; // the same file can be chosen again
    });
    this.record.addEventListener("click", () => this.#startRecording());
  }

  #buildRecorder() {
    this.level = element("div", { class: "level" });
    const scale = { role: "meter", "aria-label": "Level", "aria-valuemin": 0, "aria-valuemax": 100 };
    this.meter = element("div", { class: "meter", ...scale, "aria-valuenow": 0 }, this.level);
    this.recorded = element("span", { class: "number" });
    this.stop = element("button", { type: "button", class: "primary" }, "Stop and ask");
    this.discard = element("button", { type: "button" }, "Discard");
    this.hint = element("p", { class: "muted", role: "status" });
    this.stop.addEventListener("click", () => this.#askRecorded());
    this.discard.addEventListener("click", () => {
      this.#endRecording().discard();
      this.record.focus();
    });
    const row = element("div", { class: "row" }, this.stop, this.discard, this.recorded, this.meter);
    this.recorder = element("div", { class: "recorder", hidden: true }, row, this.hint);
    return this.recorder;
  }

  #buildAnswer() {
    this.what = element("p", { class: "what" });
    // both are there from the start, else nobody hears what changes in them
    this.status = element("p", { class: "muted status", role: "status" });
    this.live = element("p", { class: "visually-hidden", role: "status" });
    this.progress = element("progress", { max: 1, value: 0, "aria-label": "How far it is" });
    const cancel = element("button", { type: "button" }, "Cancel");
    cancel.addEventListener("click", () => this.#cancel());
    this.waiting = element("div", { class: "card waiting", hidden: true }, this.what, this.progress, cancel);
    this.said = element("div", { class: "card said" });
    this.playing = element("div");
    this.noPicture = element("p", { class: "muted" });
    this.genres = element("div");
    this.tracks = element("div");
    const heard = element("div", { class: "card heard" }, this.playing, this.noPicture);
    const all = element("div", { class: "card" }, element("h2", {}, "All genres"), this.genres);
    const like = element("div", { class: "card" }, element("h2", {}, "Similar tracks"), this.tracks);
    const beside = element("div", { class: "beside" }, all, like);
    this.answer = element("div", { class: "answer", hidden: true }, this.said, heard, beside);
  }

  async #startRecording() {
    this.#forget();
    this.record.disabled = true;
    this.loudest = 0;
    let recording;
    try {
      recording = await Recording.start(this.#about.limits, (heard) => this.#showLevel(heard));
    } catch (error) {
      this.#fail(error.message);
      return;
    } finally {
      this.record.disabled = false;
    }
    if (this.#question) { // asked while the browser asked for the microphone
      recording.discard();
      return;
    }
    this.#recording = recording;
    this.hint.textContent = "Recording.";
    this.recorder.hidden = false;
    this.choices.hidden = true;
    this.stop.focus();
  }

  #showLevel({ seconds, level, isFull }) {
    this.recorded.textContent = clock(seconds);
    this.loudest = Math.max(this.loudest, level);
    const share = Math.max(0, 1 + 20 * Math.log10(level || 1e-9) / 60); // from −60 dB to full scale
    this.level.style.transform = `scaleX(${share})`;
    this.meter.setAttribute("aria-valuenow", Math.round(100 * share));
    const isSilent = seconds > UNHEARD_S && this.loudest < UNHEARD;
    const least = this.#about.limits.least_seconds_of_music;
    const recording = seconds < least ? `Recording; ${least} s are the least.` : "Recording.";
    this.hint.textContent = isSilent ? "Nothing is heard; is the microphone muted?" : recording;
    if (isFull) this.#askRecorded();
  }

  async #askRecorded() {
    const recording = this.#endRecording();
    if (recording) this.ask(await recording.stop());
  }

  /** Close what shows the recording, and return it, if there is one. */
  #endRecording() {
    const recording = this.#recording;
    this.#recording = null;
    this.recorder.hidden = true;
    this.choices.hidden = false;
    return recording;
  }
}

function sizeInWords(bytes) {
  if (bytes < MB / 10) return `${Math.ceil(bytes / 1000)} kB`;
  return `${(bytes / MB).toFixed(bytes < MB ? 2 : 1)} MB`;
}

/** Say how long the music is; of long MIDI only a part is played to the model, as in training. */
function lengthInWords({ seconds, over_time: overTime }) {
  const all = `${clock(seconds)} of music`;
  const heard = overTime ? overTime.probability.length : seconds;
  return seconds - heard < 1 ? all : `${all}, of which ${clock(heard)} was heard`;
}
