/** What pointers do on the map: hover, click, drag round some points, move, pinch, turn the wheel. */

const STILL = 4; // pixels that a click may move
const CORNER = 3; // pixels between the corners of a lasso
const WHEEL = 0.0015; // zoom for each pixel of the wheel, as a power of e
const LINE = 16; // pixels of a line, where the wheel counts those

/** Tells what is meant by the pointers on an element. */
export class Gestures {
  #down = new Map(); // pixels of each pointer that is down
  #line = null; // of a lasso, or of what may become one
  #mayClick = false;
  #moves = false;

  /**
   * @param {HTMLElement} stage
   * @param {Object} told - Functions; all pixels are those of the stage.
   * @param {function(number, number): void} told.hover
   * @param {function(): void} told.leave
   * @param {function(number, number): void} told.click
   * @param {function(number[][]): void} told.lasso - The line so far; empty: it is given up.
   * @param {function(number[][]): void} told.enclose - The whole line.
   * @param {function(number, number): void} told.move - By how much.
   * @param {function(number, number[]): void} told.zoom - The factor, and about which pixel.
   */
  constructor(stage, told) {
    [this.stage, this.told] = [stage, told];
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("pointermove", (event) => this.#drag(event));
    stage.addEventListener("pointerup", (event) => this.#release(event));
    stage.addEventListener("pointercancel", (event) => this.#giveUp(event));
    stage.addEventListener("pointerleave", () => this.#down.size || told.leave());
    stage.addEventListener("wheel", (event) => this.#turn(event), { passive: false });
  }

  #pixel(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left - this.stage.clientLeft, event.clientY - top - this.stage.clientTop];
  }

  #press(event) {
    if (event.button) return;
    this.stage.setPointerCapture(event.pointerId);
    const pixel = this.#pixel(event);
    this.#down.set(event.pointerId, pixel);
    const isFirst = this.#down.size === 1;
    this.#moves = !isFirst || event.shiftKey;
    this.#mayClick = isFirst && !event.shiftKey;
    if (!isFirst && this.#line?.length > 1) this.told.lasso([]);
    this.#line = this.#moves ? null : [pixel];
  }

  #drag(event) {
    const pixel = this.#pixel(event);
    const before = this.#down.get(event.pointerId);
    if (!before) {
      this.told.hover(...pixel);
      return;
    }
    if (this.#moves) this.#move(event.pointerId, before, pixel);
    else this.#draw(pixel);
  }

  /** Move with one pointer, pinch with two. */
  #move(pointer, before, pixel) {
    const other = [...this.#down].find(([id]) => id !== pointer)?.[1];
    this.#down.set(pointer, pixel);
    const share = other ? 0.5 : 1; // the middle of two moves half as far as one of them
    this.told.move((pixel[0] - before[0]) * share, (pixel[1] - before[1]) * share);
    if (!other) return;
    const factor = distance(pixel, other) / Math.max(1, distance(before, other));
    this.told.zoom(factor, [(pixel[0] + other[0]) / 2, (pixel[1] + other[1]) / 2]);
  }

  #draw(pixel) {
    if (!this.#line) return;
    if (this.#mayClick && distance(this.#line[0], pixel) <= STILL) return;
    this.#mayClick = false;
    if (distance(this.#line.at(-1), pixel) < CORNER) return;
    this.#line.push(pixel);
    this.told.lasso(this.#line);
  }

  #release(event) {
    if (!this.#down.delete(event.pointerId) || this.#down.size) return;
    const line = this.#line;
    this.#line = null;
    if (this.#mayClick) this.told.click(...line[0]);
    else if (line?.length > 2) this.told.enclose(line);
    else if (line) this.told.lasso([]);
  }

  #giveUp(event) {
    this.#down.delete(event.pointerId);
    this.#line = null;
    this.#mayClick = false;
    this.told.lasso([]);
  }

  #turn(event) {
    event.preventDefault();
    const pixels = event.deltaMode ? event.deltaY * LINE : event.deltaY;
    this.told.zoom(Math.exp(-pixels * (event.ctrlKey ? 5 : 1) * WHEEL), this.#pixel(event));
  }
}

function distance([fromX, fromY], [toX, toY]) {
  return Math.hypot(toX - fromX, toY - fromY);
}
