// All that the tests need, started once: the built app, the mesh, the emulator and the browser.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { build } from './build.mjs';
import { Device } from './device.mjs';
import { Emulator } from './emulator.mjs';
import { Mesh } from './mesh.mjs';
import { page as pageAt, servePages } from './pages.mjs';

class World {
  emulator = new Emulator();
  meshes = [];

  async open() {
    const emulator = this.emulator.start();
    this.dist = await build();
    this.pages = await servePages(this.dist);
    this.origin = this.pages.origin;
    await emulator;
    [this.mesh] = await Promise.all([this.startMesh(3), this.#launch()]);
  }

  /** Starts a mesh of so many edges; it stops with the world. */
  async startMesh(edges) {
    const mesh = new Mesh({ edges, origin: this.origin, emulator: this.emulator });
    this.meshes.push(mesh);
    await mesh.start();
    return mesh;
  }

  async #launch() {
    const script = fileURLToPath(new URL('../../../scripts/ensure-chromium', import.meta.url));
    this.browser = await chromium.launch({
      executablePath: execFileSync(script, { encoding: 'utf8' }).trim(),
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
        '--disable-background-networking', '--disable-component-update', '--disable-sync',
        // A page that a test itself serves comes from nowhere, and could not reach this machine.
        '--disable-features=LocalNetworkAccessChecks'],
    });
  }

  async close() {
    await this.browser?.close();
    this.pages?.close();
    await Promise.all([...this.meshes.map((mesh) => mesh.stop()), this.emulator.stop()]);
  }
}

export const world = new World();

/** The devices of one test. */
export class Stage {
  devices = [];

  constructor() {
    this.mesh = world.mesh;
    this.emulator = world.emulator;
    this.browser = world.browser;
    this.origin = world.origin;
  }

  person(name, email) { return this.emulator.person(name, email); }

  /** Opens the app on a new device; with a person, signed in. */
  async open(options) {
    const device = await Device.open(this, options);
    this.devices.push(device);
    return device;
  }

  /** Gives a device the app's own files from now on, with or without a network. */
  async servePagesTo({ context }) {
    await context.route(`${this.origin}/**`, async (route) => route.fulfill(await pageAt(world.dist, new URL(route.request().url()).pathname)));
  }

  faultless() {
    for (const { faults, person } of this.devices) assert.deepEqual(faults, [], `the page of ${person?.email} has logged errors`);
  }

  /** Where E2E_FAILURES names a folder: what the devices show. */
  async photograph(name) {
    const folder = process.env.E2E_FAILURES;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    const file = (n) => join(folder, `${name.replace(/\W+/g, '-')}-${n + 1}.png`);
    await Promise.allSettled(this.devices.map(({ page }, n) => page.screenshot({ path: file(n) })));
  }

  async close() {
    await Promise.all(this.devices.map(({ context, gateway }) => context.close().then(() => gateway.close())));
  }
}

/** A test with people and devices of its own. No page may log an error. */
export function scenario(name, play, { timeout = 90_000 } = {}) {
  if (!name.includes(process.env.E2E_ONLY ?? '')) return;
  test(name, { timeout }, async (t) => {
    const stage = new Stage();
    stage.note = (text) => t.diagnostic(text);
    try {
      await play(stage);
      stage.faultless();
    } catch (cause) {
      await stage.photograph(name);
      throw cause;
    } finally {
      await stage.close();
    }
  });
}
