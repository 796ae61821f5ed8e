/** What a model says of each second of a piece, read from the server's OVER_TIME: to draw and in words. */

import { clock, stretch } from "./clock.js";

const MOST_RUNS = 6; // stretches of one genre that a sentence names

/** A piece over its seconds. */
export class OverTime {
  /** @param {Object} document - OVER_TIME of the server. */
  constructor(document) {
    this.labels = document.labels;
    this.probability = document.probability;
    this.novelty = document.novelty;
    this.picture = { ...document.picture, mel: bytes(document.picture.mel) };
    this.duration = this.picture.column_s * this.picture.n_columns;
  }

  /** @returns {number} Seconds that have a prediction. */
  get seconds() {
    return this.novelty.length;
  }

  /**
   * Find the classes that have most of the time, and that can be seen.
   * @param {number} most - How many, at most.
   * @param {number} seen - The probability that each has to reach in some second.
   * @returns {{label: string, place: number, mean: number}[]} The first has most.
   */
  largest(most, seen) {
    const found = this.labels.map((label, place) => {
      const values = this.probability.map((row) => row[place]);
      const greatest = values.reduce((a, b) => Math.max(a, b));
      return { label, place, greatest, mean: values.reduce((a, b) => a + b) / this.seconds };
    });
    return found.filter((one) => one.greatest >= seen).sort((a, b) => b.mean - a.mean).slice(0, most);
  }

  /**
   * Read some seconds as one.
   * @param {number} from - First second.
   * @param {number} to - The one behind the last.
   * @returns {{probability: number[], novelty: number}} Means.
   */
  mean(from, to) {
    const rows = this.probability.slice(from, to);
    const probability = this.labels.map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length);
    return { probability, novelty: this.novelty.slice(from, to).reduce((a, b) => a + b, 0) / rows.length };
  }

  /**
   * Cut the seconds into equal parts.
   * @param {number} most - How many parts at most.
   * @returns {{from: number, to: number, probability: number[], novelty: number}[]} Times in seconds.
   */
  parts(most) {
    const size = Math.ceil(this.seconds / Math.max(1, Math.floor(most)));
    return Array.from({ length: Math.ceil(this.seconds / size) }, (_, i) => {
      const [from, to] = [i * size, Math.min((i + 1) * size, this.seconds)];
      return { from, to, ...this.mean(from, to) };
    });
  }

  /**
   * Write a table of the seconds, or of equal parts of some seconds each.
   * @param {number} most - Rows at most.
   * @returns {string[][]} Time, genre, its probability, the second one, its probability, novelty.
   */
  table(most) {
    return this.parts(most).map(({ from, to, probability, novelty }) => {
      const [first, then] = best(this.labels, probability);
      const cells = [first, then].flatMap((one) => [one.label, one.probability.toFixed(2)]);
      return [to - from === 1 ? clock(from) : stretch(from, to), ...cells, novelty.toFixed(2)];
    });
  }

  /**
   * Say what is heard at a time.
   * @param {number} time - In seconds.
   * @returns {string} Such as "0:12: jazz 0.48, then reggae 0.29, novelty 0.35".
   */
  at(time) {
    const second = Math.max(0, Math.min(Math.floor(time), this.seconds - 1));
    const [first, then] = best(this.labels, this.probability[second]);
    const novelty = this.novelty[second].toFixed(2);
    return `${clock(time)}: ${said(first)}, then ${said(then)}, novelty ${novelty}`;
  }

  /**
   * Say how the genre changes, in a sentence.
   * @returns {string}
   */
  get sentence() {
    const runs = this.runs();
    if (runs.length === 1) return `${runs[0].label} from start to end.`;
    if (runs.length <= MOST_RUNS) {
      return `${runs.map(({ label, from, to }) => `${label} from ${stretch(from, to)}`).join(", then ")}.`;
    }
    const time = new Map();
    for (const { label, from, to } of runs) time.set(label, (time.get(label) ?? 0) + to - from);
    const ranked = [...time].sort((a, b) => b[1] - a[1]);
    const shares = ranked.slice(0, 3).map(([label, s]) => `${label} ${Math.round(100 * s / this.seconds)} %`);
    const rest = ranked.length > 3 ? `, and ${ranked.length - 3} more` : "";
    const changes = `the most probable genre changes ${runs.length - 1} times`;
    return `${changes}; ${shares.join(", ")} of the time${rest}.`;
  }

  /**
   * List the stretches that have the same most probable genre.
   * @returns {{label: string, from: number, to: number}[]} Times in seconds.
   */
  runs() {
    const runs = [];
    this.probability.forEach((row, second) => {
      const label = this.labels[row.indexOf(Math.max(...row))];
      if (runs.at(-1)?.label === label) runs.at(-1).to = second + 1;
      else runs.push({ label, from: second, to: second + 1 });
    });
    return runs;
  }
}

/**
 * Rank classes.
 * @param {string[]} labels
 * @param {number[]} probability
 * @returns {{label: string, probability: number}[]} The most probable first.
 */
export function best(labels, probability) {
  const ranked = labels.map((label, place) => ({ label, probability: probability[place] }));
  return ranked.sort((a, b) => b.probability - a.probability);
}

function said({ label, probability }) {
  return `${label} ${probability.toFixed(2)}`;
}

function bytes(base64) {
  return Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
}
