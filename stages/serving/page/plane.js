/** Points in the plane, and which of them lie where. */

const PER_CELL = 2; // points, on average

/** Some of the points of a map, to be found by their place. */
export class Plane {
  #x;
  #y;
  #points;
  #cells;
  #n;

  /**
   * @param {Float64Array} x - Of all points, from -1 to 1.
   * @param {Float64Array} y
   * @param {number[]} points - Which of them there are.
   */
  constructor(x, y, points) {
    this.#x = x;
    this.#y = y;
    this.#points = points;
    this.#n = Math.max(1, Math.ceil(Math.sqrt(points.length / PER_CELL)));
    this.#cells = Array.from({ length: this.#n ** 2 }, () => []);
    for (const point of points) this.#cells[this.#cell(y[point]) * this.#n + this.#cell(x[point])].push(point);
  }

  /** The points, as they were given. @type {number[]} */
  get points() {
    return this.#points;
  }

  /**
   * Find the point nearest to a place; of several at one place, the last, which is drawn above the others.
   * @param {number} x
   * @param {number} y
   * @param {number} most - How far away it may be.
   * @returns {?number}
   */
  nearest(x, y, most) {
    let [found, least] = [null, most ** 2];
    const [left, right] = [this.#cell(x - most), this.#cell(x + most)];
    for (let row = this.#cell(y - most); row <= this.#cell(y + most); row += 1) {
      for (let column = left; column <= right; column += 1) {
        for (const point of this.#cells[row * this.#n + column]) {
          const distance = (this.#x[point] - x) ** 2 + (this.#y[point] - y) ** 2;
          if (distance <= least) [found, least] = [point, distance];
        }
      }
    }
    return found;
  }

  /**
   * Find the points nearest to one of them, itself first.
   * @param {number} from
   * @param {number} k
   * @returns {number[]}
   */
  neighbours(from, k) {
    const distance = (point) => (this.#x[point] - this.#x[from]) ** 2 + (this.#y[point] - this.#y[from]) ** 2;
    const others = this.#points.filter((point) => point !== from);
    return [from, ...others.sort((a, b) => distance(a) - distance(b)).slice(0, k)];
  }

  /**
   * Find the nearest point in a direction, within 45 degrees of it.
   * @param {number} from - A point.
   * @param {number} stepX - The direction: 1 and 0, say, to the right.
   * @param {number} stepY
   * @returns {?number}
   */
  towards(from, stepX, stepY) {
    let [found, least] = [null, Infinity];
    for (const point of this.#points) {
      const [x, y] = [this.#x[point] - this.#x[from], this.#y[point] - this.#y[from]];
      const [ahead, aside] = [x * stepX + y * stepY, Math.abs(x * stepY - y * stepX)];
      if (ahead > 0 && aside <= ahead && ahead + aside < least) [found, least] = [point, ahead + aside];
    }
    return found;
  }

  /**
   * Find the points inside a closed line; where it crosses itself, what it goes round twice is outside.
   * @param {number[][]} line - Its corners, each as [x, y].
   * @returns {number[]}
   */
  inside(line) {
    const [left, right] = range(line.map(([x]) => x));
    const [low, high] = range(line.map(([, y]) => y));
    return this.#points.filter((point) => {
      const [x, y] = [this.#x[point], this.#y[point]];
      return x >= left && x <= right && y >= low && y <= high && surrounds(line, x, y);
    });
  }

  #cell(value) {
    return Math.min(this.#n - 1, Math.max(0, Math.floor(((value + 1) / 2) * this.#n)));
  }
}

function range(values) {
  return values.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [
    Infinity, -Infinity,
  ]);
}

/** Say whether a point is inside a line: whether a ray to the right crosses it an odd number of times. */
function surrounds(line, x, y) {
  let isInside = false;
  for (let to = 0, from = line.length - 1; to < line.length; from = to, to += 1) {
    const [a, b] = [line[from], line[to]];
    if (a[1] > y === b[1] > y) continue;
    if (x < ((a[0] - b[0]) * (y - b[1])) / (a[1] - b[1]) + b[0]) isInside = !isInside;
  }
  return isInside;
}
