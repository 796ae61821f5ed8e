/** Records from the microphone, as PCM: what a browser would record itself, the server may not read. */

import { secondsIn, wav } from "./wav.js";

// Made for voices, these would change music.
const AS_IT_IS = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const WHY = {
  NotAllowedError: "the microphone was refused; allow it in the browser's settings of this page",
  NotFoundError: "there is no microphone",
  NotReadableError: "the microphone is in use elsewhere, or does not work",
};

/** A recording that is going on. */
export class Recording {
  #context;
  #stream;
  #node;
  #blocks = [];
  #samples = 0;

  /**
   * Begin to record.
   * @param {{bytes: number, seconds_of_music: number}} limits - Of what the server takes.
   * @param {function({seconds: number, level: number, isFull: boolean}): void} onHeard - Called some times a
   *   second: how long it is, the greatest sample since the last call (full scale 1), and whether it has
   *   reached its limit.
   * @returns {Promise<Recording>}
   * @throws {Error} In words, if there is no microphone that may be used.
   */
  static async start(limits, onHeard) {
    if (!navigator.mediaDevices) throw new Error("this browser gives no page a microphone");
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: AS_IT_IS });
    } catch (error) {
      throw new Error(WHY[error.name] ?? `the microphone cannot be used: ${error.message}`);
    }
    const recording = new Recording(stream);
    try {
      await recording.#connect(limits, onHeard);
    } catch (error) {
      recording.discard();
      throw new Error(`this browser cannot record: ${error.message}`);
    }
    return recording;
  }

  /** @param {MediaStream} stream */
  constructor(stream) {
    this.#stream = stream;
    this.#context = new AudioContext();
  }

  /** @returns {Promise<File>} A WAV file of all that was recorded; the microphone is off then. */
  async stop() {
    const rest = new Promise((resolve) => {
      const { onmessage } = this.#node.port;
      this.#node.port.onmessage = (event) => (event.data === null ? resolve() : onmessage(event));
    });
    this.#node.port.postMessage("rest");
    await rest;
    const rateHz = this.#context.sampleRate;
    this.discard();
    return new File([wav(this.#blocks, rateHz)], "recording.wav", { type: "audio/wav" });
  }

  /** Switch the microphone off, and keep nothing. */
  discard() {
    this.#stream.getTracks().forEach((track) => track.stop());
    if (this.#context.state !== "closed") this.#context.close();
  }

  async #connect(limits, onHeard) {
    const context = this.#context;
    await context.audioWorklet.addModule("/page/recorder.js");
    await context.resume();
    const mostS = Math.min(limits.seconds_of_music, secondsIn(limits.bytes, context.sampleRate));
    const most = Math.floor(mostS * context.sampleRate);
    this.#node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 });
    this.#node.port.onmessage = ({ data: block }) => {
      if (this.#samples >= most) return;
      const kept = block.subarray(0, most - this.#samples);
      this.#blocks.push(kept);
      this.#samples += kept.length;
      const level = kept.reduce((greatest, sample) => Math.max(greatest, Math.abs(sample)), 0);
      const isFull = this.#samples >= most;
      onHeard({ seconds: this.#samples / context.sampleRate, level, isFull });
    };
    context.createMediaStreamSource(this.#stream).connect(this.#node);
  }
}
