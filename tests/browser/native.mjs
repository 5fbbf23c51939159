/**
 * Native headless peers for browser tests, and the barcode in their picture (tests/BARCODE.md).
 *
 * Environment: PARLOR (the program, needed).
 */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { inflateSync } from 'node:zlib';
import { PATIENCE_MS, temporaryFolder } from './lib.mjs';

/** What every native peer here sends: a moving picture with a barcode, and a tone of its own. @param {number} hertz */
export const synthetic = (hertz) => ['--video', 'test-pattern', '--audio', `tone:${hertz}`, '--speaker', 'none'];

/**
 * Starts `parlor join --headless`. It has neither the tester's settings nor variables; PARLOR_SERVER means another thing to it.
 * @param {{url: string}} server @param {{room: string, name: string, flags?: string[], launcher?: string, env?: NodeJS.ProcessEnv}} options `launcher` starts the program somewhere else
 */
export function startNative(server, { room, name, flags = synthetic(880), launcher, env: given = process.env }) {
  const binary = launcher ?? process.env.PARLOR;
  if (!binary) throw new Error('PARLOR must name the parlor binary');
  const settings = temporaryFolder();
  const env = Object.fromEntries(Object.entries(given).filter(([key]) => !key.startsWith('PARLOR')));
  const child = spawn(binary, ['join', `${server.url}/r/${room}`, '--name', name, '--headless', '--json', '--commands', ...flags], {
    stdio: 'pipe', env: { ...env, XDG_CONFIG_HOME: settings.folder },
  });
  const events = [];
  const log = [];
  let wake = () => {};
  createInterface({ input: child.stdout }).on('line', (line) => { events.push(JSON.parse(line)); wake(); });
  createInterface({ input: child.stderr }).on('line', (line) => { log.push(line); if (log.length > 100) log.shift(); });
  const exited = new Promise((resolve) => { child.once('exit', resolve); });
  exited.then(() => wake());
  return {
    name,
    pid: child.pid,
    events,
    /** @param {string} line such as `say Hello` */
    command(line) { child.stdin.write(`${line}\n`); },
    /**
     * Waits for an event, by default of all since the start.
     * @param {string} kind @param {(event: any) => boolean} [condition] @param {number} [from] how many to leave out
     */
    async wait(kind, condition = () => true, from = 0) {
      const deadline = performance.now() + PATIENCE_MS;
      for (let next = from; ; next += 1) {
        while (next >= events.length) {
          const left = deadline - performance.now();
          if (left <= 0 || child.exitCode !== null) {
            throw new Error(`${name} waited in vain for ${kind}\n${events.slice(-6).map((event) => JSON.stringify(event)).join('\n')}\n${log.join('\n')}`);
          }
          let timer;
          await new Promise((resolve) => { wake = resolve; timer = setTimeout(resolve, left); });
          clearTimeout(timer);
        }
        if (events[next].event === kind && condition(events[next])) return events[next];
      }
    },
    /** Waits for statistics to come in which the figures of someone fulfil the condition. @param {string} of @param {(figures: any) => boolean} condition */
    async statsOf(of, condition) {
      const figures = (stats) => stats.peers.find((peer) => peer.name === of && peer.present);
      return figures(await this.wait('stats', (stats) => figures(stats) !== undefined && condition(figures(stats)), events.length));
    },
    /** Leaves; gives the summary. */
    async leave() {
      if (child.exitCode === null) this.command('leave');
      await exited;
      settings.remove();
      return events.findLast(({ event }) => event === 'summary');
    },
    /** Ends it, whatever it does. */
    async end() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
      settings.remove();
    },
  };
}

/** CRC-16/CCITT-FALSE. @param {number[]} bytes */
function crc16(bytes) {
  let crc = 0xffff;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1 & 0xffff;
  }
  return crc;
}

/**
 * Reads the barcode of a picture.
 * @param {{width: number, height: number, rgba: Uint8Array}} picture
 * @returns {number|null} Unix time in milliseconds, with one digit behind the point; null where there is none, or a damaged one
 */
