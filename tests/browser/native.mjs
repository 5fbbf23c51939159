/**
 * Native headless peers for browser tests.
 *
 * Environment: PARLOR (the program, needed).
 */

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
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
