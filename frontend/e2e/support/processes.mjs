// Programs that run beside the tests, and end with them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.mjs';

const running = new Set();
const folders = new Set();

process.on('exit', () => {
  for (const program of running) program.signal();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1)); // otherwise 'exit' is not told

/** A folder of its own, which goes when the tests end. */
export function folder(name) {
  const path = mkdtempSync(join(tmpdir(), `vibemesh-${name}-`));
  folders.add(path);
  return path;
}

/** So many ports that nobody listens on; they are given back all at once, so that they differ. */
export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), 'close')));
  return ports;
}

export class Program {
  #child;
  #output = '';
  #end;

  constructor(name, command, args, { cwd, env }) {
    this.name = name;
    // A process group of its own, so that what it starts ends with it.
    this.#child = spawn(command, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((resolve) => {
      this.#child.on('error', (cause) => resolve(String(cause))).on('exit', (code, signal) => resolve(String(signal ?? code)));
    });
    this.running = true;
    void this.ended.then((how) => {
      this.#end = how;
      this.running = false;
      running.delete(this);
    });
    running.add(this);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.on('data', (data) => { this.#output = (this.#output + data).slice(-20_000); });
    }
  }

  /** Throws when it has ended by itself, with what it said last. */
  expectRunning() {
    if (!this.running) throw new Error(`${this.name} has ended (${this.#end}):\n${this.#output}`);
  }

  /** Waits until an address answers with 200. */
  async ready(url, ms) {
    const answers = async () => {
      this.expectRunning();
      return fetch(url).then((answer) => answer.ok, () => false);
    };
    await until(`${this.name} answers at ${url}`, answers, ms);
  }

  signal(signal = 'SIGKILL') {
    try {
      process.kill(-this.#child.pid, signal);
    } catch {
      // It has ended already, or never began.
    }
  }

  /** Kills it as a power cut would, and waits for its end. */
  async kill() {
    this.signal();
    await this.ended;
  }
}