export function readBarcode({ width, height, rgba }) {
  const edge = (index) => Math.floor(index * width / 40);
  if (width < 160 || height < edge(2)) return null;
  const brightness = (row, column) => {
    const [left, right, top, bottom] = [edge(column), edge(column + 1), edge(row), edge(row + 1)];
    const [x, y] = [Math.floor((right - left) / 4), Math.floor((bottom - top) / 4)];
    let sum = 0;
    let count = 0;
    for (let line = top + y; line < bottom - y; line += 1) {
      for (let pixel = left + x; pixel < right - x; pixel += 1) {
        const at = (line * width + pixel) * 4;
        sum += 0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2];
        count += 1;
      }
    }
    return sum / count;
  };
  let white = Infinity;
  let black = -Infinity;
  for (const row of [0, 1]) {
    for (const column of [0, 1, 2, 3, 36, 37, 38, 39]) {
      const isWhite = (row + column) % 2 === (column < 4 ? 0 : 1);
      if (isWhite) white = Math.min(white, brightness(row, column));
      else black = Math.max(black, brightness(row, column));
    }
  }
  if (white - black < 60) return null;
  const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map((byte) => {
    let value = 0;
    for (let bit = 0; bit < 8; bit += 1) {
      const place = byte * 8 + bit;
      value = value * 2 + (brightness(Math.floor(place / 32), 4 + place % 32) > (white + black) / 2 ? 1 : 0);
    }
    return value;
  });
  if (crc16(bytes.slice(0, 6)) !== bytes[6] * 256 + bytes[7]) return null;
  return bytes.slice(0, 6).reduce((time, byte) => time * 256 + byte, 0) / 10;
}

/**
 * A Y4M film of one grey picture with a barcode, for Chromium's fake camera.
 * @param {{width: number, height: number, timeMs: number, frames: number}} film
 * @returns {Buffer}
 */
export function barcodeFilm({ width, height, timeMs, frames }) {
  const tenths = Math.round(timeMs * 10);
  const bytes = [5, 4, 3, 2, 1, 0].map((place) => Math.floor(tenths / 256 ** place) % 256);
  const crc = crc16(bytes);
  bytes.push(crc >> 8, crc & 0xff);
  const isWhite = (row, column) => {
    if (column < 4) return (row + column) % 2 === 0;
    if (column >= 36) return (row + column) % 2 === 1;
    const place = row * 32 + column - 4;
    return (bytes[place >> 3] >> (7 - place % 8) & 1) === 1;
  };
  const luma = Buffer.alloc(width * height, 126);
  const edge = (index) => Math.floor(index * width / 40);
  for (const row of [0, 1]) {
    for (let column = 0; column < 40; column += 1) {
      for (let line = edge(row); line < edge(row + 1); line += 1) {
        luma.fill(isWhite(row, column) ? 235 : 16, line * width + edge(column), line * width + edge(column + 1));
      }
    }
  }
  const frame = [Buffer.from('FRAME\n'), luma, Buffer.alloc(width * height / 2, 128)];
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${width} H${height} F30:1 Ip A1:1 C420jpeg\n`), ...Array(frames).fill(frame).flat()]);
}

/**
 * The pixels of an 8-bit RGB PNG without interlacing, as `parlor --snapshots` writes them (PNG §9: filters).
 * @param {Buffer} png
 */
export function readPng(png) {
  const parts = [];
  let [width, height] = [0, 0];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    const kind = png.toString('latin1', at + 4, at + 8);
    const body = png.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') [width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
    if (kind === 'IDAT') parts.push(body);
    at += length + 12;
  }
  const filtered = inflateSync(Buffer.concat(parts));
  const stride = width * 3;
  const rgb = Buffer.alloc(stride * height);
  const rgba = Buffer.alloc(width * height * 4, 255);
  for (let line = 0; line < height; line += 1) {
    const filter = filtered[line * (stride + 1)];
    for (let byte = 0; byte < stride; byte += 1) {
      const at = line * stride + byte;
      const left = byte >= 3 ? rgb[at - 3] : 0;
      const above = line > 0 ? rgb[at - stride] : 0;
      const corner = byte >= 3 && line > 0 ? rgb[at - stride - 3] : 0;
      rgb[at] = filtered[line * (stride + 1) + 1 + byte] + predicted(filter, left, above, corner);
      rgba[Math.floor(at / 3) * 4 + at % 3] = rgb[at];
    }
  }
  return { width, height, rgba };
}

function predicted(filter, left, above, corner) {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return Math.floor((left + above) / 2);
  if (filter !== 4) return 0;
  const estimate = left + above - corner;
  const [toLeft, toAbove, toCorner] = [left, above, corner].map((value) => Math.abs(estimate - value));
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}
