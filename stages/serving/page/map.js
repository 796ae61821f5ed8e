/** The tab Map: all music as points, to be seen, heard and listed. */

import { getJson } from "./api.js";
import { classColours } from "./colours.js";
import { element } from "./elements.js";
import { Gestures } from "./gestures.js";
import { Legend } from "./legend.js";
import { MapView, visible } from "./map_view.js";
import { Plane } from "./plane.js";
import { Player } from "./player.js";
import { TrackList } from "./track_list.js";

const AGAIN_MS = 1000; // while the music is heard
const NEAR = 14; // pixels from the pointer to a point
const NEIGHBOURS = 20; // that are listed
const BY_ITSELF = "The map appears here by itself; the other tabs work meanwhile.";
const UNLABELLED = "unlabelled";
const SPLITS = [
  ["", "every split"],
  ["test", "test"],
  ["valid", "validation"],
  ["train", "training"],
];
const HELP = [
  ["The map", "tracks that the model hears alike lie together; how far groups are apart says little"],
  ["Pointer", "hover names a track, a click plays it; drag round some to list them"],
  ["Zoom, move", "wheel or pinch; drag with Shift, or with two fingers"],
  ["Keys", "arrows go to the next track that way, Enter plays, L lists those around, + − 0 zoom, Esc clears"],
];

/**
 * Start the tab.
 * @param {HTMLElement} section - Empty; the tab fills it.
 * @param {Object} about - Of GET /about.
 * @returns {{shown: function(): void}}
 */
export function start(section, about) {
  const tab = new MusicMap(section, about);
  return { shown: () => tab.load() };
}

class MusicMap {
  #labels;
  #points = null; // of GET /map
  #plane = null; // of those that are shown
  #focused = null;
  #timer = 0;

