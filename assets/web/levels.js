// @ts-check
/** How loud a stream is, by WebAudio: for meters, speaking outlines and the hint to a muted speaker. */

/** Louder than this counts as speaking; room noise after the browser's noise suppression stays below. */
export const SPEAKING_DBFS = -45;
/** Silence, for meters. */
export const FLOOR_DBFS = -90;

/** The level of samples in dBFS, where a full-scale square wave is 0. @param {Float32Array} samples */
export function levelDbfs(samples) {
  let energy = 0;
  for (const sample of samples) energy += sample * sample;
  const dbfs = 10 * Math.log10(energy / Math.max(1, samples.length));
  return Math.max(FLOOR_DBFS, dbfs);
}

/** A level as a share of a meter, 0 to 1: −60 dBFS is its left end. @param {number} dbfs */
export function meterShare(dbfs) { return Math.min(1, Math.max(0, (dbfs + 60) / 55)); }

/** One context for the page: browsers allow few, and start them only after a gesture. @type {AudioContext|null} */
let shared = null;

/** The page's audio context, woken if need be. */
export function audioContext() {
  shared ??= new AudioContext();
  if (shared.state === 'suspended') shared.resume().catch(() => { /* until a gesture comes */ });
  return shared;
}

/** Listens to one audio track. */
export class LevelMeter {
  #samples = new Float32Array(1_024);

  /** @param {MediaStreamTrack} track */
  constructor(track) {
    this.track = track;
    const context = audioContext();
    this.source = context.createMediaStreamSource(new MediaStream([track]));
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = this.#samples.length;
    this.source.connect(this.analyser);
  }

  /** The level of the last 21 ms, in dBFS. */
  read() {
    this.analyser.getFloatTimeDomainData(this.#samples);
    return levelDbfs(this.#samples);
  }

  close() {
    this.source.disconnect();
    this.analyser.disconnect();
  }
}

/** Plays a soft two-note chime on a speaker. @param {string} speakerId empty for the default */
export async function playTestSound(speakerId) {
  const context = audioContext();
  const output = context.createMediaStreamDestination();
  for (const [frequency, start] of [[523.25, 0], [659.25, 0.25]]) {
    const oscillator = context.createOscillator();
    const gain = context.createGain();
    const at = context.currentTime + start;
    oscillator.frequency.value = frequency;
    gain.gain.setValueAtTime(0, at);
    gain.gain.linearRampToValueAtTime(0.25, at + 0.02);
    gain.gain.exponentialRampToValueAtTime(0.001, at + 0.6);
    oscillator.connect(gain).connect(output);
    oscillator.start(at);
    oscillator.stop(at + 0.6);
  }
  const element = new Audio();
  element.srcObject = output.stream;
  await setSpeaker(element, speakerId);
  await element.play();
  setTimeout(() => { element.pause(); element.srcObject = null; }, 1_200);
}

/** Whether this browser lets a page choose the speaker. */
export function canChooseSpeaker() { return 'setSinkId' in HTMLMediaElement.prototype; }

/** @param {HTMLMediaElement} element @param {string} speakerId */
export async function setSpeaker(element, speakerId) {
  if (!canChooseSpeaker() || element.sinkId === speakerId) return;
  await element.setSinkId(speakerId);
}
