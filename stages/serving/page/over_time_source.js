/** Asks what the model says of each second of a track, as long as the server is busy. */

import { getJson } from "./api.js";
import { pause } from "./pause.js";

const [FIRST_S, MOST_S, KEPT] = [2, 15, 30]; // to wait; at most; answers that stay

const answers = new Map(); // by id, the one that was used last at the end

/**
 * Ask about a track.
 * @param {string} id
 * @param {AbortSignal} signal - Ends it; the promise is then rejected with an "AbortError".
 * @param {function(number, string): void} onBusy - Gets the seconds until it asks again, and why.
 * @returns {Promise<Object>} OVER_TIME of the server.
 */
export async function overTime(id, signal, onBusy) {
  for (let waitS = FIRST_S; !answers.has(id); waitS = Math.min(MOST_S, 1.5 * waitS)) {
    try {
      answers.set(id, await getJson(`/tracks/${id}/over-time`, { signal }));
    } catch (error) {
      if (error.status !== 503) throw error;
      const forS = Math.min(MOST_S, Math.max(error.retryAfterS, waitS));
      onBusy(forS, error.message);
      await pause(1000 * forS, signal);
    }
  }
  const answer = answers.get(id);
  answers.delete(id);
  answers.set(id, answer);
  if (answers.size > KEPT) answers.delete(answers.keys().next().value);
  return answer;
}
