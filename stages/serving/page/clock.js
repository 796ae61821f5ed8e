/** Times of music, in words that fit their size. */

/**
 * Write a time as a clock does.
 * @param {number} seconds
 * @returns {string} Such as "0:07", "12:30" or "1:02:05".
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (n) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/**
 * Write a stretch of time.
 * @param {number} from - In seconds.
 * @param {number} to - In seconds.
 * @returns {string} Such as "0 to 7 s", or "0:40 to 1:10" from a minute on.
 */
export function stretch(from, to) {
  return to < 60 ? `${Math.floor(from)} to ${Math.round(to)} s` : `${clock(from)} to ${clock(to)}`;
}
