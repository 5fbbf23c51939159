/**
 * Two networks behind symmetric NATs of their own and a public machine between them, in network namespaces: the same as
 * tests/harness/nat.rs. Needs root, `ip`, `nft`; coturn and the signaling server run on the public machine.
 */

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { PATIENCE_MS, temporaryFolder } from './lib.mjs';

export const PUBLIC = '203.0.113.1';
const SECRET = 'known-to-both';
const ROLES = ['client0', 'client1', 'router0', 'router1', 'public'];

/** Makes the networks; throws, in words, where this machine can't. */
export function makeNats() {
  const prefix = `parlor-web-${process.pid}`;
  const name = (role) => `${prefix}-${role}`;
  const run = (line) => execFileSync(line.split(' ')[0], line.split(' ').slice(1), { stdio: ['ignore', 'pipe', 'pipe'], encoding: 'utf8' });
  const inside = (role, ...command) => ['netns', 'exec', name(role), ...command];
  const remove = () => { for (const role of ROLES) try { run(`ip netns del ${name(role)}`); } catch { /* it was never made */ } };
  const ip = (role, line) => run(`ip -n ${name(role)} ${line}`);
  try {
    for (const role of ROLES) { run(`ip netns add ${name(role)}`); ip(role, 'link set lo up'); }
    ip('public', `addr add ${PUBLIC}/32 dev lo`);
    // The rest of the internet, in which every packet is lost.
    ip('public', 'link add void type veth peer name nowhere');
    ip('public', 'link set void arp off up');
    ip('public', 'link set nowhere up');
    ip('public', 'route add default dev void');
    for (const client of [0, 1]) {
      const [role, router, far, outside, lan] = [`client${client}`, `router${client}`, `198.51.100.${4 * client + 1}`, `198.51.100.${4 * client + 2}`, `192.168.${50 + client}`];
      run(`ip link add home netns ${name(role)} type veth peer name inside netns ${name(router)}`);
      run(`ip link add outside netns ${name(router)} type veth peer name to${client} netns ${name('public')}`);
      ip(role, `addr add ${lan}.2/24 dev home`);
      ip(router, `addr add ${lan}.1/24 dev inside`);
      ip(router, `addr add ${outside}/30 dev outside`);
      ip('public', `addr add ${far}/30 dev to${client}`);
      ip(role, 'link set home up');
      ip(router, 'link set inside up');
      ip(router, 'link set outside up');
      ip('public', `link set to${client} up`);
      ip(role, `route add default via ${lan}.1`);
      ip(router, `route add default via ${far}`);
      execFileSync('ip', inside(router, 'nft', 'table ip nat {\n chain post {\n type nat hook postrouting priority 100;\n oifname "outside" masquerade random,fully-random\n }\n}'), { stdio: 'pipe' });
    }
    for (const role of ['public', 'router0', 'router1']) execFileSync('ip', inside(role, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'), { stdio: 'pipe' });
  } catch (error) {
    remove();
    throw new Error(`no network namespaces can be made here: ${String(error.stderr ?? error).trim()}`);
  }
  return {
    remove,
    /** The addresses of a client's machine that are not loopback, and the one its router shows. */
    addressesOf(client) {
      const own = [...ip(`client${client}`, '-o addr show').matchAll(/inet6? ([^/ ]+)/g)].map(([, address]) => address);
      return [...own.filter((address) => address !== '127.0.0.1' && address !== '::1'), `198.51.100.${4 * client + 2}`];
    },
    /** A command line that runs a program in a network. @param {string} role @param {string[]} command */
    command: (role, command) => ['ip', inside(role, ...command)],
    /** A file that starts a program in the network of a client. @param {string} folder @param {number} client @param {string} program */
    launcher(folder, client, program) {
      const file = path.join(folder, `client${client}`);
      writeFileSync(file, `#!/bin/sh\nexec ip netns exec ${name(`client${client}`)} ${program} "$@"\n`);
      chmodSync(file, 0o755);
      return file;
    },
  };
}

/**
 * Starts a program and waits for a line of its output that fits.
 * @param {[string, string[]]} command @param {RegExp} ready @param {(line: string) => void} [hear] gets each line
 */
async function start([program, args], ready, hear = () => {}) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = new Promise((resolve) => { child.once('exit', resolve); });
  const log = [];
  const giveUp = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  await new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => {
        log.push(line);
        hear(line);
        if (log.length > 200) log.shift();
        if (ready.test(line)) resolve();
      });
    }
    child.once('error', reject);
    exited.then(() => reject(new Error(`${args.join(' ')} ended:\n${log.join('\n')}`)));
  });
  clearTimeout(giveUp);
  return { async stop() { child.kill('SIGKILL'); await exited; } };
}

/** What coturn says of allocations, and for how long they live. */
const ALLOCATION = /: (new|refreshed), realm=<[^>]*>, username=<([^>]*)>, lifetime=(\d+)/;

/**
 * Coturn and the signaling server on the public machine. Allocations live for 22 s, and credentials for 10: new ones are there
 * before the first refresh.
 * @param {ReturnType<typeof makeNats>} nats
 */
export async function startPublicServers(nats) {
  /** @type {{what: string, name: string, at: number}[]} */
  const allocations = [];
  const hear = (line) => {
    const [, what, name, lifetime] = ALLOCATION.exec(line) ?? [];
    if (what && lifetime !== '0') allocations.push({ what, name, at: Date.now() });
  };
  const files = temporaryFolder();
  const file = (name) => path.join(files.folder, name);
  writeFileSync(file('turn-secret'), `${SECRET}\n`);
  if (!process.env.PARLOR_SERVER) throw new Error('PARLOR_SERVER must name the parlor-server binary');
  const coturn = await start(nats.command('public', ['turnserver', '-n', '--no-tls', '--no-dtls', '--no-cli', '--use-auth-secret', '--realm=test', '--fingerprint',
    '--listening-port=3478', '--min-port=50000', '--max-port=50200', '--log-file=stdout', '-v', `--listening-ip=${PUBLIC}`, `--relay-ip=${PUBLIC}`,
    '--no-multicast-peers', '--denied-peer-ip=192.168.0.0-192.168.255.255', `--static-auth-secret=${SECRET}`, `--pidfile=${file('pid')}`, `--userdb=${file('db')}`,
    '--max-allocate-lifetime=22']), /UDP listener opened on/, hear);
  const server = await start(nats.command('public', [process.env.PARLOR_SERVER, '--bind', `${PUBLIC}:8080`, '--ice-server', 'none', '--state-dir', files.folder,
    '--turn-url', `turn:${PUBLIC}:3478`, '--turn-secret-file', file('turn-secret'), '--turn-lifetime-seconds', '10']), /^listening on /);
  return {
    url: `http://${PUBLIC}:8080`,
    folder: files.folder,
    /** Those that were made or refreshed, under whose names and when; an id is the end of its name. */
    allocations,
    async stop() { await server.stop(); await coturn.stop(); files.remove(); },
  };
}
