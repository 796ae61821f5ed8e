/** The picture of the map: points on one canvas, what the pointer needs on another above it. */

import { Sheet, Stamp } from "./stamps.js";

const RADIUS = 5; // of a point, in CSS pixels, where there are few of them
const [MANY, SMALL] = [4000, 0.6]; // from so many points on, a point is so much smaller
const GROWTH = 0.35; // of a point with the zoom: as a power
const MARGIN = 26;
const [CLOSEST, STEP] = [60, 1.4]; // zoom: the most, and that of a key
const CONTRAST = 3; // of each colour with the background, as WCAG 1.4.11 wants of graphics

/**
 * Draws points, zooms and moves.
 *
 * The points are drawn anew only if what is shown changes. The pointer moves above them on a canvas of its own.
 */
export class MapView {
  #x;
  #y;
  #extent = [1, 1]; // how far the points are from the middle
  #kinds = null; // of each point, how it looks
  #points = [];
  #zoom = 1;
  #centre = [0, 0];
  #frame = 0;
  #isStale = false; // the points, too, are to be drawn
  #marked = [];
  #focused = null;
  #playing = null;
  #line = [];

  /**
   * @param {HTMLElement} stage - Holds the canvases; its size is that of the picture.
   * @param {HTMLCanvasElement} below
   * @param {HTMLCanvasElement} above
   */
  constructor(stage, below, above) {
    this.stage = stage;
    [this.sheet, this.above] = [new Sheet(below), above];
    this.#x = this.#y = new Float64Array();
    new ResizeObserver(() => this.redraw()).observe(stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
    this.#followDensity();
  }

  /**
   * Take the places of all points.
   * @param {Float64Array} x - From -1 to 1.
   * @param {Float64Array} y
   */
  place(x, y) {
    [this.#x, this.#y] = [x, y];
    const farthest = (values) => values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
    this.#extent = [farthest(x), farthest(y)];
  }

  /**
   * Show some points.
   * @param {number[]} points - Which, the last ones above the others.
   * @param {{colour: ?string, isWrong: boolean}[]} kinds - How each point of the map looks, the same object for
   *   points that look the same; without a colour it is grey.
   */
  show(points, kinds) {
    [this.#points, this.#kinds] = [points, kinds];
    this.redraw();
  }

  /** Mark points, such as those that are listed. @param {number[]} points */
  mark(points) {
    this.#marked = points;
    this.redraw();
  }

  /** Mark the point that the pointer or the keyboard is at. @param {?number} point */
  focus(point) {
    if (point === this.#focused) return;
    this.#focused = point;
    this.#drawSoon();
  }

  /** Mark the point that is heard. @param {?number} point */
  play(point) {
    this.#playing = point;
    this.#drawSoon();
  }

  /** Draw the line of a lasso. @param {number[][]} line - In pixels of the stage. */
  lasso(line) {
    this.#line = line;
    this.#drawSoon();
  }

  /** Draw all anew, in the next frame. */
  redraw() {
    this.#isStale = true;
    this.#drawSoon();
  }

  /** Return where a point is, in pixels of the stage. @returns {number[]} */
  pixel(point) {
    return this.pixelOf(this.#x[point], this.#y[point]);
  }

  /** Return where a place in the plane is, in pixels of the stage. @returns {number[]} */
  pixelOf(x, y) {
    const scale = this.#scale;
    const [width, height] = this.#size;
    return [width / 2 + (x - this.#centre[0]) * scale, height / 2 - (y - this.#centre[1]) * scale];
  }

  /** Return the place in the plane at a pixel of the stage. @returns {number[]} */
  at(pixelX, pixelY) {
    const [width, height] = this.#size;
    return [
      this.#centre[0] + (pixelX - width / 2) / this.#scale,
      this.#centre[1] - (pixelY - height / 2) / this.#scale,
    ];
  }

  /** Return how far some pixels reach in the plane. @returns {number} */
  reach(pixels) {
    return pixels / this.#scale;
  }

  /**
   * Zoom about a pixel of the stage.
   * @param {number} factor - Above 1: closer.
   * @param {number[]} [pixel] - Else the middle.
   */
  zoom(factor, [pixelX, pixelY] = this.#size.map((length) => length / 2)) {
    const [x, y] = this.at(pixelX, pixelY);
    this.#zoom = Math.min(CLOSEST, Math.max(1, this.#zoom * factor));
    const [newX, newY] = this.at(pixelX, pixelY);
    this.#centre = [this.#centre[0] + x - newX, this.#centre[1] + y - newY];
    this.#stay();
  }

  /** Zoom by a step, about the middle or a pixel. */
  zoomIn(pixel) {
    this.zoom(STEP, pixel);
  }

  /** Zoom out by a step. */
  zoomOut(pixel) {
    this.zoom(1 / STEP, pixel);
  }

  /** Move the picture by some pixels. */
  move(pixelsX, pixelsY) {
    this.#centre = [this.#centre[0] - pixelsX / this.#scale, this.#centre[1] + pixelsY / this.#scale];
    this.#stay();
  }

  /** Move the picture as far as a point needs to be seen. */
  reveal(point) {
    const [x, y] = this.pixel(point);
    const [width, height] = this.#size;
    const inside = (value, length) => Math.min(Math.max(value, MARGIN), length - MARGIN) - value;
    const [moveX, moveY] = [inside(x, width), inside(y, height)];
    if (moveX || moveY) this.move(moveX, moveY);
  }

  /** Show all of the map. */
  reset() {
    this.#zoom = 1;
    this.#stay();
  }

  get #size() {
    return [this.stage.clientWidth, this.stage.clientHeight];
  }

  get #scale() {
    const room = this.#size.map((length, axis) => (length / 2 - MARGIN) / this.#extent[axis]);
    return this.#zoom * Math.max(1, Math.min(...room));
  }

  get #radius() {
    const zoomed = RADIUS * this.#zoom ** GROWTH;
    return this.#x.length > MANY ? zoomed * SMALL : zoomed;
  }

  /** Keep the map from being moved out of sight. */
  #stay() {
    this.#centre = this.#centre.map((value, axis) => {
      const most = this.#extent[axis] * (1 - 1 / this.#zoom);
      return Math.min(most, Math.max(-most, value));
    });
    this.redraw();
  }

  #followDensity() {
    const density = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const changed = () => {
      this.redraw();
      this.#followDensity();
    };
    density.addEventListener("change", changed, { once: true });
  }