  constructor(section, about) {
    this.#labels = about.model.labels;
    this.section = section;
    this.#build();
    this.view = new MapView(this.stage, this.below, this.above);
    this.player = new Player(this.playing);
    this.legend = new Legend(this.classes, () => this.#show());
    this.list = new TrackList(this.listed, {
      play: (point) => this.#play(point),
      point: (point) => this.view.focus(point ?? this.#focused),
      nameOf: (point) => this.#points.name[point],
      about: (point) => this.#about(point),
    });
    this.#listen();
  }

  /** Ask for the map, again and again while it is not there. */
  async load() {
    clearTimeout(this.#timer);
    if (this.#points) return;
    let map;
    try {
      map = await getJson("/map");
    } catch (error) {
      this.#say(error.message, true);
      this.#loadLater();
      return;
    }
    const isRunning = map.state === "running";
    this.#say(isRunning ? `${map.line}. ${BY_ITSELF}` : map.line, !isRunning);
    this.note.classList.toggle("problem", map.state === "failed");
    this.note.classList.toggle("card", map.state !== "ready");
    if (isRunning) this.#loadLater();
    if (map.state === "ready") this.#fill(map);
  }

  #loadLater() {
    this.#timer = setTimeout(() => this.section.hidden || this.load(), AGAIN_MS);
  }

  #fill({ points }) {
    this.#points = points;
    this.view.place(Float64Array.from(points.x), Float64Array.from(points.y));
    this.stage.setAttribute("aria-label", `Map of ${counted(points.id.length)}`);
    this.body.hidden = false;
    this.live.textContent = `The map has ${counted(points.id.length)}.`;
    this.#count();
  }

  /** Count the classes of the chosen split, by label or by prediction, and show all of them. */
  #count() {
    const { label, predicted, split, is_wrong: isWrong } = this.#points;
    const names = this.colourBy.value === "label" ? label : predicted;
    this.classOf = names.map((name) => name || UNLABELLED);
    this.inSplit = split.map((name) => !this.split.value || name === this.split.value);
    const counts = new Map();
    this.classOf.forEach((name, point) => this.inSplit[point] && counts.set(name, (counts.get(name) ?? 0) + 1));
    const others = [...counts.keys()].filter((name) => name !== UNLABELLED && !this.#labels.includes(name));
    const labels = [...this.#labels, ...others.sort()];
    this.colours = classColours(labels);
    const seen = [...labels, UNLABELLED].filter((name) => counts.has(name));
    this.legend.fill(seen.map((name) => ({ name, n: counts.get(name), colour: this.colours[name] ?? null })));
    const nWrong = isWrong.filter((one, point) => one && this.inSplit[point]).length;
    this.wrong.disabled = !isWrong.includes(true);
    this.nWrong.textContent = nWrong.toLocaleString("en");
    this.#show();
  }

  /** Show what the legend lets through. */
  #show() {
    const kinds = new Map();
    const looks = this.classOf.map((name, point) => {
      const isWrong = this.#points.is_wrong[point];
      const key = `${isWrong} ${name}`;
      if (!kinds.has(key)) kinds.set(key, { colour: this.colours[name] ?? null, isWrong });
      return kinds.get(key);
    });
    const points = this.classOf.flatMap((name, point) => {
      const isWanted = this.inSplit[point] && (!this.wrong.checked || this.#points.is_wrong[point]);
      return isWanted && this.legend.shows(name) ? [point] : [];
    });
    // wrong ones above the others, and what has no label below them
    const depth = (point) => (looks[point].isWrong ? 2 : looks[point].colour ? 1 : 0);
    const drawn = points.toSorted((a, b) => depth(a) - depth(b));
    this.#plane = new Plane(this.#points.x, this.#points.y, drawn);
    this.view.show(drawn, looks);
    this.legend.paint((colour) => visible(colour, getComputedStyle(this.stage).backgroundColor));
    if (!points.includes(this.#focused)) this.#focus(null);
    this.shown.textContent = `${counted(points.length)} shown`;
  }

  #focus(point) {
    this.#focused = point;
    this.view.focus(point);
    this.reading.textContent = point === null ? "" : `${this.#points.name[point]}: ${this.#about(point)}`;
    this.tip.hidden = point === null;
    if (point === null) return;
    const [x, y] = this.view.pixel(point);
    this.tip.textContent = this.reading.textContent;
    this.tip.classList.toggle("is-left", x > this.stage.clientWidth / 2);
    this.tip.classList.toggle("is-above", y > this.stage.clientHeight / 2);
    this.tip.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** Return what there is to say of a track beside its name. */
  #about(point) {
    const { label, predicted, split, is_wrong: isWrong } = this.#points;
    const known = label[point] || UNLABELLED;
    const guess = isWrong[point] ? `, wrongly predicted ${predicted[point]}` : `, predicted ${predicted[point]}`;
    const words = label[point] === predicted[point] ? known : `${known}${guess}`;
    return split[point] && split[point] !== known ? `${words} (${split[point]})` : words;
  }

  #play(point) {
    const { id, name, split } = this.#points;
    this.view.play(point);
    this.bar.hidden = false;
    this.title.textContent = `${name[point]}: ${this.#about(point)}`;
    this.judge.hidden = split[point] !== "test";
    this.judge.onclick = () => {
      const detail = { tab: "listen", track: id[point] };
      document.dispatchEvent(new CustomEvent("encore:show", { detail }));
    };
    this.player.load({ name: name[point], audioUrl: `/tracks/${id[point]}/audio` });
    this.player.play();
    this.list.playing(point);
  }

  #list(points, title) {
    const { is_wrong: isWrong } = this.#points;
    const nWrong = points.filter((point) => isWrong[point]).length;
    const words = nWrong ? `${title}, ${nWrong.toLocaleString("en")} of them wrong` : title;
    this.list.show(points, words);
    this.view.mark(points);
    this.live.textContent = words;
  }

  #clear() {
    this.list.clear();
    this.view.mark([]);
    this.#focus(null);
  }

  #listen() {
    const { view } = this;
    const near = (x, y) => this.#plane.nearest(...view.at(x, y), view.reach(NEAR));
    new Gestures(this.stage, {
      hover: (x, y) => this.#focus(near(x, y)),
      leave: () => this.#focus(null),
      click: (x, y) => {
        const point = near(x, y);
        this.#focus(point);
        if (point !== null) this.#play(point);
      },
      lasso: (line) => {
        this.#focus(null);
        view.lasso(line);
      },
      enclose: (line) => {
        view.lasso([]);
        const inside = this.#sorted(this.#plane.inside(line.map(([x, y]) => view.at(x, y))));
        this.#list(inside, `${counted(inside.length)} inside the line`);
        this.listed.firstElementChild.scrollIntoView({ block: "nearest" });
      },
      move: (x, y) => {
        this.#focus(null);
        view.move(x, y);
      },
      zoom: (factor, pixel) => {
        this.#focus(null);
        view.zoom(factor, pixel);
      },
    });
    this.stage.addEventListener("keydown", (event) => this.#key(event));
    this.stage.addEventListener("blur", () => this.#focus(null));
    this.closer.addEventListener("click", () => view.zoomIn());
    this.farther.addEventListener("click", () => view.zoomOut());
    this.whole.addEventListener("click", () => view.reset());
    this.all.addEventListener("click", () => this.#listShown());
    this.wrong.addEventListener("change", () => this.#show());
    for (const choice of [this.colourBy, this.split]) choice.addEventListener("change", () => this.#count());
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#points && this.#show());
  }

  #listShown() {
    const points = this.#sorted(this.#plane.points);
    this.#list(points, `${counted(points.length)} shown`);
    this.view.mark([]); // all of them: nothing stands out
  }

  /** Sort points by name, the wrong ones first. */
  #sorted(points) {
    const { is_wrong: isWrong } = this.#points;
    return points.toSorted((a, b) => isWrong[b] - isWrong[a] || a - b);
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    const { view } = this;
    const isAt = this.#focused !== null;
    const around = () => {
      const found = this.#plane.neighbours(this.#focused, NEIGHBOURS);
      this.#list(found, `${counted(found.length)} around ${this.#points.name[this.#focused]}`);
    };
    const actions = {
      Enter: () => isAt && this.#play(this.#focused),
      " ": () => this.player.toggle(),
      l: () => isAt && around(),
      "+": () => this.#zoomAtFocus(() => view.zoomIn(isAt ? view.pixel(this.#focused) : undefined)),
      "-": () => this.#zoomAtFocus(() => view.zoomOut(isAt ? view.pixel(this.#focused) : undefined)),
      0: () => this.#zoomAtFocus(() => view.reset()),
      Escape: () => this.#clear(),
    };
    const key = { "=": "+", L: "l" }[event.key] ?? event.key;
    if (key in steps) this.#step(...steps[key]);
    else if (key in actions) actions[key]();
    else return;
    event.preventDefault();
  }

  #step(stepX, stepY) {
    const { view } = this;
    const middle = [this.stage.clientWidth / 2, this.stage.clientHeight / 2];
    const next =
      this.#focused === null
        ? this.#plane.nearest(...view.at(...middle), 4)
        : this.#plane.towards(this.#focused, stepX, stepY);
    if (next === null) return;
    view.reveal(next);
    this.#focus(next);
    this.live.textContent = this.reading.textContent;
  }

  #zoomAtFocus(zoom) {
    zoom();
    this.#focus(this.#focused);
  }

  #say(line, isLast) {
    this.note.textContent = line;
    if (isLast) this.live.textContent = line;
  }

