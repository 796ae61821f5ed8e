/** One sound at a time on the whole page. */

let sounding = null;

/**
 * Have an audio element pause all others when it begins to play.
 * @param {HTMLAudioElement} audio
 */
export function alone(audio) {
  audio.addEventListener("play", () => {
    if (sounding && sounding !== audio) sounding.pause();
    sounding = audio;
  });
}
