/** The picture of a piece: waveform, mel spectrogram, genres and novelty, on one time axis. */

import { clock } from "./clock.js";
import { heat, inkOn } from "./colours.js";

// CSS pixels: margins, the title of a lane, the labels of the time axis, and lanes.
const [LEFT, RIGHT, TITLE, AXIS] = [46, 10, 26, 24];
const HEIGHTS = { wave: 52, mel: 150, genres: 140, novelty: 44 };
const NAME_NEEDS = 16; // CSS pixels of height in an area
const OTHERS = "others";
const TICKS_HZ = [50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000];
const STEPS_S = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const HEAT = heat();

/** How high the picture is, in CSS pixels. */
export const HEIGHT = Object.values(HEIGHTS).reduce((sum, height) => sum + TITLE + height, 0) + AXIS;

/** Between time and place on a picture of one width. */
export class Scale {
  /**
   * @param {number} width - Of the whole picture, in CSS pixels.
   * @param {number} duration - Of the piece, in seconds.
   */
  constructor(width, duration) {
    this.left = LEFT;
    this.width = Math.max(1, width - LEFT - RIGHT);
    this.duration = duration;
  }

  /** @param {number} time - In seconds. @returns {number} CSS pixels from the left. */
  x(time) {
    return this.left + this.width * Math.min(1, Math.max(0, time / this.duration));
  }

  /** @param {number} x - CSS pixels from the left. @returns {number} Seconds. */
  time(x) {
    return this.duration * Math.min(1, Math.max(0, (x - this.left) / this.width));
  }
}

/**
 * Draw the mel spectrum once, a pixel for each column and band.
 * @param {Object} picture - Of an `OverTime`.
 * @returns {HTMLCanvasElement} The lowest band is at the bottom.
 */