  #build() {
    this.note = element("p", { class: "muted map-note" });
    // there from the start, else nobody hears what changes in it
    this.live = element("p", { class: "visually-hidden", role: "status" });
    const rows = HELP.flatMap(([what, how]) => [element("dt", {}, what), element("dd", {}, how)]);
    const help = element("dl", { class: "muted map-help", id: "map-help" }, ...rows);
    this.body = element("div", { class: "map", hidden: true }, this.#buildStage(), this.#buildAside(), help);
    this.section.classList.add("map-tab");
    this.section.append(this.note, this.live, this.body);
  }

  #buildStage() {
    this.below = element("canvas", { "aria-hidden": "true" });
    this.above = element("canvas", { "aria-hidden": "true" });
    this.tip = element("div", { class: "map-tip", "aria-hidden": "true", hidden: true });
    const keys = { tabindex: 0, role: "application", "aria-describedby": "map-help" };
    this.stage = element("div", { class: "map-stage", ...keys }, this.below, this.above, this.tip);
    const button = (label, text) => element("button", { type: "button", "aria-label": label }, text);
    this.closer = button("Zoom in", "+");
    this.farther = button("Zoom out", "−");
    this.whole = element("button", { type: "button" }, "Whole map");
    const zoom = element("div", { class: "map-row map-zoom" }, this.closer, this.farther, this.whole);
    this.reading = element("p", { class: "map-reading" });
    this.title = element("p", { class: "map-title" });
    this.judge = element("button", { type: "button" }, "Judge it in Listen");
    this.playing = element("div");
    this.bar = element("div", { class: "card map-bar", hidden: true }, this.title, this.playing, this.judge);
    return element("div", { class: "map-main" }, this.stage, zoom, this.reading, this.bar);
  }

  #buildAside() {
    const option = (value, text) => element("option", { value }, text);
    this.colourBy = element("select", {}, option("label", "label"), option("predicted", "prediction"));
    const by = element("label", { class: "map-row" }, "Coloured by", this.colourBy);
    this.split = element("select", {}, ...SPLITS.map(([value, text]) => option(value, text)));
    const of = element("label", { class: "map-row" }, "Tracks of", this.split);
    this.classes = element("div");
    this.wrong = element("input", { type: "checkbox" });
    this.nWrong = element("span", { class: "number muted" });
    const ring = element("span", { class: "map-ring", "aria-hidden": "true" });
    const wrong = element("label", { class: "map-wrong" }, this.wrong, ring, "only wrong ones ", this.nWrong);
    this.shown = element("span", { class: "muted" });
    this.all = element("button", { type: "button" }, "List them");
    const shown = element("div", { class: "map-row" }, this.shown, this.all);
    const legend = element("div", { class: "card map-legend" }, by, of, this.classes, wrong, shown);
    this.listed = element("div", { class: "card map-list", hidden: true });
    return element("div", { class: "map-aside" }, legend, this.listed);
  }
}

function counted(n) {
  return n === 1 ? "1 track" : `${n.toLocaleString("en")} tracks`;
}
