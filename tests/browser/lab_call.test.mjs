/** A run of the lab (tests/lab/call) as the benchmark starts it: a native peer and a page, measured at both ends. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { temporaryFolder } from './lib.mjs';
import { bestMatch, prepareFfmpeg, ssim } from '../lab/call/likeness.mjs';
import { filmOf } from '../lab/call/film.mjs';
import { cut, pesq, speech } from '../lab/call/speech.mjs';
import { isInstalled } from '../lab/call/venv.mjs';

const run = async (wanted) => {
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../lab/call/run.mjs', import.meta.url)), JSON.stringify(wanted)]);
  return JSON.parse(stdout.trim().split('\n').at(-1));
};

test('a run tells delay of picture and sound at both ends, with the path’s delay in it', async () => {
  const result = await run({ group: 'delay', scenario: '150 ms', contender: 'native-chromium', rules: ['up delay=150ms'], seconds: 3, settle_seconds: 1, seed: 3 });
  assert.equal(result.failed, undefined, result.invalid_reason);
  assert.deepEqual([result.group, result.scenario, result.contender, result.seed, result.missing], ['delay', '150 ms', 'native-chromium', 3, []]);
  assert.ok(result.valid === (result.invalid_reason === undefined) && result.lateness.packets > 0, JSON.stringify(result.lateness));
  assert.ok(result.others_cpu_cores >= 0);
  assert.match(result.versions.parlor, /^parlor \d/);
  assert.match(result.versions.chromium, /^\d+\./);
  for (const name of ['video_delay_p50_ms', 'mouth_to_ear_p50_ms']) {
    const values = result.figures[name];
    // However busy the machine is, nothing comes sooner than the path lets it.
    assert.ok(values.length === 2 && values.every((ms) => ms > 150 && ms < 3_000), `${name}: ${values}`);
  }
  assert.ok(result.unread_share.every((share) => share < 0.5), `${result.unread_share}`);
});

test('two pages are measured as native peers are, by what each showed and heard', async () => {
  const result = await run({ group: 'capacity', scenario: 'a step', contender: 'chromium-chromium', rules: ['up rate=2Mbps'], steps: [[1, 'up rate=1Mbps']], seconds: 4, settle_seconds: 1, seed: 5 });
  assert.equal(result.failed, undefined, result.invalid_reason);
  const { figures, clock_offsets_ms: offsets, captured_per_second: captured, series } = result;
  for (const name of ['frames_per_second', 'utilisation_2s_share', 'video_delay_peak_ms', 'concealed_share']) assert.equal(figures[name]?.length, 2, `${name}: ${figures[name]}`);
  assert.ok(figures.utilisation_2s_share.every((share) => share > 0 && share < 1.2), `${figures.utilisation_2s_share}`);
  assert.ok(captured.every((rate) => rate > 0 && rate < 31), `${captured}`);
  assert.ok(offsets.length === 4 && offsets.every(Number.isFinite), `${offsets}`);
  assert.ok(series.video_delay_ms.length > 0 && series.arrived_kbps_second.length > 0);
});

test('a contender that there is none of is refused in words', async () => {
  for (const contender of ['native-typewriter', 'native', undefined]) {
    await assert.rejects(run({ group: 'delay', contender }), new RegExp(`no contender ${contender}`));
  }
});

/** These are installed by a run of the loss group only. */
const without = (module) => ({ skip: !isInstalled(module) && `a run of the loss group installs ${module}` });

test('speech that is damaged is scored lower than speech that is not', without('pesq'), () => {
  const own = temporaryFolder();
  try {
    const said = { ...speech(own.folder), firstMs: 0 };
    assert.ok(said.samples.length > 9 * said.rate, 'the sentences last a part and its margin');
    const holes = said.samples.map((sample, index) => (index % 9_600 < 2_400 ? 0 : sample));
    const score = (samples) => pesq(said, { ...said, samples }, 0, 8_000, own.folder, 'test');
    const [whole, damaged, silent] = [score(said.samples), score(holes), score(said.samples.map(() => 0))];
    assert.ok(whole > 4.4 && damaged < 3 && silent < 1.5, `${whole} ${damaged} ${silent}`);
    assert.equal(pesq(said, said, 0, 4_000, own.folder, 'short'), undefined);
    assert.deepEqual(cut({ samples: Float32Array.of(1, 2, 3, 4), rate: 1_000, firstMs: 10 }, 11, 13), { samples: Float32Array.of(2, 3), rate: 1_000 });
  } finally {
    own.remove();
  }
});

const SIZE = { width: 320, height: 180 };
const film = filmOf({ ...SIZE, frames: 8, seed: 4 });

test('a picture is known again among those of the film, with another stamp on it and in worse shape', () => {
  film.forEach((picture, number) => {
    const worse = picture.map((luma, index) => (index < 16 * SIZE.width ? 16 : luma + (index * 7 % 9) - 4));
    assert.equal(bestMatch(worse, film, SIZE), number);
  });
});

test('a picture is like itself, and less so when it is damaged', without('imageio_ffmpeg'), () => {
  const own = temporaryFolder();
  try {
    const { ffmpeg } = prepareFfmpeg();
    const likeness = (change) => {
      const file = path.join(own.folder, 'picture.y4m');
      const picture = Buffer.concat([film[5].subarray(0, SIZE.width * SIZE.height).map(change), Buffer.alloc(SIZE.width * SIZE.height / 2, 128)]);
      writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${SIZE.width} H${SIZE.height} F30:1 C420jpeg\nFRAME\n`), picture]));
      return ssim([file], film, SIZE, ffmpeg, own.folder);
    };
    const [same, coarse] = [likeness((luma) => luma), likeness((luma) => luma & 0xe0)];
    assert.ok(same > 0.99 && coarse < 0.9, `${same} ${coarse}`);
    assert.equal(ssim([], film, SIZE, ffmpeg, own.folder), undefined);
  } finally {
    own.remove();
  }
});
