/** What the lab takes from PyPI, in a folder of its own (target/lab/venv): installed by the first run that needs it, optional always. */

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const LAB = fileURLToPath(new URL('../../../target/lab', import.meta.url));
const VENV = path.join(LAB, 'venv');
/** The one that has what was installed. */
export const PYTHON = path.join(VENV, 'bin/python');
const INSTALL_TIMEOUT_MS = 300_000;

const run = (name, ...rest) => execFileSync(name, rest, { stdio: ['ignore', 'pipe', 'pipe'], timeout: INSTALL_TIMEOUT_MS });

/** Whether it is there without anything being installed. @param {string} module */
export function isInstalled(module) {
  try {
    run(PYTHON, '-c', `import ${module}`);
    return true;
  } catch {
    return false;
  }
}

/**
 * Sees to it that a package is there; a failure is remembered, so that not each run tries again.
 * @param {string} packages as pip takes them @param {string} module what is imported
 * @returns {string|undefined} why it is not
 */
export function prepared(packages, module) {
  const failure = path.join(LAB, `${module}-is-missing.txt`);
  if (isInstalled(module)) return undefined;
  if (existsSync(failure)) return readFileSync(failure, 'utf8').split('\n')[0];
  try {
    mkdirSync(LAB, { recursive: true });
    if (!existsSync(PYTHON)) run('python3', '-m', 'venv', VENV);
    run(PYTHON, '-m', 'pip', 'install', '--quiet', ...packages.split(' '));
    run(PYTHON, '-c', `import ${module}`);
    return undefined;
  } catch (error) {
    const reason = `${module} can't be had: ${String(error.stderr ?? '').trim().split('\n').at(-1) || error.message}`;
    mkdirSync(LAB, { recursive: true });
    writeFileSync(failure, `${reason}\nRemove this file to try again.\n`);
    return reason;
  }
}
