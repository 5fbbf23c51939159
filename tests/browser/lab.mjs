/**
 * A network with faults between the people of a test (tests/lab/net): clients open its address instead of the server's.
 *
 * Environment: PARLOR_LAB_NET (the program, needed).
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { PATIENCE_MS } from './lib.mjs';

/** What Chromium needs so that its candidates can be rewritten. */
export const LAB_FLAGS = ['--disable-features=WebRtcHideLocalIpsWithMdns'];

/**
 * Starts it before a server.
 * @param {{url: string}} server @param {string[]} [args] such as ['--up', 'loss=10%']
 */
export async function startLab(server, args = []) {
  const binary = process.env.PARLOR_LAB_NET;
  if (!binary) throw new Error('PARLOR_LAB_NET must name the parlor-lab-net binary');
  const child = spawn(binary, ['--server', server.url, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = new Promise((resolve) => { child.once('exit', resolve); });
  /** Those who wait for the next line, first come, first served. @type {((line: string) => void)[]} */
  const waiting = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(line));
  const nextLine = () => new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the lab is silent')), PATIENCE_MS);
    waiting.push((line) => { clearTimeout(timer); resolve(line); });
  });
  /** @param {string} command */
  const ask = async (command) => {
    const answer = nextLine();
    child.stdin.write(`${command}\n`);
    return JSON.parse(await answer);
  };
  const url = /^listening on (\S+)$/.exec(await nextLine())?.[1];
  assert.ok(url, 'the lab tells where it listens');
  return {
    url,
    /** Changes the network from now on. @param {string} rule such as `Ana: down loss=10%` */
    async apply(rule) { assert.equal((await ask(rule)).event, 'applied'); },
    /** Lateness counts from now on. */
    async measure() { assert.equal((await ask('measure')).event, 'measuring'); },
    /** What the network did so far. */
    async report() { return ask('report'); },
    async stop() {
      if (child.exitCode === null) child.stdin.write('stop\n');
      await exited;
    },
  };
}
