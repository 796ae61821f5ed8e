/** Says when the server, or this page, no longer is of what lies in data/. */

import { getJson } from "./api.js";

const OTHER = "The server was started again, with another model or other tracks: load this page again.";

/**
 * Make a line that appears when something has changed.
 * @param {HTMLElement} line - Empty; it has the role "alert".
 * @param {Promise<Object>} about - Of GET /about, when the page was loaded.
 * @returns {function(): Promise<void>} Looks again; where the server is gone, what is asked says so.
 */
export function watched(line, about) {
  const compare = async (asked) => {
    const [first, now] = await Promise.all([about, asked]).catch(() => []);
    if (!now) return;
    const text = now.key === first.key ? now.stale : OTHER;
    if (line.textContent !== text) line.textContent = text;
  };
  const look = () => compare(getJson("/about"));
  compare(about);
  document.addEventListener("visibilitychange", () => document.hidden || look());
  return look;
}