export function spectrogram({ mel, n_mels: nMels, n_columns: nColumns }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [nColumns, nMels];
  const context = canvas.getContext("2d");
  const image = context.createImageData(nColumns, nMels);
  for (let band = 0; band < nMels; band += 1) {
    const to = 4 * nColumns * (nMels - 1 - band);
    for (let column = 0; column < nColumns; column += 1) {
      const level = 3 * mel[band * nColumns + column];
      for (let part = 0; part < 3; part += 1) image.data[to + 4 * column + part] = HEAT[level + part];
      image.data[to + 4 * column + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/**
 * Draw all lanes.
 * @param {HTMLCanvasElement} canvas - Its size in CSS pixels is taken as it is.
 * @param {OverTime} overTime
 * @param {HTMLCanvasElement} mel - What `spectrogram` drew.
 * @param {{label: string, place: number}[]} shown - The classes with an area of their own.
 * @param {Object<string, string>} colours - By label.
 * @param {?number} threshold - The novelty up to which music counts as known.
 */
export function draw(canvas, overTime, mel, shown, colours, threshold) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(HEIGHT * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  const sheet = { pen, scale: new Scale(width, overTime.duration), ink: inks(canvas), overTime };
  pen.font = `12px ${getComputedStyle(canvas).fontFamily}`;

  let top = 0;
  const lane = (name, titles, paint) => {
    title(sheet, top, titles);
    paint(sheet, top + TITLE, HEIGHTS[name]);
    top += TITLE + HEIGHTS[name];
  };
  lane("wave", [`waveform, ${peakWords(overTime.picture)}`, "waveform"], wave);
  lane("mel", ["mel spectrogram, in Hz"], (...where) => spectrum(...where, mel));
  lane("genres", ["probability of each genre"], (...where) => areas(...where, shown, colours));
  lane("novelty", noveltyTitles(threshold), (...where) => novelty(...where, threshold));
  timeAxis(sheet, top);
}

function inks(canvas) {
  const style = getComputedStyle(canvas);
  const names = ["ink", "muted", "line", "card", "accent", "bad", "others"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function title({ pen, scale, ink }, top, texts) {
  pen.fillStyle = ink.muted;
  pen.textAlign = "left";
  pen.textBaseline = "alphabetic";
  const fits = (text) => pen.measureText(text).width <= scale.width;
  pen.fillText(texts.find(fits) ?? texts.at(-1), scale.left + 4, top + 19);
}

function noveltyTitles(threshold) {
  if (threshold === null) return ["novelty"];
  const limit = threshold.toFixed(2);
  const whole = `novelty; above ${limit}, dashed, it is unlike anything the model learnt from`;
  return [whole, `novelty; dashed: ${limit}`];
}

function peak({ low, high }) {
  return low.reduce((most, value, i) => Math.max(most, -value, high[i]), 0);
}

function peakWords(picture) {
  const level = Math.round(20 * Math.log10(peak(picture)));
  if (!Number.isFinite(level)) return "silence";
  return `its peak at ${level < 0 ? `\u2212${-level}` : "0"} dB of full scale`;
}

function wave({ pen, scale, ink, overTime }, top, height) {
  const { low, high } = overTime.picture;
  const full = peak(overTime.picture) || 1; // quiet music is seen, too
  const middle = top + height / 2;
  const columns = Math.min(low.length, Math.max(1, Math.floor(scale.width)));
  pen.fillStyle = ink.accent;
  for (let i = 0; i < columns; i += 1) {
    const from = Math.floor(i * low.length / columns);
    const to = Math.max(from + 1, Math.floor((i + 1) * low.length / columns));
    const least = Math.min(...low.slice(from, to)) / full;
    const greatest = Math.max(...high.slice(from, to)) / full;
    const y = middle - greatest * height / 2;
    const x = scale.left + i * scale.width / columns;
    pen.fillRect(x, y, scale.width / columns, Math.max(1, (greatest - least) * height / 2));
  }
}

function spectrum(sheet, top, height, mel) {
  const { pen, scale, overTime } = sheet;
  pen.imageSmoothingEnabled = true;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(mel, scale.left, top, scale.width, height);
  const { mel_hz: hz } = overTime.picture;
  let last = Infinity;
  for (const tick of TICKS_HZ) {
    const above = hz.findIndex((centre) => centre >= tick);
    if (above < 1) continue;
    const band = above - (hz[above] - tick) / (hz[above] - hz[above - 1]) + 0.5;
    const y = top + height * (1 - band / hz.length);
    if (last - y < 26 || y < top + 5) continue;
    mark(sheet, y, tick < 1000 ? `${tick}` : `${tick / 1000}k`);
    last = y;
  }
}

function mark({ pen, scale, ink }, y, text) {
  pen.fillStyle = ink.muted;
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  pen.fillText(text, scale.left - 9, y);
  pen.fillRect(scale.left - 6, Math.round(y), 4, 1);
}

function areas(sheet, top, height, shown, colours) {
  const { pen, scale, ink, overTime } = sheet;
  const parts = overTime.parts(scale.width);
  const edges = [...parts.map(({ from }) => scale.x(from)), scale.x(parts.at(-1).to)];
  let lower = parts.map(() => 0);
  const layers = shown.length < overTime.labels.length ? [...shown, { label: OTHERS, place: null }] : shown;
  const texts = [];
  for (const { label, place } of layers) {
    const upper = place === null ? parts.map(() => 1) : lower.map((y, i) => y + parts[i].probability[place]);
    const colour = place === null ? ink.others : colours[label];
    pen.fillStyle = place === null ? hatching(sheet) : colour;
    pen.strokeStyle = ink.card;
    pen.lineWidth = 1;
    outline(pen, edges, upper.map((y) => top + height * (1 - y)), lower.map((y) => top + height * (1 - y)));
    pen.fill();
    if (parts.length < scale.width / 4) pen.stroke();
    texts.push({ label, colour, lower, upper });
    lower = upper;
  }
  for (const text of texts) areaLabel(sheet, edges, top, height, text);
  for (const share of [0, 0.5, 1]) mark(sheet, top + height * (1 - share), `${share}`);
}

/** What the rest of all classes is filled with, which looks like none of them. */
function hatching({ pen, ink }) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const inside = tile.getContext("2d");
  inside.fillStyle = ink.others;
  inside.fillRect(0, 0, 6, 6);
  inside.strokeStyle = ink.card;
  inside.lineWidth = 1.5;
  for (const at of [-6, 0, 6]) line(inside, [[at, 6], [at + 6, 0]]);
  return pen.createPattern(tile, "repeat");
}

function outline(pen, edges, upper, lower) {
  pen.beginPath();
  upper.forEach((y, i) => {
    pen.lineTo(edges[i], y);
    pen.lineTo(edges[i + 1], y);
  });
  for (let i = lower.length - 1; i >= 0; i -= 1) {
    pen.lineTo(edges[i + 1], lower[i]);
    pen.lineTo(edges[i], lower[i]);
  }
  pen.closePath();
}

/** Write a class's name where its area is thickest, if it fits somewhere. */
function areaLabel({ pen }, edges, top, height, { label, colour, lower, upper }) {
  const needs = pen.measureText(label).width + 12;
  const windows = [];
  for (let from = 0, to = 0; from < lower.length; from += 1) {
    while (to < lower.length && edges[to] - edges[from] < needs) to += 1;
    if (edges[to] - edges[from] < needs) break;
    const [low, high] = [Math.max(...lower.slice(from, to)), Math.min(...upper.slice(from, to))];
    windows.push({ x: (edges[from] + edges[to]) / 2, share: (low + high) / 2, thickness: high - low });
  }
  const thickest = Math.max(...windows.map(({ thickness }) => thickness));
  if (thickest * height < NAME_NEEDS) return;
  const middle = (edges[0] + edges.at(-1)) / 2;
  const good = windows.filter(({ thickness }) => thickness > 0.8 * thickest);
  const { x, share } = good.reduce((a, b) => (Math.abs(b.x - middle) < Math.abs(a.x - middle) ? b : a));
  pen.fillStyle = inkOn(colour);
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(label, x, top + height * (1 - share));
}

function novelty(sheet, top, height, threshold) {
  const { pen, scale, ink, overTime } = sheet;
  const parts = overTime.parts(scale.width);
  const most = Math.max(threshold ?? 0, ...parts.map((part) => part.novelty)) > 1 ? 2 : 1;
  const y = (value) => top + height * (1 - value / most);
  pen.fillStyle = ink.line;
  pen.fillRect(scale.left, top + height, scale.width, 1);
  if (threshold !== null) {
    pen.fillStyle = ink.bad;
    pen.globalAlpha = 0.35;
    for (const part of parts.filter((one) => one.novelty > threshold)) {
      const [left, high] = [scale.x(part.from), y(part.novelty)];
      pen.fillRect(left, high, scale.x(part.to) - left, y(threshold) - high);
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = ink.bad;
    pen.setLineDash([5, 4]);
    line(pen, [[scale.left, y(threshold)], [scale.left + scale.width, y(threshold)]]);
    pen.setLineDash([]);
  }
  pen.strokeStyle = ink.ink;
  pen.lineWidth = 1.5;
  line(pen, parts.flatMap((part) => [part.from, part.to].map((time) => [scale.x(time), y(part.novelty)])));
  for (const value of [0, most]) mark(sheet, y(value), `${value}`);
}

function line(pen, points) {
  pen.beginPath();
  for (const [x, y] of points) pen.lineTo(x, y);
  pen.stroke();
}

function timeAxis({ pen, scale, ink }, top) {
  const apart = scale.duration * 64 / scale.width;
  const step = STEPS_S.find((one) => one >= apart) ?? STEPS_S.at(-1);
  pen.textBaseline = "alphabetic";
  pen.fillStyle = ink.muted;
  for (let i = 0; i * step <= scale.duration; i += 1) {
    const [time, x] = [i * step, scale.x(i * step)];
    pen.fillRect(Math.round(x), top + 1, 1, 4);
    pen.textAlign = i === 0 ? "left" : x > scale.left + scale.width - 20 ? "right" : "center";
    pen.fillText(scale.duration < 60 ? `${Number(time.toFixed(1))} s` : clock(time), x, top + 18);
  }
}
