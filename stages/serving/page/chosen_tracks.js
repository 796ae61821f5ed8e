/** Which tracks the list shows, and in which order. */

/** What shows every track. */
export const EVERYTHING = { text: "", label: "", predicted: "", which: "all", judged: "all" };

const WHICH = {
  all: () => true,
  wrong: (track) => track.is_wrong === true,
  right: (track) => track.is_wrong === false,
};
const JUDGED = { all: () => true, unjudged: (track) => !track.verdict, judged: (track) => track.verdict };
const byName = (one, other) => (one.track_id < other.track_id ? -1 : 1);

/**
 * Choose tracks.
 * @param {Object[]} tracks - Of GET /tracks.
 * @param {Object} filter - As `EVERYTHING`.
 * @returns {Object[]}
 */
export function chosen(tracks, { text, label, predicted, which, judged }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return tracks.filter((track) => {
    if (label && track.label !== label) return false;
    if (predicted && track.predicted !== predicted) return false;
    if (!WHICH[which](track) || !JUDGED[judged](track)) return false;
    if (!words.length) return true;
    const all = [track.track_id, track.name, track.label, track.predicted, track.verdict?.label];
    const written = all.join("\n").toLowerCase();
    return words.every((word) => written.includes(word));
  });
}

/**
 * Order tracks.
 * @param {Object[]} tracks - In the order of the server: the most confidently wrong first.
 * @param {"confidently_wrong"|"novelty"|"name"|"chance"} order
 * @param {number} seed - Of chance: everybody who takes the same one gets the same order.
 * @returns {Object[]}
 */
export function ordered(tracks, order, seed) {
  if (order === "confidently_wrong") return tracks;
  if (order === "name") return [...tracks].sort(byName);
  const value = order === "novelty" ? (track) => -(track.novelty ?? -1) : ({ id }) => chance(`${seed} ${id}`);
  const valued = tracks.map((track) => [value(track), track]);
  return valued.sort(([a, one], [b, other]) => a - b || byName(one, other)).map(([, track]) => track);
}

/**
 * Count by a property, the most frequent first.
 * @param {Object[]} tracks
 * @param {function(Object): ?string} property - Of a track; null: it is not counted.
 * @returns {[string, number][]}
 */
export function counts(tracks, property) {
  const found = new Map();
  for (const track of tracks) {
    const value = property(track);
    if (value !== null) found.set(value, (found.get(value) ?? 0) + 1);
  }
  return [...found].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
}

/** FNV-1a, and the last steps of MurmurHash3, which spread what differs in few bits. */
function chance(text) {
  let hash = 0x811c9dc5;
  for (const sign of text) hash = Math.imul(hash ^ sign.charCodeAt(0), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
