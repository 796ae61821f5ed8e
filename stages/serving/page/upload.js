/** Sends a file to the server, with its progress, again and again while the server is busy. */

import { Refusal } from "./api.js";
import { pause } from "./pause.js";

const GONE = "the server does not answer, or has ended the connection; is `encore serve` still running?";
const [FIRST_S, MOST_S] = [2, 15]; // to wait, where the server does not say it; at most

/**
 * Post a file until the server takes it.
 * @param {string} path - With its query.
 * @param {Blob} file - The body, as it is.
 * @param {Object} options
 * @param {AbortSignal} options.signal - Ends it; the promise is then rejected with an "AbortError".
 * @param {function(number): void} [options.onSent] - Gets the part of the file that is sent, 0 to 1.
 * @param {function(number, string): void} [options.onBusy] - Gets the seconds until it tries again, and the
 *   server's line.
 * @returns {Promise<Object>} The server's JSON.
 * @throws {Refusal} Of any status but 503.
 * @throws {Error} In words, if the server is gone.
 */
export async function send(path, file, { signal, onSent = () => {}, onBusy = () => {} }) {
  for (let tries = 0; ; tries += 1) {
    try {
      return await sendOnce(path, file, signal, onSent);
    } catch (error) {
      if (error.status !== 503) throw error;
      // an index may take minutes: ask less and less often
      const waitS = Math.min(MOST_S, Math.max(error.retryAfterS || FIRST_S, FIRST_S * 1.5 ** tries));
      onBusy(waitS, error.message);
      await pause(1000 * waitS, signal);
    }
  }
}

/** XMLHttpRequest, since fetch tells nothing of what is sent. */
function sendOnce(path, file, signal, onSent) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    const abort = () => request.abort();
    signal.addEventListener("abort", abort, { once: true });
    request.open("POST", path);
    request.responseType = "json";
    request.upload.addEventListener("progress", ({ loaded, total }) => onSent(total ? loaded / total : 1));
    request.upload.addEventListener("load", () => onSent(1));
    request.addEventListener("load", () => {
      const { status, response } = request;
      if (status >= 200 && status < 300 && response) return resolve(response);
      const line = response?.error ?? request.statusText;
      return reject(new Refusal(status, line, Number(request.getResponseHeader("retry-after")) || 0));
    });
    request.addEventListener("error", () => reject(new Error(GONE)));
    request.addEventListener("abort", () => reject(signal.reason));
    request.addEventListener("loadend", () => signal.removeEventListener("abort", abort));
    request.setRequestHeader("content-type", "application/octet-stream");
    request.send(file);
  });
}
