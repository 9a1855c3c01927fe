// The golden vectors of the protocol, as far as they concern a client.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isRead, retryAfterClose, type ReadChange } from '../src/index.js';
import { decodeFrame, isOwn, isTopic } from '../src/frames.js';
import { isEventId } from '../src/ids.js';
import { fakeTime, greet, live, make, pass } from './fake.js';

interface Vector {
  name: string;
  text?: string;
  parts?: [string, number][];
  base64?: string;
  frame?: Record<string, unknown>;
  code?: number | string;
  retry?: string;
  is_read?: string[];
  is_unread?: string[];
}

const folder = new URL('../../../../internal/wire/testdata/vectors/', import.meta.url);
const read = (file: string) => JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Record<string, Vector[]>;
const textOf = (v: Vector) => v.text ?? v.parts?.map(([text, times]) => text.repeat(times)).join('') ?? '';

/** The vectors of one list; a list that is gone is a failure, not nothing to do. */
function list(file: Record<string, Vector[]>, name: string): Vector[] {
  const vectors = file[name];
  if (!vectors?.length) throw new Error(`there is no list ${name}`);
  return vectors;
}

describe('server frames', () => {
  const file = read('server_frames.json');
  it.each([...list(file, 'good'), ...list(file, 'tolerated')])('$name', (v) => {
    expect(decodeFrame(textOf(v))).toEqual(v.frame);
  });
  it.each(list(file, 'malformed'))('malformed: $name', (v) => {
    expect(decodeFrame(textOf(v))).toBeUndefined();
  });
  it('tells its own frames from events', () => {
    for (const v of list(file, 'good')) {
      const frame = decodeFrame(textOf(v));
      expect(frame && isOwn(frame), v.name).toBe(!('id' in (v.frame ?? {})));
    }
  });
});

describe('client frames', () => {
  fakeTime();
  const file = read('client_frames.json');

  /** Has a client say what a vector's frame says. */
  async function said(frame: Record<string, unknown>): Promise<string[]> {
    const made = make({ token: async (fresh) => (fresh ? String(frame.token) : 'T1') });
    const { client } = made;
    const { type, topic, name, payload, ...change } = frame as { type: string; topic: string; name: string; payload?: Record<string, unknown> };
    if (type === 'unsubscribe') client.join(topic);
    const socket = await live(made, { ping: 10 });
    socket.sent.length = 0;
    if (type === 'ping') await pass(10_000);
    if (type === 'auth') socket.say({ type: 'auth', expires: 1 });
    if (type === 'subscribe') client.join(topic);
    if (type === 'unsubscribe') client.leave(topic);
    if (type === 'signal') expect(client.signal(topic, name, payload)).toBe(true);
    if (type === 'read') client.read(change as ReadChange);
    await pass();
    const { sent } = socket;
    client.stop();
    return sent;
  }

  // A change of several kinds is several frames of this client; each is as the protocol has it.
  const several = 'all of it';
  it.each(list(file, 'good').filter((v) => v.name !== several))('$name', async (v) => {
    expect(await said(v.frame ?? {})).toEqual([textOf(v)]);
  });

  it(several, async () => {
    const vector = list(file, 'good').find((v) => v.name === several);
    const { up_to, read, unread } = vector?.frame as ReadChange;
    const made = make();
    const socket = await live(made);
    made.client.read({ up_to, read, unread });
    for (let i = 0; i < 3; i++) {
      await pass();
      socket.say({ type: 'read', cursor: 'C1', up_to: [up_to], unread: i === 2 ? unread : [] , read });
    }
    expect(socket.sent).toEqual([
      JSON.stringify({ type: 'read', up_to }), JSON.stringify({ type: 'read', read }), JSON.stringify({ type: 'read', unread }),
    ]);
  });

  it('sends nothing that is refused', async () => {
    const made = make();
    const socket = await live(made);
    let tried = 0;
    for (const v of list(file, 'refused')) {
      let frame: unknown;
      try {
        frame = JSON.parse(textOf(v));
      } catch {
        continue;
      }
      const { type, topic, name, payload, ...change } = (frame ?? {}) as { type: string; topic: string; name: string; payload?: Record<string, unknown> };
      if (type === 'subscribe' && typeof topic === 'string') made.client.join(topic);
      else if (type === 'signal') expect(made.client.signal(topic ?? '', name ?? '', payload), v.name).toBe(false);
      else if (type === 'read' && v.name !== 'read of too many') made.client.read(change as ReadChange);
      else continue;
      tried++;
    }
    expect(tried).toBeGreaterThan(10);
    await pass(1_000);
    expect(socket.sent).toEqual([]);
    expect(made.of('error').every((e) => e.source === 'client' && e.code === 'refused')).toBe(true);
  });

  it('cuts a change that names too many events', async () => {
    const made = make();
    const socket = await live(made);
    made.client.read({ read: Array.from({ length: 257 }, (_, i) => `0-1-${(i + 1).toString(36)}`) });
    await pass();
    expect(socket.frames.map((f) => (f.read as string[]).length)).toEqual([256]);
    socket.say({ type: 'read', cursor: 'C', up_to: ['0-1-zzz'] });
    await pass();
    expect(socket.frames.map((f) => (f.read as string[]).length)).toEqual([256, 1]);
  });

  it('knows what a topic is', () => {
    expect(isTopic('a'.repeat(128))).toBe(true);
    expect(isTopic('€'.repeat(43))).toBe(false);
    expect(isTopic('\ud800')).toBe(false);
  });
});

describe('closes', () => {
  const file = read('closes.json');
  it.each([...list(file, 'registered'), ...list(file, 'others')])('$code', ({ code, retry }) => {
    expect(retryAfterClose(Number(code))).toBe(retry);
  });
});

describe('closes of a live session', () => {
  fakeTime();
  const file = read('closes.json');
  it.each([...list(file, 'registered'), ...list(file, 'others')])('$code: $retry', async ({ code, retry }) => {
    let n = 0;
    const made = make({ token: async () => `T${n++}` });
    const socket = await live(made);
    socket.end(Number(code));
    const expected = retry === 'never' ? 'stopped' : retry === 'changed' && code !== 4401 ? 'refused' : 'waiting';
    expect(made.client.state).toBe(expected);
    expect(made.client.closeCode).toBe(code);
    if (expected === 'waiting') {
      await pass(30_000);
      await greet();
      expect(made.client.state).toBe('live');
    }
    made.client.stop();
  });
});

describe('event ids', () => {
  const file = read('event_ids.json');
  it.each(list(file, 'good'))('$name', (v) => expect(isEventId(textOf(v))).toBe(true));
  it.each(list(file, 'malformed'))('malformed: $name', (v) => expect(isEventId(textOf(v))).toBe(false));
});

describe('read states', () => {
  it.each(list(read('read_states.json'), 'frames'))('$name', ({ frame, is_read, is_unread }) => {
    expect(decodeFrame(JSON.stringify(frame))).toEqual(frame);
    for (const id of is_read ?? []) expect(isRead(frame ?? {}, id), id).toBe(true);
    for (const id of is_unread ?? []) expect(isRead(frame ?? {}, id), id).toBe(false);
  });
});
