// A server that does as it is told, for clients under fake timers.
import { afterEach, beforeEach, expect, vi } from 'vitest';
import { createClient } from '../src/index.js';
import type { Client, ClientEvents, ClientOptions, Conditions, Environment } from '../src/index.js';

/** One connection, as the client has opened it. */
export class FakeSocket {
  static all: FakeSocket[] = [];
  static get last(): FakeSocket {
    const last = FakeSocket.all.at(-1);
    if (!last) throw new Error('no connection was opened');
    return last;
  }

  readyState = 0;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  /** What the client has sent. */
  sent: string[] = [];
  /** The code with which the client has closed it. */
  closed: number | undefined;

  constructor(
    readonly url: string,
    readonly protocols: string[] = [],
  ) {
    FakeSocket.all.push(this);
  }

  send(data: string): void {
    if (this.readyState !== 1) throw new Error('sent on a connection that is not open');
    this.sent.push(data);
  }

  close(code?: number): void {
    this.readyState = 3;
    this.closed ??= code;
  }

  get frames(): Record<string, unknown>[] {
    return this.sent.map((text) => JSON.parse(text) as Record<string, unknown>);
  }

  /** The value of a parameter of the connect URL. */
  param(name: string): string | null {
    return new URL(this.url).searchParams.get(name);
  }

  open(): this {
    this.readyState = 1;
    return this;
  }

  /** Says a frame, or any other data. */
  say(...messages: unknown[]): this {
    for (const m of messages) {
      const data = typeof m === 'string' || m instanceof ArrayBuffer ? m : JSON.stringify(m);
      this.onmessage?.({ data } as never);
    }
    return this;
  }

  /** Ends as the server, or the network (1006), does. */
  end(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code } as never);
  }
}

export const hello = (fields: object = {}) => ({
  type: 'hello', session: 's', node: 'edge-0', cursor: 'C0', resumed: false, ping: 60, expires: Math.floor(Date.now() / 1000) + 3900, ...fields,
});

/** The n-th event of a log. */
export const event = (n: number, fields: object = {}) => ({
  type: 'toast', id: idOf(n), cursor: `C${n}`, ts: 1_700_000_000_000 + n, to: 'user', payload: { title: `Event ${n}` }, ...fields,
});

export const idOf = (n: number) => `0-midc1z40-${n.toString(36)}`;

/** Conditions that a test changes. */
export class FakeEnvironment implements Environment {
  now: Conditions = { online: true, active: true };
  #listeners = new Set<(now: Conditions) => void>();

  subscribe(on: (now: Conditions) => void): () => void {
    this.#listeners.add(on);
    on(this.now);
    return () => void this.#listeners.delete(on);
  }

  set(change: Partial<Conditions>): void {
    this.now = { ...this.now, ...change };
    for (const on of this.#listeners) on(this.now);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

/** Fake time, and waits that are half of their limit. */
export function fakeTime(): void {
  beforeEach(() => {
    vi.useFakeTimers({ now: 1_700_000_000_000 });
    vi.spyOn(Math, 'random').mockReturnValue(0.5);
    FakeSocket.all = [];
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** Lets time pass; 0: what is due now. */
export const pass = (ms = 0) => vi.advanceTimersByTimeAsync(ms);

export interface Made {
  client: Client;
  /** Whatever the client has told, in order. */
  told: [keyof ClientEvents, unknown][];
  /** What it told of one kind. */
  of<K extends keyof ClientEvents>(kind: K): ClientEvents[K][];
}

export const KINDS = ['state', 'hello', 'event', 'gap', 'read', 'signal', 'topics', 'error', 'pending', 'forget'] as const;

export function make(options: Partial<ClientOptions> = {}): Made {
  const client = createClient({
    url: 'https://mesh.example', user: 'ada', token: async () => 'T1', WebSocket: FakeSocket, fetch: () => Promise.reject(new Error('no fetch')), ...options,
  });
  const told: Made['told'] = [];
  for (const kind of KINDS) client.on(kind, (e) => void told.push([kind, e]));
  return { client, told, of: (kind) => told.filter(([k]) => k === kind).map(([, e]) => e) as never };
}

/** Starts a client and greets it. */
export async function live(made: Made, fields: object = {}): Promise<FakeSocket> {
  made.client.start();
  return greet(fields);
}

/** Greets the newest connection. */
export async function greet(fields: object = {}): Promise<FakeSocket> {
  await pass();
  const socket = FakeSocket.last;
  expect(socket.readyState, 'a new connection').toBe(0);
  socket.open().say(hello(fields));
  await pass();
  return socket;
}
