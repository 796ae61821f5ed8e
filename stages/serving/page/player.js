/** A player that shows what it plays: waveform, mel spectrogram, genres and novelty, with a playhead. */

import { classColours } from "./colours.js";
import { clock } from "./clock.js";
import { element, icon } from "./elements.js";
import { OverTime } from "./over_time.js";
import { alone } from "./sound.js";
import { HEIGHT, Scale, draw, spectrogram } from "./timeline.js";

const [MOST_AREAS, SEEN] = [8, 0.05]; // classes with an area of their own; what each has to reach for it
const MOST_ROWS = 600; // of the table
const [STEP_S, LEAP_S] = [1, 10]; // of the arrow keys; with Shift, and of PageUp and PageDown
const CANNOT_PLAY = "This browser cannot play this format, though the model can hear it.";

/**
 * Plays one piece after the other, with or without a picture of it.
 *
 * Space plays and pauses wherever the focus is in it, arrow keys seek on its slider. Whatever else `sound.js`
 * knows pauses when it plays. It follows the width of its container, the density of the screen and the colour
 * scheme.
 *
 * Use: `const player = new Player(container); player.load({name, audioUrl, overTime, threshold});`
 */
export class Player {
  #colours = null;
  #drawn = null; // what the picture is made of
  #threshold = null;
  #frame = 0;
  #seeking = false;

  /** @param {HTMLElement} container - Empty; the player fills it. */
  constructor(container) {
    /** The element that plays: for its events, such as "ended". @type {HTMLAudioElement} */
    this.audio = element("audio", { preload: "metadata" });
    this.#build(container);
    this.#listen();
    alone(this.audio);
    this.unload();
  }

  /**
   * Show a piece, and make it ready to play; what was there before stops.
   * @param {Object} piece
   * @param {string} piece.name - What to call it.
   * @param {string} piece.audioUrl - Where its sound is: of the server, or "blob:".
   * @param {?Object} [piece.overTime] - OVER_TIME of the server; it may follow by `show`.
   * @param {Object<string, string>} [piece.colours] - Of each label; else those of `classColours`.
   * @param {?number} [piece.threshold] - The novelty up to which music counts as known.
   */
  load({ name, audioUrl, overTime = null, colours = null, threshold = null }) {
    this.unload();
    this.#colours = colours;
    this.#threshold = threshold;
    this.root.setAttribute("aria-label", `Player: ${name}`);
    this.audio.src = audioUrl;
    this.#allow(true);
    if (overTime) this.show(overTime);
  }

  /**
   * Show the picture of the piece that is loaded.
   * @param {Object} overTime - OVER_TIME of the server.
   */
  show(overTime) {
    const read = new OverTime(overTime);
    const colours = this.#colours ?? classColours(read.labels);
    const shown = read.largest(MOST_AREAS, SEEN);
    this.#drawn = { overTime: read, colours, shown, mel: spectrogram(read.picture) };
    this.view.hidden = false;
    this.canvas.setAttribute("aria-label", `Waveform, spectrogram and genres over time. ${read.sentence}`);
    this.summary.textContent = `Over time: ${read.sentence}`;
    this.#fillLegend();
    this.details.open = false;
    this.rows.replaceChildren();
    this.#draw();
    this.#tell();
  }

  /** Stop, and forget the piece. */
  unload() {
    this.audio.pause();
    this.audio.removeAttribute("src");
    this.audio.load();
    this.#drawn = null;
    this.view.hidden = true;
    this.problem.textContent = "";
    this.#allow(false);
    this.#tell();
  }

  /** Play, from the start if it had come to its end. */
  play() {
    if (!this.button.disabled) this.audio.play().catch(() => {}); // "error" or "pause" says why
  }

  /** Pause. */
  pause() {
    this.audio.pause();
  }

  /** Play, or pause. */
  toggle() {
    if (this.audio.paused) this.play();
    else this.pause();
  }

  /**
   * Go to a time.
   * @param {number} time - In seconds.
   */
  seek(time) {
    if (this.button.disabled) return;
    this.audio.currentTime = Math.min(Math.max(0, time), this.duration);
    this.#tell();
  }

  /** How long the piece is, in seconds; 0: not known yet. @type {number} */
  get duration() {
    return Number.isFinite(this.audio.duration) ? this.audio.duration : this.#drawn?.overTime.duration ?? 0;
  }