  #drawSoon() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      if (!this.stage.clientWidth || !this.#kinds) return; // hidden: it is drawn when it gets a width
      if (this.#isStale) this.#drawPoints();
      this.#isStale = false;
      this.#drawAbove();
    });
  }

  #drawPoints() {
    const density = window.devicePixelRatio || 1;
    this.sheet.clear(...this.#size.map((length) => Math.round(length * density)));
    const look = new Look(this.stage, this.#radius, density);
    const [scale, [left, top]] = [this.#scale * density, this.pixelOf(0, 0).map((length) => length * density)];
    const put = (stamp, point) => {
      this.sheet.put(stamp, left + this.#x[point] * scale, top - this.#y[point] * scale);
    };
    for (const point of this.#marked) put(look.halo, point);
    for (const point of this.#points) put(look.stamp(this.#kinds[point]), point);
    this.sheet.show();
  }

  #drawAbove() {
    const [width, height] = this.#size;
    const context = cleared(this.above, width, height);
    const style = getComputedStyle(this.stage);
    const [ink, focus, accent] = ["--ink", "--focus", "--accent"].map((name) => style.getPropertyValue(name));
    const ring = (point, radius, colour, line) => {
      context.beginPath();
      context.arc(...this.pixel(point), radius, 0, 2 * Math.PI);
      context.strokeStyle = colour;
      context.lineWidth = line;
      context.stroke();
    };
    if (this.#playing !== null) ring(this.#playing, this.#radius + 6, accent, 3);
    if (this.#focused !== null) ring(this.#focused, this.#radius + 4, ink, 2.5);
    if (this.#line.length > 1) {
      context.beginPath();
      this.#line.forEach(([x, y]) => context.lineTo(x, y));
      context.closePath();
      context.strokeStyle = context.fillStyle = focus;
      context.lineWidth = 1.5;
      context.setLineDash([6, 4]);
      context.stroke();
      context.globalAlpha = 0.1;
      context.fill("evenodd");
    }
  }
}

/** Give a canvas its size, with CSS pixels as its unit, and nothing on it; return its context. */
function cleared(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  const [pixelsX, pixelsY] = [Math.round(width * density), Math.round(height * density)];
  if (canvas.width !== pixelsX || canvas.height !== pixelsY) {
    [canvas.width, canvas.height] = [pixelsX, pixelsY];
  }
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  context.clearRect(0, 0, width, height);
  context.globalAlpha = 1;
  context.setLineDash([]);
  return context;
}

/** How points look: a stamp for each kind, made when it is first needed. */
class Look {
  #stamps = new Map();
  #density;
  #radius;

  constructor(stage, radius, density) {
    const style = getComputedStyle(stage);
    const colour = (name) => style.getPropertyValue(name);
    [this.ink, this.grey, this.marked] = [colour("--ink"), colour("--muted"), colour("--focus")];
    this.background = style.backgroundColor;
    this.#radius = radius;
    this.#density = density;
    /** What is below a point that is marked. */
    this.halo = this.#stamp((context, middle) => {
      circle(context, middle, radius + 3.5);
      context.fillStyle = this.background; // opaque: that is put faster
      context.fill();
      context.fillStyle = this.marked;
      context.globalAlpha = 0.55;
      context.fill();
    });
  }

  stamp(kind) {
    if (!this.#stamps.has(kind)) this.#stamps.set(kind, this.#ofKind(kind));
    return this.#stamps.get(kind);
  }

  #ofKind({ colour, isWrong }) {
    return this.#stamp((context, middle) => {
      circle(context, middle, colour ? this.#radius : this.#radius * 0.7); // without a class it takes less room
      context.fillStyle = colour ? visible(colour, this.background) : this.grey;
      context.globalAlpha = colour ? 1 : 0.75;
      context.fill();
      if (!isWrong) return;
      context.globalAlpha = 1;
      circle(context, middle, this.#radius + 1.8);
      context.strokeStyle = this.ink;
      context.lineWidth = 1.4;
      context.stroke();
    });
  }

  #stamp(draw) {
    return new Stamp(2 * (this.#radius + 4), this.#density, draw);
  }
}

function circle(context, middle, radius) {
  context.beginPath();
  context.arc(middle, middle, radius, 0, 2 * Math.PI);
}

/**
 * Make a colour darker or lighter, until it can be seen on a background.
 * @param {string} colour - rgb().
 * @param {string} background - rgb().
 * @returns {string}
 */
export function visible(colour, background) {
  const [from, ground] = [parts(colour), luminance(parts(background))];
  const end = ground > 0.18 ? 0 : 255;
  for (let share = 0; share < 1; share += 0.05) {
    const mixed = from.map((part) => Math.round(part + (end - part) * share));
    const [darker, lighter] = [luminance(mixed), ground].sort((a, b) => a - b);
    if ((lighter + 0.05) / (darker + 0.05) >= CONTRAST) return `rgb(${mixed.join(", ")})`;
  }
  return `rgb(${end}, ${end}, ${end})`;
}

function parts(colour) {
  return colour.match(/[\d.]+/g).slice(0, 3).map(Number);
}

function luminance(rgb) {
  const [red, green, blue] = rgb.map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
