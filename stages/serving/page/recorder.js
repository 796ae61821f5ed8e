/** Runs in the audio thread: sends what the microphone hears to the page, all channels as one. */

const BLOCK = 4096; // samples in a message

class Recorder extends AudioWorkletProcessor {
  #block = new Float32Array(BLOCK);
  #n = 0;

  constructor() {
    super();
    // the page asks for what is left, and gets null behind it
    this.port.onmessage = () => {
      this.#send(this.#block.slice(0, this.#n));
      this.port.postMessage(null);
      this.#n = 0;
    };
  }

  process([channels]) {
    const length = channels[0]?.length ?? 0; // no channel: nothing is connected yet
    for (let i = 0; i < length; i += 1) {
      this.#block[this.#n] = channels.reduce((sum, channel) => sum + channel[i], 0) / channels.length;
      this.#n += 1;
      if (this.#n === BLOCK) {
        this.#send(this.#block);
        this.#block = new Float32Array(BLOCK);
        this.#n = 0;
      }
    }
    return true;
  }

  #send(block) {
    this.port.postMessage(block, [block.buffer]);
  }
}

registerProcessor("recorder", Recorder);
