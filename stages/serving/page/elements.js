/** Elements of the page, made in short; all text goes in as text. */

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = {
  play: "M8 5v14l11-7z",
  pause: "M7 5h4v14H7zM13 5h4v14h-4z",
};

/**
 * Make an element.
 * @param {string} tag
 * @param {Object<string, *>} [attributes] - Without those that are null or false; true is an empty one.
 * @param {...(Node|string)} children
 * @returns {HTMLElement}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/**
 * Make a picture for a button whose name is said by its label.
 * @param {"play"|"pause"} name
 * @returns {SVGElement}
 */
export function icon(name) {
  const made = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[name]);
  made.setAttribute("viewBox", "0 0 24 24");
  made.setAttribute("class", "icon");
  made.setAttribute("aria-hidden", "true");
  made.append(path);
  return made;
}
