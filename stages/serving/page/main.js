/** The tabs of the page; each is a module that is started when it is first shown. */

import { GONE, getJson } from "./api.js";
import { listenToDrops } from "./drops.js";
import { watched } from "./freshness.js";

const modules = {
  ask: () => import("./ask.js"),
  listen: () => import("./listen.js"),
  map: () => import("./map.js"),
};
const tabs = [...document.querySelectorAll("[role=tab]")];
const started = {};
const about = getJson("/about");
const lookAgain = watched(document.getElementById("stale"), about);

/** Show a tab, and start its module if it is the first time; return what that gives. */
async function show(name) {
  for (const tab of tabs) {
    const isShown = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", String(isShown));
    tab.tabIndex = isShown ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !isShown;
  }
  const section = document.getElementById(name);
  started[name] ??= begin(name, section);
  try {
    const tab = await started[name];
    tab?.shown?.();
    return tab;
  } catch (error) {
    section.textContent = error.message;
    return null;
  }
}

/** Load the module of a tab, and start it. */
async function begin(name, section) {
  const module = await modules[name]().catch(() => {
    delete started[name]; // it is tried again when the tab is shown again
    throw new Error(GONE);
  });
  section.replaceChildren();
  return module.start(section, await about);
}

/** Show a tab that is asked for; the first one is in no address: the Tab key would begin inside it. */
function goTo(name) {
  lookAgain();
  history.replaceState(null, "", `#${name}`);
  return show(name);
}

/** Go to a tab, and give it what it is to show, such as `{ track: ID }`. */
async function give(name, what) {
  (await goTo(name))?.receive?.(what);
}

document.addEventListener("encore:show", ({ detail }) => give(detail.tab, detail));
listenToDrops((dropped) => give("ask", { dropped }));

tabs.forEach((tab, place) => {
  tab.addEventListener("click", () => goTo(tab.getAttribute("aria-controls")));
  tab.addEventListener("keydown", (event) => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault(); // Home and End would scroll
    const next = tabs.at(to % tabs.length);
    next.focus();
    next.click();
  });
});

about
  .then(({ model }) => {
    const line = document.getElementById("model");
    line.textContent = [`${model.kind}, ${model.labels.length} genres`, ...model.origin].join(" · ");
    line.title = model.name;
  })
  .catch((error) => {
    document.getElementById("model").textContent = error.message;
  });

/** Show the tab that the address names; else the one given. */
function showNamed(otherwise) {
  const name = location.hash.slice(1);
  if (Object.hasOwn(modules, name)) show(name);
  else if (otherwise) show(otherwise);
}

window.addEventListener("hashchange", () => showNamed());
showNamed("ask");
