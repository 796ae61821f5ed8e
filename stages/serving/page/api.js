/** How the page asks the server. */

export const GONE = "the server does not answer; is `encore serve` still running?";

/** An answer that is no success; `status` is that of HTTP, `message` the server's one line. */
export class Refusal extends Error {
  constructor(status, message, retryAfterS) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

/** Return the JSON at a path; throw `Refusal` or, if the server is gone, an Error in words. */
export async function getJson(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error(GONE);
  }
  const document = await response.json().catch(() => ({}));
  if (response.ok) return document;
  const retryAfterS = Number(response.headers.get("retry-after")) || 0;
  throw new Refusal(response.status, document.error ?? response.statusText, retryAfterS);
}

/** Post a document as JSON; the rest is as in `getJson`. */
export function postJson(path, document) {
  const headers = { "content-type": "application/json" };
  return getJson(path, { method: "POST", headers, body: JSON.stringify(document) });
}
