/** The tab Listen: test tracks, what the model says of them, and verdicts on their labels. */

import { NEW, allGenres } from "./answer.js";
import { getJson, postJson } from "./api.js";
import { element } from "./elements.js";
import { helpDialog, keyFor } from "./listen_keys.js";
import { overTime } from "./over_time_source.js";
import { pause } from "./pause.js";
import { Player } from "./player.js";
import { ReviewSummary, progress } from "./review_summary.js";
import { TrackFilter } from "./track_filter.js";
import { ReviewList, sign } from "./review_list.js";
import { KEYS, saved } from "./verdict.js";
import { VerdictPanel } from "./verdict_panel.js";

const SEEK_S = 5;
const SETTLE_MS = 150; // a track that is passed sooner is not asked about
const WIDE = "(min-width: 901px)"; // as in listen.css

/**
 * Start the tab.
 * @param {HTMLElement} section - Empty; the tab fills it.
 * @param {Object} about - Of GET /about.
 * @returns {{shown: function(): void, receive: function({track: string}): void}}
 */
export function start(section, about) {
  const { reason } = about.dataset;
  if (reason) {
    const title = element("h2", {}, "There is nothing to listen to yet");
    section.append(element("div", { class: "card" }, title, element("p", {}, reason)));
    return {};
  }
  const tab = new Listen(section, about);
  return { shown: () => tab.refresh(), receive: ({ track }) => track && tab.open(track) };
}

class Listen {
  #about;
  #tracks = []; // those of test, and those that were judged
  #all = new Map(); // by id, with those that others have asked for
  #shown = []; // in the list
  #track = null; // the chosen one
  #place = 0; // where it is in the list, or was
  #last = null; // judged last
  #nSaved = 0;
  #question = new AbortController();
  #loading;
  #isLoaded = false;

