/** A button at each line that can be copied. */

const SHOWN_MS = 2000;

for (const block of document.querySelectorAll("[data-copied]")) {
  const button = document.createElement("button");
  const what = `Copy: ${block.getAttribute("aria-label")}`;
  button.type = "button";
  button.textContent = "Copy";
  button.setAttribute("aria-label", what);
  const said = document.createElement("span");
  said.className = "visually-hidden";
  said.setAttribute("role", "status");
  button.addEventListener("click", async () => {
    const isDone = await copy(block.textContent);
    button.textContent = said.textContent = isDone ? "Copied" : "Select it, and copy by Ctrl-C";
    setTimeout(() => {
      button.textContent = "Copy";
      said.textContent = "";
    }, SHOWN_MS);
  });
  const around = document.createElement("div");
  around.className = "copied";
  block.replaceWith(around);
  around.append(block, button, said);
}

/** Return whether a text is in the clipboard now; some browsers or their users forbid it. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
