/** Started once; returns what is called when the tab is shown again. */
export function start(section, about) {
  section.textContent = about.model.labels.join(", ");
}
