/** A colour for each class, the same on every tab and as in the figures of `stages/plots/style.py`. */

// The ten that M. A. Petroff found to differ most for eyes of all kinds, arXiv:2107.02270.
const TEN = [
  [0x3f, 0x90, 0xda], [0xff, 0xa9, 0x0e], [0xbd, 0x1f, 0x01], [0x94, 0xa4, 0xa2], [0x83, 0x2d, 0xb6],
  [0xa9, 0x6b, 0x59], [0xe7, 0x63, 0x00], [0xb9, 0xac, 0x70], [0x71, 0x75, 0x81], [0x92, 0xda, 0xdd],
];

/**
 * Choose colours; each further ten are paler than the ten before.
 * @param {string[]} labels - All classes, in the model's order.
 * @returns {Object<string, string>} A CSS colour for each label.
 */
export function classColours(labels) {
  const rounds = Math.ceil(labels.length / TEN.length);
  const colourOf = (_, i) => {
    const strength = 1 - 0.8 * Math.floor(i / TEN.length) / rounds;
    const parts = TEN[i % TEN.length].map((part) => Math.round(255 - strength * (255 - part)));
    return `rgb(${parts.join(", ")})`;
  };
  return Object.fromEntries(labels.map((label, i) => [label, colourOf(label, i)]));
}

/**
 * Choose the colour of a text on a class's colour.
 * @param {string} colour - As `classColours` gives it.
 * @returns {string} Black or white, whichever has more contrast.
 */
export function inkOn(colour) {
  const [red, green, blue] = colour.match(/\d+/g).map((part) => (Number(part) / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? "#000" : "#fff";
}

// From silence to the loudest: night, plum, ember, amber, cream.
const HEAT = [
  [0, 14, 10, 28], [0.22, 52, 24, 88], [0.45, 132, 38, 108], [0.64, 208, 74, 74], [0.82, 247, 155, 66],
  [1, 255, 243, 205],
];

/**
 * Make the colour map of spectrograms.
 * @returns {Uint8Array} Red, green and blue of each of 256 levels, the lowest first.
 */
export function heat() {
  const map = new Uint8Array(3 * 256);
  for (let level = 0; level < 256; level += 1) {
    const at = level / 255;
    const upper = Math.max(1, HEAT.findIndex(([place]) => place >= at));
    const [[from, ...low], [to, ...high]] = [HEAT[upper - 1], HEAT[upper]];
    map.set(low.map((part, i) => Math.round(part + (high[i] - part) * (at - from) / (to - from))), 3 * level);
  }
  return map;
}
