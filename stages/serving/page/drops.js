/** Files that are dropped, on whatever tab: the tab Ask is given them. */

const OVER = "is-dropping";

const carriesFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");

/**
 * Listen for files.
 * @param {function({files: File[], isFolder: boolean}): void} onDrop
 */
export function listenToDrops(onDrop) {
  const { classList } = document.body;
  window.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser leaves this page for the file
    classList.add(OVER);
  });
  for (const name of ["dragleave", "drop"]) window.addEventListener(name, () => classList.remove(OVER));
  window.addEventListener("drop", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    const { files, items } = event.dataTransfer; // both are empty later
    onDrop({ files: [...files], isFolder: Boolean(items[0]?.webkitGetAsEntry?.()?.isDirectory) });
  });
}
