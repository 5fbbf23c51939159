/** What the lab's mesh measures with: the processes' figures as Linux tells them, and the film that all play. */

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { writeFilm } from '../lab/call/film.mjs';
import { cpuOf, machineCpu, memoryOf, readOwnMb, readStat, treeOf, used } from '../lab/call/processes.mjs';
import { temporaryFolder } from './lib.mjs';

test('a process whose name has spaces and parentheses is read by the last one', () => {
  const rest = 'S 7 1 1 0 -1 4194304 9 0 0 0 250 130 11 12 20 0 1 0 100 1 1';
  assert.deepEqual(readStat(`42 (a) b (c) ${rest}`), { parent: 7, seconds: 3.8 });
  assert.throws(() => readStat('nothing'));
  assert.throws(() => readStat('42 (short) S 7'));
});

test('memory that no file holds is counted, and a share of what is shared', () => {
  const rollup = ['Rss:  9000 kB', 'Pss_Anon:  1024 kB', 'Pss_File:  5000 kB', 'Pss_Shmem:  1024 kB', 'Private_Clean:  700 kB', 'SwapPss:  1024 kB', ''].join('\n');
  assert.equal(readOwnMb(rollup), 3);
  assert.throws(() => readOwnMb('Rss: 9000 kB\nSwapPss:  0 kB\n'), 'of an older kernel, which tells no more');
});

test('a tree is who was started by it, by whoever it started, and nobody else', () => {
  const processes = new Map([[1, 0], [5, 1], [6, 5], [7, 6], [8, 1]].map(([id, parent]) => [id, { parent }]));
  assert.deepEqual(treeOf(5, processes), [5, 6, 7]);
  assert.deepEqual(treeOf(9, processes), []);
});

test('what began in between counts whole, and what ended nothing', () => {
  assert.equal(used(new Map([[1, 2], [2, 5]]), new Map([[1, 3], [3, 0.5]])), 1.5);
});

test('a child that counts is seen to use the processor and memory of its parent’s tree', async () => {
  const child = spawn(process.execPath, ['-e', 'const kept = Buffer.alloc(64e6, 1); const until = process.cpuUsage().user + 300e3; while (process.cpuUsage().user < until); console.log(kept[0]); setInterval(() => {}, 1e6)'], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [before, machine] = [cpuOf([process.pid, child.pid]), machineCpu()];
    await once(child.stdout, 'data');
    const [whole, alone] = cpuOf([process.pid, child.pid]).map((after, index) => used(before[index], after));
    assert.ok(alone >= 0.2 && whole >= alone, `${alone} of ${whole} s`);
    assert.ok(machineCpu() - machine >= 0.2);
    assert.ok(memoryOf([child.pid])[0] > 60);
  } finally {
    child.kill();
    await once(child, 'exit');
  }
});

test('the film has the size it says, moves, and cannot be compressed away', () => {
  const { folder, remove } = temporaryFolder();
  try {
    const file = path.join(folder, 'film.y4m');
    writeFilm(file, { width: 160, height: 96, frames: 3, seed: 1 });
    const film = readFileSync(file);
    const header = film.indexOf('\n') + 1;
    const size = 160 * 96 * 3 / 2 + 'FRAME\n'.length;
    assert.match(film.toString('latin1', 0, header), /^YUV4MPEG2 W160 H96 F30:1 /);
    assert.equal(film.length, header + 3 * size);
    const [first, second] = [0, 1].map((number) => film.subarray(header + number * size, header + (number + 1) * size));
    const changed = first.filter((byte, index) => byte !== second[index]).length;
    assert.ok(changed > size / 5, `${changed} of ${size} bytes changed`);
    assert.ok(gzipSync(first).length > size / 3);
  } finally {
    remove();
  }
});

test('a room of a native peer and a page is measured at both', async () => {
  const wanted = { group: 'mesh', scenario: '2 peers', contender: 'mixed', peers: 2, seconds: 1, seed: 3 };
  const { stdout } = await promisify(execFile)(process.execPath, [fileURLToPath(new URL('../lab/call/mesh.mjs', import.meta.url)), JSON.stringify(wanted)]);
  const result = JSON.parse(stdout.trim().split('\n').at(-1));
  assert.equal(result.failed, undefined, result.invalid_reason);
  assert.ok(result.valid === (result.invalid_reason === undefined));
  const { figures } = result;
  for (const name of ['encodes_per_frame', 'process_cpu_cores', 'memory_mb', 'captured_frames_per_second', 'sent_kbps_to_each']) {
    assert.ok(figures[name]?.length === 2 && figures[name].every((value) => value > 0), `${name}: ${figures[name]}`);
  }
  assert.ok(figures.sender_cpu_cores.length === 1 && figures.shown_share[0] > 0, JSON.stringify(figures));
});
