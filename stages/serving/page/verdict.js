/** Verdicts in words. */

/** Those that a person can give, by their key. */
export const KEYS = { l: "label_wrong", a: "ambiguous", m: "label_right", b: "broken_audio" };

const NAMES = { label_wrong: "Label wrong", ambiguous: "Ambiguous", broken_audio: "Broken audio" };

/**
 * Name a verdict, as its button does.
 * @param {string} verdict
 * @param {Object} track - Of GET /tracks: "label_right" of a wrong prediction says that the model is wrong.
 * @returns {string}
 */
export function nameOf(verdict, { is_wrong: isWrong }) {
  if (verdict !== "label_right") return NAMES[verdict];
  if (isWrong === null) return "Label right";
  return isWrong ? "Model wrong" : "Label and model right";
}

/**
 * Say which verdict a track has, in short.
 * @param {Object} track
 * @returns {string} Such as "label wrong: blues"; empty: none.
 */
export function badge(track) {
  if (!track.verdict) return "";
  const { verdict, label } = track.verdict;
  const name = nameOf(verdict, track).toLowerCase();
  return verdict === "label_wrong" ? `${name}: ${label}` : name;
}

/**
 * Say what was saved of a track.
 * @param {Object} track - With its new verdict.
 * @returns {string}
 */
export function saved({ track_id: name, verdict: given }) {
  if (!given) return `taken back: ${name} has no verdict now`;
  const words = {
    label_wrong: `${name} is ${given.label}`,
    ambiguous: `${name} is ambiguous`,
    label_right: `the label of ${name} is right`,
    broken_audio: `${name} has broken audio`,
  };
  return `saved: ${words[given.verdict]}`;
}