  #build(container) {
    this.button = element("button", { type: "button", class: "player-play" });
    const range = { type: "range", min: 0, step: "any" };
    this.slider = element("input", { ...range, class: "player-seek", "aria-label": "Position" });
    this.time = element("span", { class: "player-time" });
    this.problem = element("p", { class: "player-problem", role: "status" });
    this.canvas = element("canvas", { role: "img" });
    this.head = element("div", { class: "player-head" });
    this.pointer = element("div", { class: "player-pointer", hidden: true });
    this.stack = element("div", { class: "player-stack" }, this.canvas, this.pointer, this.head);
    this.reading = element("p", { class: "player-reading" });
    const means = "Genres, with their mean probability";
    this.legend = element("ul", { class: "player-legend", "aria-label": means });
    this.summary = element("p", { class: "player-summary" });
    this.rows = element("tbody");
    const heads = ["time", "genre", "probability", "second", "probability", "novelty"];
    const head = element("tr", {}, ...heads.map((name) => element("th", { scope: "col" }, name)));
    const table = element("table", {}, element("thead", {}, head), this.rows);
    const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Genres second by second" };
    const title = element("summary", {}, "The same as a table");
    this.details = element("details", { class: "player-table" }, title, element("div", region, table));
    this.view = element("div", {}, this.summary, this.stack, this.reading, this.legend, this.details);
    const bar = element("div", { class: "player-bar" }, this.button, this.slider, this.time);
    /** All of it. @type {HTMLElement} */
    this.root = element("div", { class: "player", role: "group" }, this.audio, bar, this.problem, this.view);
    this.canvas.style.height = `${HEIGHT}px`;
    container.replaceChildren(this.root);
  }

  #listen() {
    this.button.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.details.addEventListener("toggle", () => this.#fillTable());
    for (const name of ["play", "pause", "ended"]) this.audio.addEventListener(name, () => this.#showState());
    for (const name of ["timeupdate", "seeked", "loadedmetadata", "durationchange"]) {
      this.audio.addEventListener(name, () => this.#tell());
    }
    this.audio.addEventListener("error", () => {
      if (!this.audio.hasAttribute("src")) return;
      this.problem.textContent = CANNOT_PLAY;
      this.#allow(false);
    });
    this.#listenToPointer();
    new ResizeObserver(() => this.#draw()).observe(this.stack);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.#followDensity();
  }

  #listenToPointer() {
    const timeOf = (event) => this.#scale().time(event.clientX - this.stack.getBoundingClientRect().left);
    this.stack.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.#seeking = true;
      this.stack.setPointerCapture(event.pointerId);
      this.seek(timeOf(event));
    });
    this.stack.addEventListener("pointermove", (event) => {
      if (!this.#drawn) return; // another piece was loaded while the pointer was held
      const time = timeOf(event);
      if (this.#seeking) this.seek(time);
      this.pointer.hidden = false;
      this.pointer.style.transform = `translateX(${this.#scale().x(time)}px)`;
      this.reading.textContent = this.#drawn.overTime.at(time);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      this.stack.addEventListener(name, () => {
        this.#seeking = false;
      });
    }
    this.stack.addEventListener("pointerleave", () => {
      this.pointer.hidden = true;
      this.#tell();
    });
  }

  #followDensity() {
    const density = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const changed = () => {
      this.#draw();
      this.#followDensity();
    };
    density.addEventListener("change", changed, { once: true });
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const onSlider = event.target === this.slider;
    const step = event.shiftKey ? LEAP_S : STEP_S;
    const [back, on] = [{ ArrowLeft: -step, ArrowDown: -step }, { ArrowRight: step, ArrowUp: step }];
    const steps = { ...back, ...on, PageDown: -LEAP_S, PageUp: LEAP_S };
    if (event.key === " " && !event.target.closest("button, summary")) this.toggle();
    else if (onSlider && event.key in steps) this.seek(this.audio.currentTime + steps[event.key]);
    else return;
    event.preventDefault();
  }

  #allow(can) {
    this.button.disabled = this.slider.disabled = !can;
    this.#showState();
  }

  #showState() {
    const { paused } = this.audio;
    this.button.replaceChildren(icon(paused ? "play" : "pause"));
    this.button.setAttribute("aria-label", paused ? "Play" : "Pause");
    cancelAnimationFrame(this.#frame);
    // who wants less motion gets the steps of "timeupdate"
    if (!paused && !matchMedia("(prefers-reduced-motion: reduce)").matches) this.#follow();
  }

  #follow() {
    this.#moveHead();
    this.#frame = requestAnimationFrame(() => this.#follow());
  }

  #scale() {
    return new Scale(this.stack.clientWidth, this.#drawn.overTime.duration);
  }

  #moveHead() {
    if (this.#drawn) this.head.style.transform = `translateX(${this.#scale().x(this.audio.currentTime)}px)`;
  }

  /** Say where the music is. */
  #tell() {
    const { currentTime } = this.audio;
    this.slider.max = this.duration || 1;
    this.slider.value = currentTime;
    this.time.textContent = `${clock(currentTime)} / ${clock(this.duration)}`;
    const words = this.#drawn?.overTime.at(currentTime);
    this.slider.setAttribute("aria-valuetext", words ?? `${clock(currentTime)} of ${clock(this.duration)}`);
    if (words && this.pointer.hidden) this.reading.textContent = words;
    this.#moveHead();
  }

  #draw() {
    if (!this.#drawn || !this.stack.clientWidth) return; // hidden: it is drawn when it gets a width
    const { overTime, mel, shown, colours } = this.#drawn;
    draw(this.canvas, overTime, mel, shown, colours, this.#threshold);
    this.#moveHead();
  }

  #fillLegend() {
    const { overTime, shown, colours } = this.#drawn;
    const items = shown.map(({ label, mean }) => legendItem(label, mean, colours[label]));
    const rest = overTime.labels.length - shown.length;
    const ofRest = Math.max(0, shown.reduce((left, { mean }) => left - mean, 1));
    if (rest) items.push(legendItem(rest === 1 ? "1 other" : `${rest} others`, ofRest, null));
    this.legend.replaceChildren(...items);
  }

  #fillTable() {
    if (!this.details.open || this.rows.children.length || !this.#drawn) return;
    this.rows.replaceChildren(...this.#drawn.overTime.table(MOST_ROWS).map(rowOf));
  }
}

/** `colour` null: of the others, which are hatched. */
function legendItem(label, mean, colour) {
  const swatch = element("span", { class: colour ? "swatch" : "swatch is-hatched" });
  swatch.style.backgroundColor = colour;
  return element("li", {}, swatch, `${label} `, element("span", { class: "number" }, mean.toFixed(2)));
}

function rowOf([time, ...cells]) {
  const head = element("th", { scope: "row" }, time);
  return element("tr", {}, head, ...cells.map((cell) => element("td", {}, cell)));
}
