/** The page's modules are sound JavaScript by their own JSDoc types. */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('tsc --checkJs --strict has nothing to say', () => {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const compiler = path.join(here, 'node_modules/typescript/bin/tsc');
  const { status, stdout, stderr } = spawnSync(process.execPath, [compiler, '-p', path.join(here, '../../assets/web/jsconfig.json')], { encoding: 'utf8' });
  assert.equal(status, 0, `${stdout}${stderr}`);
});
