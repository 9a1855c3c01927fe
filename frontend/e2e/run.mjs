// The demo app, built for the web, in Chromium against the real program and the real Auth emulator.
//
//   npm run e2e          or: node --test e2e/run.mjs
//
// It needs bin/vibemesh (make build), what this folder, test/firebase and test/browser install (npm ci), and a Chromium.
// VIBEMESH_BIN  another program       E2E_DIST      a web build that is there already
// E2E_ONLY      a part of the names of the tests to run
// E2E_FAILURES  a folder for pictures of what failed
// E2E_PICTURES  a folder for the pictures of the app
import { after, before } from 'node:test';
import { world } from './support/world.mjs';

before(() => world.open(), { timeout: 240_000 });
after(() => world.close());

const parts = ['sign-in', 'delivery', 'detail', 'looks', 'layout', 'hostile', 'flood', 'token', 'outage', 'pictures'];
for (const part of parts) await import(`./tests/${part}.mjs`);
