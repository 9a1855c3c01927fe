// The Firebase Auth emulator, the one of test/firebase, and the people in it.
import { randomBytes } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folder, freePorts, Program } from './processes.mjs';

const cli = fileURLToPath(new URL('../../../test/firebase/node_modules/firebase-tools/lib/bin/firebase.js', import.meta.url));

/** The project that everybody is of. Names that begin with demo- never lead to Firebase itself. */
export const project = 'demo-vibemesh';

export class Emulator {
  #program;
  #people = 0;

  async start() {
    if (!existsSync(cli)) throw new Error('the Firebase emulator is not installed; run npm ci --ignore-scripts in test/firebase');
    const dir = folder('auth');
    const [auth, hub, logging] = await freePorts(3);
    const at = (port) => ({ host: '127.0.0.1', port });
    const emulators = { auth: at(auth), hub: at(hub), logging: at(logging), ui: { enabled: false }, singleProjectMode: true };
    writeFileSync(join(dir, 'firebase.json'), JSON.stringify({ emulators }));
    // CI: no questions and no usage statistics; the rest: nothing is left in anybody's home.
    const env = { ...process.env, CI: '1', XDG_CONFIG_HOME: dir, TMPDIR: dir, NO_UPDATE_NOTIFIER: '1' };
    this.#program = new Program('the Firebase emulator', process.execPath, [cli, 'emulators:start', '--only', 'auth', '--project', project], { cwd: dir, env });
    this.host = `127.0.0.1:${auth}`;
    this.url = `http://${this.host}`;
    await this.#program.ready(this.url, 90_000);
  }

  /** Somebody who has an account, and whom no other test knows. */
  async person(name = 'ada', email = `${name}.${++this.#people}@example.com`) {
    const account = { email, password: randomBytes(9).toString('base64url') };
    const { localId, idToken } = await this.#post('accounts:signUp?key=any', { ...account, returnSecureToken: true });
    return { ...account, id: localId, token: idToken };
  }

  async #post(path, body) {
    this.#program.expectRunning();
    const answer = await fetch(`${this.url}/identitytoolkit.googleapis.com/v1/${path}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`the emulator answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }

  async stop() {
    await this.#program?.kill();
  }
}
