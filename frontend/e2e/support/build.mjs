// The app as it is published for the web: E2E_DIST where it is built already, or built here.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folder } from './processes.mjs';

const frontend = fileURLToPath(new URL('../..', import.meta.url));

/** Answers with the folder of the build. */
export function build() {
  const given = process.env.E2E_DIST;
  const dist = given ? resolve(given) : join(folder('app'), 'dist');
  if (!given) {
    // What is set for development must not end up in the build: the tests say at run time what to talk to.
    const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('EXPO_PUBLIC_')));
    const expo = join(frontend, 'node_modules', '.bin', 'expo');
    const made = spawnSync(expo, ['export', '--platform', 'web', '--output-dir', dist], {
      cwd: frontend, encoding: 'utf8', env: { ...own, CI: '1', EXPO_NO_TELEMETRY: '1', EXPO_OFFLINE: '1' },
    });
    if (made.status !== 0) throw new Error(`the web build failed:\n${made.stdout ?? ''}${made.stderr ?? made.error}`);
  }
  if (!existsSync(join(dist, 'index.html'))) throw new Error(`there is no web build in ${dist}`);
  return dist;
}
