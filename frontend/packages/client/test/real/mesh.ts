// The real program, run in a folder of its own on a free port, which it keeps over restarts.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const SECRET = 'the secret of this test';

/** The program: VIBEMESH_BIN, or what `make build` makes. Its absence is a failure. */
function program(): string {
  const path = process.env.VIBEMESH_BIN ?? fileURLToPath(new URL('../../../../../bin/vibemesh', import.meta.url));
  if (!existsSync(path)) throw new Error(`there is no program at ${path}: run "make build", or name one by VIBEMESH_BIN`);
  return path;
}

export interface Published {
  id: string;
}

export class Mesh {
  url = '';
  #child: ChildProcess | undefined;
  #dir = mkdtempSync(join(tmpdir(), 'vibemesh-client-'));

  private constructor(readonly settings: Record<string, string>) {}

  static async run(settings: Record<string, string> = {}): Promise<Mesh> {
    const mesh = new Mesh(settings);
    await mesh.start();
    return mesh;
  }

  async start(): Promise<void> {
    const env = {
      PATH: process.env.PATH ?? '', HOME: this.#dir, WS_AUTH: 'dev', WS_ADDR: this.url ? new URL(this.url).host : '127.0.0.1:0', WS_OPS_ADDR: '',
      WS_NATS_LISTEN: '', WS_DATA_DIR: join(this.#dir, 'data'), WS_LOG_FORMAT: 'json', WS_PUBLISH_SECRET: SECRET, WS_DRAIN_TIMEOUT: '1s', ...this.settings,
    };
    const child = spawn(program(), ['run'], { env, cwd: this.#dir, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.url = `http://${await listening(child)}`;
  }

  /** Ends it as a power cut would. */
  kill = () => this.#end('SIGKILL');

  /** Asks it to stop: it drains its sessions. */
  stop = () => this.#end('SIGTERM');

  /** Stops its world, and lets it go on. */
  freeze = () => this.#child?.kill('SIGSTOP');
  thaw = () => this.#child?.kill('SIGCONT');

  /** Loses the log. */
  wipe(): void {
    rmSync(join(this.#dir, 'data'), { recursive: true });
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** Publishes a toast; to everybody, unless `to` says otherwise. */
  async toast(title: string, rest: object = {}): Promise<Published> {
    const answer = await fetch(`${this.url}/api/v1/ws/toast`, {
      method: 'POST', headers: { 'X-SV-KEY': SECRET, 'Content-Type': 'application/json' }, body: JSON.stringify({ title, ...rest }),
    });
    if (!answer.ok) throw new Error(`publishing failed: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as Published;
  }
}

/** The address of the listener that serves clients, as the program logs it. */
async function listening(child: ChildProcess): Promise<string> {
  let log = '';
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the program does not listen after 30 s:\n${log}`)), 30_000);
    child.on('error', reject);
    child.on('exit', (code, signal) => reject(new Error(`the program ended (${code ?? signal}):\n${log}`)));
    for (const stream of [child.stdout, child.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        if (log.length < 100_000) log += `${line}\n`;
        const addr = /"msg":"listening".*"addr":"([^"]+)".*"edge":true/.exec(line)?.[1];
        if (!addr) return;
        clearTimeout(timer);
        resolve(addr);
      });
    }
  });
}

/** A development token, as the Auth emulator writes it. */
export function mint(user: string, seconds = 3_600, claims: object = {}): string {
  const text = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const project = 'demo-vibemesh';
  const body = {
    iss: `https://securetoken.google.com/${project}`, aud: project, sub: user, user_id: user, iat: now, auth_time: now, exp: now + seconds,
    firebase: { identities: {}, sign_in_provider: 'custom' }, ...claims,
  };
  return `${text({ alg: 'none', typ: 'JWT' })}.${text(body)}.`;
}
