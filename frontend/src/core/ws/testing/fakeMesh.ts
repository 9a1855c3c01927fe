import { act } from '@testing-library/react-native';
import type { Store } from '../types';

/** A socket that a test holds the other end of. */
export class FakeSocket {
  readyState = 0;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onerror: (() => void) | null = null;
  /** The close code that the client gave. */
  closed: number | undefined;
  readonly sent: Record<string, unknown>[] = [];

  constructor(readonly url: string, readonly protocols: string[]) {
    mesh.sockets.push(this);
  }

  /** The token that the client came with. */
  get token(): string | undefined {
    return this.protocols[1]?.replace('bearer.', '');
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(code?: number): void {
    this.closed = code;
    this.readyState = 3;
  }

  /** Sends frames to the client. */
  async says(...frames: object[]): Promise<void> {
    await act(async () => {
      for (const frame of frames) this.onmessage?.({ data: JSON.stringify(frame) });
    });
  }

  async greets(hello: object = {}): Promise<void> {
    this.readyState = 1;
    const expires = Math.floor(Date.now() / 1000) + 3600;
    await this.says({ type: 'hello', session: 's', node: 'n', cursor: 'c0', resumed: false, ping: 60, expires, unread: 0, ...hello });
    await settle(); // by now the history was read; what comes later is newer
  }

  async ends(code: number): Promise<void> {
    await act(async () => this.onclose?.({ code }));
  }
}

/** What the client of a test meets. */
export const mesh = {
  sockets: [] as FakeSocket[],
  /** The socket that was opened last. */
  get socket(): FakeSocket {
    const last = mesh.sockets.at(-1);
    if (!last) throw new Error('no socket was opened');
    return last;
  },
  open: () => mesh.sockets.filter((socket) => socket.closed === undefined),
};

/** Puts the fake in the place of the platform's WebSocket and fetch, until the test is over. */
export function installFakeMesh(): void {
  const real = { WebSocket: globalThis.WebSocket, fetch: globalThis.fetch };
  beforeEach(() => {
    mesh.sockets.length = 0;
    const answer = { ok: true, status: 200, headers: new Headers(), json: async () => ({ events: [], unread: 0 }), text: async () => '{"events":[],"unread":0}' };
    Object.assign(globalThis, { WebSocket: FakeSocket, fetch: jest.fn(async () => answer) });
  });
  afterEach(() => {
    Object.assign(globalThis, real);
  });
}

/** Lets happen what is promised, and what waits for a moment only. Needs fake timers. */
export async function settle(): Promise<void> {
  await act(async () => jest.advanceTimersByTimeAsync(100));
}

/** A store whose content a test can read. */
export function openStore(content: Record<string, string> = {}): Store & { content: Record<string, string> } {
  return {
    content,
    get: async (key) => content[key] ?? null,
    set: async (key, value) => {
      content[key] = value;
    },
    remove: async (key) => {
      delete content[key];
    },
  };
}

let seq = 0;

/** An event as the mesh sends it; each has an id of its own. */
export function event(fields: object = {}) {
  const n = ++seq;
  return { type: 'toast', id: `0-life-${n.toString(36)}`, cursor: `c${n}`, ts: 1_700_000_000_000 + n, to: 'user', payload: { title: `Event ${n}` }, ...fields };
}
