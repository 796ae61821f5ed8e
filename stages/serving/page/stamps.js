/** Many small pictures on a canvas: pixels are set one by one, ten times as fast as drawing without a GPU. */

const OPAQUE = 255;

/** A small square picture. */
export class Stamp {
  /**
   * @param {number} side - In CSS pixels.
   * @param {number} density - Pixels of the screen for one of CSS.
   * @param {function(CanvasRenderingContext2D, number): void} draw - Draws it about the middle, which it is told.
   */
  constructor(side, density, draw) {
    /** In pixels of the screen. */
    this.side = Math.ceil(side * density);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = this.side;
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.scale(density, density);
    draw(context, this.side / density / 2);
    this.bytes = context.getImageData(0, 0, this.side, this.side).data;
    this.words = new Uint32Array(this.bytes.buffer);
    /** Of each row, where what is not transparent begins and ends. */
    this.spans = Array.from({ length: this.side }, (_, row) => this.#span(row));
  }

  #span(row) {
    const isSeen = (column) => this.bytes[4 * (row * this.side + column) + 3] > 0;
    const columns = Array.from({ length: this.side }, (_, column) => column).filter(isSeen);
    return columns.length ? [columns[0], columns.at(-1) + 1] : [0, 0];
  }
}

/** The pixels of a canvas, on which stamps are put one above the other. */
export class Sheet {
  #context;
  #image = null;

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.#context = canvas.getContext("2d");
  }

  /**
   * Begin anew, with nothing.
   * @param {number} width - In pixels of the screen.
   * @param {number} height
   */
  clear(width, height) {
    if (this.#image?.width === width && this.#image.height === height) {
      this.words.fill(0);
      return;
    }
    [this.canvas.width, this.canvas.height] = [width, height];
    this.#image = this.#context.createImageData(width, height);
    this.bytes = this.#image.data;
    this.words = new Uint32Array(this.bytes.buffer);
  }

  /**
   * Put a stamp.
   * @param {Stamp} stamp
   * @param {number} x - Of its middle, in pixels of the screen; it may be outside.
   * @param {number} y
   */
  put(stamp, x, y) {
    const { side, bytes, words, spans } = stamp;
    const { width, height } = this.#image;
    const [left, top] = [Math.round(x - side / 2), Math.round(y - side / 2)];
    const lastRow = Math.min(side, height - top);
    for (let row = Math.max(0, -top); row < lastRow; row += 1) {
      const [first, end] = spans[row];
      const last = Math.min(end, width - left);
      for (let column = Math.max(first, -left); column < last; column += 1) {
        const from = row * side + column;
        const to = (top + row) * width + left + column;
        const alpha = bytes[4 * from + 3];
        if (alpha === OPAQUE) this.words[to] = words[from];
        else if (alpha) this.#mix(bytes, 4 * from, 4 * to);
      }
    }
  }

  /** Have the canvas show it. */
  show() {
    this.#context.putImageData(this.#image, 0, 0);
  }

  /** Lay a pixel that is not opaque over another one. */
  #mix(from, place, to) {
    const above = from[place + 3] / OPAQUE;
    const below = (this.bytes[to + 3] / OPAQUE) * (1 - above);
    const alpha = above + below;
    for (let part = 0; part < 3; part += 1) {
      this.bytes[to + part] = (from[place + part] * above + this.bytes[to + part] * below) / alpha;
    }
    this.bytes[to + 3] = alpha * OPAQUE;
  }
}
