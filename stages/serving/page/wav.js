/** WAV files, made in the page. */

const HEAD = 44; // bytes before the samples

/**
 * Make a WAV file of one channel with 16 bits.
 * @param {Float32Array[]} blocks - Samples of full scale 1, in order; what is beyond is clipped.
 * @param {number} rateHz - Whole.
 * @returns {ArrayBuffer}
 */
export function wav(blocks, rateHz) {
  const samples = blocks.reduce((sum, block) => sum + block.length, 0);
  const view = new DataView(new ArrayBuffer(HEAD + 2 * samples));
  const text = (at, signs) => [...signs].forEach((sign, i) => view.setUint8(at + i, sign.charCodeAt(0)));
  text(0, "RIFF");
  view.setUint32(4, HEAD - 8 + 2 * samples, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, rateHz, true);
  view.setUint32(28, 2 * rateHz, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, "data");
  view.setUint32(40, 2 * samples, true);
  let at = HEAD;
  for (const block of blocks) {
    for (const sample of block) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(sample * 32768))), true);
      at += 2;
    }
  }
  return view.buffer;
}

/**
 * Say how much music fits.
 * @param {number} bytes - Of a file.
 * @param {number} rateHz
 * @returns {number} Seconds.
 */
export function secondsIn(bytes, rateHz) {
  return Math.max(0, bytes - HEAD) / (2 * rateHz);
}