  constructor(section, about) {
    this.#about = about;
    this.section = section;
    section.classList.add("listen");
    this.#buildList();
    this.#buildTrack();
    this.#buildSummary();
    this.help = helpDialog();
    section.append(this.left, this.detail, this.below, this.help);
    document.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !section.hidden) this.refresh();
    });
    this.#loading = this.#load();
  }

  /**
   * Show a track of the dataset, whatever is filtered.
   * @param {string} id
   */
  async open(id) {
    await this.#loading;
    try {
      if (!this.#all.has(id)) this.#all.set(id, await getJson(`/tracks/${id}`));
      this.#choose(id, true);
    } catch (error) {
      this.#fail(error.message);
    }
  }

  /** Read verdicts again: another server, or an editor, may have changed them. */
  async refresh() {
    if (!this.#isLoaded || this.verdict.isSaving) return;
    const n = this.#nSaved;
    try {
      const { tracks, problem } = await getJson("/tracks?verdict=judged");
      if (n !== this.#nSaved || this.verdict.isSaving) return; // what was saved since is newer
      for (const track of this.#all.values()) track.verdict = null;
      this.#add(tracks);
      this.#list();
      if (this.#track && !this.verdict.choice.isOpen) this.verdict.show(this.#track, this.#last);
      await this.#showSummary(problem);
    } catch (error) {
      this.#fail(error.message);
    }
  }

  async #load() {
    this.count.textContent = "Reading the list …";
    try {
      const all = ["/tracks?split=test", "/tracks?verdict=judged"].map((path) => getJson(path));
      const [tested, judged] = await Promise.all(all);
      this.#add(tested.tracks);
      this.#add(judged.tracks);
      this.#list();
      if (matchMedia(WIDE).matches && this.#shown.length) this.#choose(this.#shown[0].id, false);
      this.#isLoaded = true;
      await this.#showSummary(tested.problem);
    } catch (error) {
      this.count.textContent = "";
      this.#fail(`${error.message} Then load this page again.`);
    }
  }

  /** `problem`: why the verdicts cannot be read. */
  async #showSummary(problem) {
    this.#fail(problem);
    if (problem) {
      this.below.hidden = true;
      return;
    }
    const verdicts = await getJson("/verdicts");
    this.summary.show(verdicts);
    this.below.hidden = false;
    this.#showProgress(verdicts.summary);
  }

  /** Take tracks in, or what is new of those that are there. */
  #add(tracks) {
    for (const track of tracks) {
      const known = this.#all.get(track.id);
      if (known) known.verdict = track.verdict;
      else this.#all.set(track.id, track);
      if (!known) this.#tracks.push(track);
    }
  }

  #list() {
    this.#shown = this.filter.apply(this.#tracks);
    const n = this.#shown.length;
    this.count.textContent = n ? `${n} of ${this.#tracks.length} tracks` : "No track is like that.";
    this.list.show(this.#shown, this.#track?.id);
    const place = this.#shown.findIndex((track) => track === this.#track);
    if (place >= 0) this.#place = place;
    this.#sayPlace(place);
  }

  /** Show a track; `isAsked`: by the user, not by the page. */
  #choose(id, isAsked) {
    this.#track = this.#all.get(id);
    this.#list();
    this.#showTrack();
    if (!isAsked) return;
    this.section.classList.add("has-track");
    if (!this.list.box.contains(document.activeElement) || !this.list.box.clientHeight) {
      this.name.focus({ preventScroll: !this.#isNarrow });
    }
    if (this.#isNarrow) this.detail.scrollIntoView({ block: "start" });
    if (this.autoplay.checked) this.player.play();
  }

  get #isNarrow() {
    return !matchMedia(WIDE).matches;
  }

  #showTrack() {
    const track = this.#track;
    this.empty.hidden = true;
    this.full.hidden = false;
    this.name.textContent = track.track_id;
    this.path.textContent = track.name === track.track_id ? "" : track.name;
    this.facts.replaceChildren(...this.#facts(track));
    this.genres.replaceChildren(
      ...(track.probabilities ? [allGenres(track, this.#about.model.labels)] : []),
    );
    this.probabilities.hidden = !track.probabilities;
    this.player.load({ name: track.track_id, audioUrl: track.audio, threshold: this.#about.model.threshold });
    this.verdict.show(track, this.#last);
    this.#showOverTime(track);
  }

  #facts(track) {
    const { threshold } = this.#about.model;
    const untested = `no prediction: the track is in ${track.split || "no split"}`;
    const facts = [["Label", [track.label || "none"]], ["Model", track.predicted ? says(track) : [untested]]];
    if (track.baseline) facts.push(["Baseline", [track.baseline]]);
    if (track.novelty !== null) {
      const isNew = threshold !== null && track.novelty > threshold;
      facts.push(["Novelty", [`${track.novelty.toFixed(2)}${isNew ? `: ${NEW}` : ""}`]]);
    }
    return facts.map(([name, value]) => {
      return element("div", {}, element("dt", {}, name), element("dd", {}, ...value));
    });
  }

  async #showOverTime(track) {
    this.#question.abort();
    this.#question = new AbortController();
    const { signal } = this.#question;
    this.listening.textContent = "The model listens …";
    try {
      await pause(SETTLE_MS, signal);
      const found = await overTime(track.id, signal, (seconds, line) => {
        const then = `The picture appears here by itself; next try in ${Math.ceil(seconds)} s.`;
        this.listening.textContent = `${line}. ${then}`;
      });
      if (signal.aborted) return;
      this.player.show(found);
      this.listening.textContent = "";
    } catch (error) {
      if (!signal.aborted) this.listening.textContent = `No picture: ${error.message}`;
    }
  }

  #step(by) {
    if (!this.#shown.length) return;
    const isListed = this.#shown[this.#place] === this.#track;
    const from = isListed || by < 0 ? this.#place + by : this.#place; // what took its place is the next
    this.#choose(this.#shown[Math.min(Math.max(0, from), this.#shown.length - 1)].id, true);
  }

  async #judge(track, verdict, label) {
    this.verdict.isSaving = true;
    const shown = this.#track;
    const next = verdict === "withdrawn" ? track : this.#nextUnjudged(track);
    let answer;
    try {
      answer = await postJson(`/tracks/${track.id}/verdict`, { verdict, label, was: track.label });
    } catch (error) {
      this.verdict.isSaving = false;
      this.verdict.fail(`${track.track_id}: not saved: ${error.message}`);
      return;
    }
    track.verdict = answer.verdict;
    this.#nSaved += 1;
    if (!this.#tracks.includes(track)) this.#tracks.push(track);
    this.#last = verdict === "withdrawn" ? null : track;
    this.#fail("");
    this.#showProgress(answer.summary);
    this.verdict.isSaving = false;
    if (this.#track === shown) this.#choose(next.id, true);
    else this.#stay(); // another one was opened meanwhile
    const isEnd = next === track && verdict !== "withdrawn";
    const end = isEnd ? "No other track of this list is left to judge." : "";
    const lines = [`${saved(track)}.`, end, answer.note];
    this.verdict.say(lines.filter(Boolean).join(" "));
    if (this.below.hidden) this.refresh();
    else this.summary.showSummary(answer.summary);
  }

  /** Show what a verdict on another track has changed. */
  #stay() {
    this.#list();
    this.verdict.show(this.#track, this.#last);
  }

  /** The first track without a verdict after this one in the list, else before it, else this one. */
  #nextUnjudged(track) {
    const place = this.#shown.indexOf(track);
    const others = [...this.#shown.slice(place + 1), ...this.#shown.slice(0, Math.max(0, place))];
    return others.find((one) => !one.verdict && one !== track) ?? track;
  }

  #undo() {
    const track = this.#track.verdict ? this.#track : this.#last;
    if (track) this.#judge(track, "withdrawn", "");
  }

  #key(event) {
    const key = keyFor(event, this.section);
    if (!key || this.help.open || !this.#track) return;
    const seek = (by) => this.player.seek(this.player.audio.currentTime + by);
    const actions = {
      " ": () => this.player.toggle(),
      ArrowLeft: () => seek(-SEEK_S),
      ArrowRight: () => seek(SEEK_S),
      j: () => this.#step(1),
      ArrowDown: () => this.#step(1),
      k: () => this.#step(-1),
      ArrowUp: () => this.#step(-1),
      u: () => this.verdict.takeBack(),
      "?": () => this.help.showModal(),
    };
    const act = actions[key] ?? (key in KEYS ? () => this.verdict.judge(KEYS[key]) : null);
    if (!act || (event.repeat && key in KEYS)) return;
    event.preventDefault();
    act();
  }

  #showProgress(summary) {
    this.progress.textContent = progress(summary);
  }

  #fail(line) {
    this.problem.textContent = line;
  }

  #sayPlace(place) {
    const n = this.#shown.length;
    this.where.textContent = place >= 0 ? `${place + 1} of ${n}` : "not in the list";
    this.before.disabled = !n || place === 0;
    this.after.disabled = !n || place === n - 1;
  }

  #buildList() {
    const filters = element("div", { class: "filters" });
    const rows = element("div", { class: "rows" });
    this.problem = element("p", { class: "problem", role: "alert" });
    this.progress = element("p", { class: "progress" });
    this.count = element("p", { class: "muted count", role: "status" });
    const title = element("h2", {}, "Test tracks");
    const note = element("p", { class: "muted" }, this.#about.dataset.note);
    note.hidden = !note.textContent;
    this.left = element("div", { class: "card left" }, title, note, this.progress, filters, this.count, rows);
    this.filter = new TrackFilter(filters, () => {
      this.list.toStart();
      this.#list();
    });
    this.list = new ReviewList(rows, (id) => this.#choose(id, true));
    this.section.append(this.problem);
  }

  #buildTrack() {
    this.back = element("button", { type: "button", class: "back" }, "← Back to the list");
    this.back.addEventListener("click", () => this.#toList());
    this.before = element("button", { type: "button", "aria-keyshortcuts": "k" }, "Before ", kbd("k"));
    this.after = element("button", { type: "button", "aria-keyshortcuts": "j" }, "Next ", kbd("j"));
    this.before.addEventListener("click", () => this.#step(-1));
    this.after.addEventListener("click", () => this.#step(1));
    this.where = element("span", { class: "muted where" });
    const steps = element("div", { class: "steps" }, this.back, this.where, this.before, this.after);
    this.name = element("h2", { tabindex: -1, class: "track-title" });
    this.path = element("p", { class: "muted path" });
    this.facts = element("dl", { class: "facts" });
    const judging = element("div", { class: "card judging" });
    const playing = element("div");
    this.listening = element("p", { class: "muted listening", role: "status" });
    this.autoplay = element("input", { type: "checkbox" });
    const words = " play each track when it is opened";
    const autoplay = element("label", { class: "switch" }, this.autoplay, words);
    const shortcut = { type: "button", class: "quiet", "aria-keyshortcuts": "?" };
    const help = element("button", shortcut, "All keys ", kbd("?"));
    help.addEventListener("click", () => this.help.showModal());
    const seek = [kbd("←"), " ", kbd("→"), " seek"];
    const keys = element("p", { class: "muted keys" }, kbd("Space"), " plays, ", ...seek);
    const bar = element("div", { class: "player-options" }, autoplay, keys, help);
    this.genres = element("div");
    const title = element("h2", {}, "Probabilities of the whole track");
    this.probabilities = element("div", { class: "card" }, title, this.genres);
    const top = element("div", { class: "card track" }, steps, this.name, this.path, this.facts);
    const music = element("div", { class: "card music" }, playing, this.listening, bar);
    this.full = element("div", { class: "full", hidden: true }, top, judging, music, this.probabilities);
    this.empty = element("p", { class: "muted empty" }, "Choose a track.");
    this.detail = element("div", { class: "detail" }, this.empty, this.full);
    this.player = new Player(playing);
    this.verdict = new VerdictPanel(judging, {
      labels: this.#about.model.labels,
      onVerdict: (verdict, label) => this.#judge(this.#track, verdict, label),
      onUndo: () => this.#undo(),
    });
  }

  #buildSummary() {
    this.below = element("div", { class: "card summary", hidden: true });
    this.summary = new ReviewSummary(this.below, (id) => this.open(id));
  }

  #toList() {
    this.section.classList.remove("has-track");
    this.player.pause();
    this.list.show(this.#shown, this.#track?.id);
    this.list.box.focus();
  }
}

function says({ predicted, probability, is_wrong: isWrong }) {
  const value = element("span", { class: "number" }, probability.toFixed(2));
  const marked = [...sign(isWrong), `${predicted} `, value];
  return [element("span", { class: isWrong ? "is-wrong" : "is-right" }, ...marked)];
}

function kbd(key) {
  return element("kbd", { "aria-hidden": "true" }, key);
}
