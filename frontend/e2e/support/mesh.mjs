// The mesh under test: processes of the real program, each an edge with an API, on one log. The first holds NATS.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { project } from './emulator.mjs';
import { Gateway } from './gateway.mjs';
import { folder, freePorts, Program } from './processes.mjs';

/** The one that the app uses with a developer's own server. */
const secret = 'local-development-secret';

function binary() {
  const given = process.env.VIBEMESH_BIN;
  const path = given ? resolve(given) : fileURLToPath(new URL('../../../bin/vibemesh', import.meta.url));
  if (!existsSync(path)) throw new Error(`there is no ${path}: run make build, or name the program in VIBEMESH_BIN`);
  return path;
}

export class Mesh {
  #bin = binary();
  #dir = folder('mesh');
  #settings;
  #nodes = [];
  #gateways = [];
  #sockets = 0;
  #requests = 0;

  /** origin: of the pages that may connect. */
  constructor({ edges, origin, emulator }) {
    this.size = edges;
    this.#settings = {
      PATH: process.env.PATH, HOME: this.#dir, WS_AUTH: 'firebase', FIREBASE_PROJECT_ID: project, FIREBASE_AUTH_EMULATOR_HOST: emulator.host,
      WS_PUBLISH_SECRET: secret, WS_ALLOWED_ORIGINS: origin, WS_DATA_DIR: `${this.#dir}/data`,
    };
  }

  /** Starts all of it; after a kill, where it was. */
  async start() {
    if (this.#nodes.length === 0) await this.#plan();
    await Promise.all(this.#nodes.map((node) => this.#run(node)));
  }

  async #run(node) {
    node.program = new Program(node.env.WS_NODE, this.#bin, ['run'], { cwd: this.#dir, env: node.env });
    await node.program.ready(`http://${node.env.WS_OPS_ADDR}/readyz`, 60_000);
  }

  async #plan() {
    const [nats, ...ports] = (await freePorts(1 + 2 * this.size)).map((port) => `127.0.0.1:${port}`);
    this.#nodes = Array.from({ length: this.size }, (_, n) => ({
      url: `http://${ports[2 * n]}`,
      port: Number(ports[2 * n].split(':')[1]),
      env: {
        ...this.#settings, WS_NODE: `edge-${n + 1}`, WS_ADDR: ports[2 * n], WS_OPS_ADDR: ports[2 * n + 1],
        ...(n === 0 ? { WS_NATS_LISTEN: nats } : { WS_NATS_URL: `nats://${nats}` }),
      },
    }));
  }

  /** Kills one process as a power cut would, by its node's name; or all of them, and NATS with them. */
  async kill(name) {
    const killed = this.#nodes.filter((node) => !name || node.env.WS_NODE === name);
    await Promise.all(killed.map((node) => node.program?.kill()));
  }

  revive(name) {
    return this.#run(this.#nodes.find((node) => node.env.WS_NODE === name));
  }

  /** A way to the mesh for one device. Sockets go to the edges in turn, so that those of three devices are on three. */
  async gateway() {
    const gateway = await Gateway.open((upgrade) => {
      const first = upgrade ? this.#sockets++ : 0;
      return this.#nodes.map((_, n) => this.#nodes[(first + n) % this.size].port);
    });
    this.#gateways.push(gateway);
    return gateway;
  }

  /** Publishes a toast. to: {user}, {users}, {topic}, or everybody. */
  toast(fields, to) {
    return this.#post('toast', { ...(typeof fields === 'string' ? { title: fields } : fields), ...(to && { to }) });
  }

  /** Publishes a batch, of any types. */
  events(events) {
    return this.#post('events', { events });
  }

  /** Marks events as read, as their person. */
  read(token, ids) {
    return this.#post('read', { read: ids }, { Authorization: `Bearer ${token}` });
  }

  /** Ends the sessions of a person, as an operator does. */
  disconnect(user) {
    return this.#post('disconnect', { user, reason: 'house rules' });
  }

  async #post(route, body, headers = { 'X-SV-KEY': secret }) {
    const running = this.#nodes.filter((node) => node.program.running);
    const { url } = running[this.#requests++ % running.length];
    const answer = await fetch(`${url}/api/v1/ws/${route}`, { method: 'POST', headers, body: JSON.stringify(body) });
    assert.ok(answer.ok, `${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  }

  async stop() {
    for (const gateway of this.#gateways) gateway.close();
    await this.kill();
  }
}
