/**
 * A sound card for one end of a call: a PulseAudio of its own with a microphone into which a file is spoken and a speaker at which it is
 * heard. Both are null sinks recorded in the same way, so that what the recording adds is in neither delay.
 *
 * Needs pulseaudio and pulseaudio-utils.
 */

import { execFile, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { fromBlocks } from './sound.mjs';

const RATE = 48_000;
/** Ten minutes; what comes after them is left out. */
const SAMPLES_MAX = 600 * RATE;
/** In ms: how soon the recorders are given what was played. A client's own wishes do not change by it. */
const RECORDER_LATENCY_MS = 10;
const PATIENCE_MS = 20_000;
const nowMs = () => performance.timeOrigin + performance.now();

/** @param {string} program @param {string[]} args @param {NodeJS.ProcessEnv} env */
function start(program, args, env) {
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', resolve);
  });
  child.stderr.resume();
  return { child, end: async () => { if (child.exitCode === null && child.signalCode === null) child.kill(); await exited; } };
}

/**
 * Keeps what a sink is given, and when each part of it came.
 * @param {string} sink @param {NodeJS.ProcessEnv} env
 */
function record(sink, env) {
  const args = [`--device=${sink}.monitor`, '--raw', '--format=s16le', `--rate=${RATE}`, '--channels=1', `--latency-msec=${RECORDER_LATENCY_MS}`];
  const { child, end } = start('parec', args, env);
  const [parts, blocks] = [[], []];
  let samples = 0;
  /** A sample may be cut in two. */
  let rest = Buffer.alloc(0);
  child.stdout.on('data', (data) => {
    const atMs = nowMs();
    const bytes = Buffer.concat([rest, data]);
    const count = bytes.length >> 1;
    rest = bytes.subarray(count * 2);
    if (count === 0 || samples >= SAMPLES_MAX) return;
    parts.push(Float32Array.from({ length: count }, (_, index) => bytes.readInt16LE(index * 2) / 32_768));
    blocks.push([samples, count, atMs]);
    samples += count;
  });
  return {
    end,
    recording() {
      const whole = new Float32Array(samples);
      parts.reduce((at, part) => {
        whole.set(part, at);
        return at + part.length;
      }, 0);
      return samples > 0 ? fromBlocks(whole, RATE, blocks, 'spoken') : null;
    },
  };
}

/**
 * Starts it, and begins to keep what is said and what is heard.
 * @param {string} folder @param {string} name whose it is
 */
export async function startCard(folder, name) {
  const own = path.join(folder, `${name}-card`);
  mkdirSync(own);
  const socket = path.join(own, 'native');
  const env = { ...process.env, HOME: own, XDG_RUNTIME_DIR: own, PULSE_RUNTIME_PATH: own, PULSE_SERVER: `unix:${socket}`, DBUS_SESSION_BUS_ADDRESS: '' };
  delete env.PULSE_COOKIE;
  const load = [
    `module-native-protocol-unix auth-anonymous=1 socket=${socket}`,
    ...['said', 'heard'].map((sink) => `module-null-sink sink_name=${sink} rate=${RATE} channels=1`),
    // Browsers don't take a monitor for a microphone.
    'module-remap-source source_name=microphone master=said.monitor rate=48000 channels=1',
  ];
  const server = start('pulseaudio', [
    '-n', '--daemonize=no', '--use-pid-file=no', '--exit-idle-time=-1', '--disable-shm=yes', '--realtime=yes', '--high-priority=yes',
    '--log-target=stderr', '--log-level=error', ...load.flatMap((module) => ['-L', module]),
  ], env);
  const pactl = (...args) => promisify(execFile)('pactl', args, { env });
  for (const deadline = nowMs() + PATIENCE_MS; ;) {
    const isThere = await pactl('info').then(() => true, () => false);
    if (isThere) break;
    if (nowMs() > deadline) throw new Error('PulseAudio does not start: are pulseaudio and pulseaudio-utils installed?');
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  await pactl('set-default-sink', 'heard');
  await pactl('set-default-source', 'microphone');
  const [said, heard] = [record('said', env), record('heard', env)];
  let speaker;
  return {
    env,
    /** Speaks a file into the microphone. @param {string} file */
    say(file) {
      speaker = start('paplay', ['--device=said', file], env);
    },
    recordings: () => ({ spoken: said.recording(), heard: heard.recording() }),
    async end() {
      for (const one of [speaker, said, heard, server]) await one?.end();
    },
  };
}
