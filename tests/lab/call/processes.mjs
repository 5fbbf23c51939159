/**
 * What a process and all that it started cost, from /proc (Linux): processor time and memory of their own.
 */

import { readFileSync, readdirSync } from 'node:fs';

/** The kernel counts in hundredths of a second, whatever it runs at (USER_HZ). */
const TICKS_PER_SECOND = 100;

/**
 * One process of /proc/PID/stat (proc_pid_stat(5)). The name may hold spaces and parentheses: what counts is the last one.
 * @param {string} text
 */
export function readStat(text) {
  const close = text.lastIndexOf(')');
  const fields = text.slice(close + 2).split(' ');
  const [parent, user, system] = [1, 11, 12].map((index) => Number(fields[index]));
  if (close < 0 || ![parent, user, system].every(Number.isFinite)) throw new Error(`no process: ${text.slice(0, 80)}`);
  return { parent, seconds: (user + system) / TICKS_PER_SECOND };
}

/**
 * Memory that no file holds, in MB, of /proc/PID/smaps_rollup (proc_pid_smaps(5)): what is shared is divided among those who do. Pages of
 * a program's own file are left out: whoever runs it alone would seem to need more than each of many.
 * @param {string} text
 */
export function readOwnMb(text) {
  const kilobytes = [...text.matchAll(/^(?:Pss_Anon|Pss_Shmem|SwapPss): +(\d+) kB$/gm)].map((match) => Number(match[1]));
  if (!text.includes('\nPss_Anon:')) throw new Error('no memory is told');
  return kilobytes.reduce((sum, value) => sum + value, 0) / 1024;
}

/** A process and all below it. @param {number} root @param {Map<number, {parent: number}>} processes */
export function treeOf(root, processes) {
  const tree = processes.has(root) ? [root] : [];
  // Grows while it is walked.
  for (const id of tree) for (const [child, { parent }] of processes) if (parent === id) tree.push(child);
  return tree;
}

function allProcesses() {
  const processes = new Map();
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      processes.set(Number(entry), readStat(readFileSync(`/proc/${entry}/stat`, 'utf8')));
    } catch { /* It has ended since. */ }
  }
  return processes;
}

/** Processor time so far of each of these processes and all below them. @param {number[]} roots @returns {Map<number, number>[]} by process id */
export function cpuOf(roots) {
  const processes = allProcesses();
  return roots.map((root) => new Map(treeOf(root, processes).map((id) => [id, processes.get(id).seconds])));
}

/** What was used between two looks: of a process that came in between all, of one that went nothing. @param {Map<number, number>} before @param {Map<number, number>} after */
export function used(before, after) {
  let seconds = 0;
  for (const [id, at] of after) seconds += at - (before.get(id) ?? 0);
  return seconds;
}

/** Memory of its own in MB, of each of these processes and all below them. @param {number[]} roots */
export function memoryOf(roots) {
  const processes = allProcesses();
  const rollupOf = (id) => {
    try {
      return readFileSync(`/proc/${id}/smaps_rollup`, 'utf8');
    } catch {
      // It has ended since, or is one of the kernel's.
      return null;
    }
  };
  const rollups = (root) => treeOf(root, processes).map(rollupOf).filter((rollup) => rollup !== null);
  return roots.map((root) => rollups(root).reduce((sum, rollup) => sum + readOwnMb(rollup), 0));
}

/** What all of the machine used so far, in seconds of one core (proc_stat(5)). */
export function machineCpu() {
  const [user, nice, system, , , irq, softirq, steal] = /^cpu +(.*)$/m.exec(readFileSync('/proc/stat', 'utf8'))[1].split(' ').map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}
