// The program under test: given by VIBEMESH_URL, or built from this repository
// and run in a folder of its own.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Builds the program, unless VIBEMESH_BIN names one; answers with its path. */
function build(dir) {
  if (process.env.VIBEMESH_BIN) return process.env.VIBEMESH_BIN;
  const bin = join(dir, 'vibemesh');
  const made = spawnSync('go', ['build', '-o', bin, './cmd/vibemesh'], { cwd: root, encoding: 'utf8' });
  if (made.status !== 0) throw new Error(`go build ./cmd/vibemesh failed:\n${made.stderr ?? made.error}`);
  return bin;
}

export class Server {
  /** The running program's URL, such as http://127.0.0.1:8080. */
  url = process.env.VIBEMESH_URL?.replace(/\/$/, '') ?? '';
  /** Whether the program is ours to kill. */
  ours = !process.env.VIBEMESH_URL;

  async start(settings = {}) {
    if (!this.ours) return;
    this.dir ??= mkdtempSync(join(tmpdir(), 'vibemesh-browser-'));
    this.bin ??= build(this.dir);
    const env = {
      PATH: process.env.PATH, HOME: this.dir, WS_AUTH: 'dev', WS_ADDR: this.url ? new URL(this.url).host : '127.0.0.1:0',
      WS_OPS_ADDR: '127.0.0.1:0', WS_NATS_LISTEN: '', WS_DATA_DIR: join(this.dir, 'data'), ...settings,
    };
    this.child = spawn(this.bin, ['run'], { env, cwd: this.dir, stdio: ['ignore', 'pipe', 'pipe'] });
    this.url = await this.listening();
  }

  /** Reads the log until a listener says that it serves the console. */
  async listening() {
    const child = this.child;
    let log = '';
    const found = new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the program does not listen after 30 s:\n${log}`)), 30_000);
      child.on('exit', (code, signal) => reject(new Error(`the program ended (${code ?? signal}):\n${log}`)));
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on('line', async (line) => {
          if (log.length < 100_000) log += `${line}\n`;
          const addr = /\blistening\b/.test(line) && /\baddr"?\s*[=:]\s*"?([^\s",}]+)/.exec(line)?.[1];
          if (!addr) return;
          const answer = await fetch(`http://${addr}/console/config.json`).catch(() => null);
          if (!answer?.ok) return;
          clearTimeout(timer);
          resolve(`http://${addr}`);
        });
      }
    });
    found.catch(() => {}); // after a start, the end is stop's business
    return found;
  }

  /** Kills the program as a power cut would, and waits for its end. */
  async kill() {
    const child = this.child;
    this.child = null;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  async stop() {
    await this.kill();
    if (this.dir) rmSync(this.dir, { recursive: true, force: true });
  }
}
