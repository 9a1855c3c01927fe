// What a client says: topics, signals and what was read.
import { describe, expect, it, vi } from 'vitest';
import { memoryStore } from '../src/index.js';
import { FakeSocket, fakeTime, greet, idOf, live, make, pass } from './fake.js';

fakeTime();

const topicsOf = (socket: FakeSocket) => socket.frames.map((f) => `${f.type === 'subscribe' ? '+' : '-'}${String(f.topic)}`);

describe('topics', () => {
  it('are joined and left on the live connection, and named on the next', async () => {
    const made = make({ topics: ['a'] });
    const socket = await live(made);
    made.client.join('b');
    made.client.join('b');
    made.client.leave('a');
    made.client.leave('never joined');
    await pass();
    expect(topicsOf(socket)).toEqual(['-a', '+b']);
    socket.say({ type: 'subscribed', topics: ['b'], cursor: 'C1' });
    expect(made.of('topics')).toEqual([['b']]);
    expect(made.client.topics).toEqual(['b']);
    socket.end(1006);
    await pass(500);
    expect(FakeSocket.last.param('topics')).toBe('b');
    await greet();
    expect(FakeSocket.last.sent).toEqual([]);
  });

  it('that are joined and left at once are not spoken of', async () => {
    const made = make();
    const socket = await live(made);
    made.client.join('a');
    made.client.leave('a');
    made.client.join('b');
    made.client.leave('b');
    made.client.join('b');
    await pass();
    expect(topicsOf(socket)).toEqual(['+b']);
  });

  it('are at most 64, each of at most 128 bytes', async () => {
    const made = make();
    for (let i = 0; i < 70; i++) made.client.join(`t${i}`);
    made.client.join('');
    made.client.join('x'.repeat(129));
    expect(made.client.topics).toHaveLength(64);
    expect(made.of('error')).toMatchObject([{ source: 'client', code: 'refused', message: 't64' }]);
  });

  it('go by frames where the address cannot have them, no faster than the server takes them', async () => {
    const topics = Array.from({ length: 64 }, (_, i) => `${i},${'é'.repeat(60)}`);
    const made = make({ topics });
    const socket = await live(made);
    expect(socket.param('topics')).toBeNull();
    expect(socket.sent.length).toBe(40);
    await pass(17_000);
    expect(socket.sent.length).toBe(64);

    const long = make({ topics: Array.from({ length: 64 }, (_, i) => `${i}${'é'.repeat(60)}`) });
    const other = await live(long);
    expect(other.url.length).toBeLessThan(4_500);
    const named = other.param('topics')?.split(',') ?? [];
    expect(named.length).toBeGreaterThan(5);
    expect(new Set([...named, ...other.frames.map((f) => f.topic)]).size).toBe(named.length + other.sent.length);
    await pass(60_000);
    expect(named.length + other.frames.filter((f) => f.type === 'subscribe').length).toBe(64);
  });

  it('that are refused are not asked for again, those of which nothing is known are', async () => {
    const made = make();
    const socket = await live(made);
    made.client.join('secret');
    await pass();
    socket.say({ type: 'error', code: 'forbidden', message: 'you may not join the topic "secret"' });
    expect(made.of('error')).toEqual([{ source: 'server', code: 'forbidden', message: 'you may not join the topic "secret"' }]);
    await pass(59_000);
    socket.say({ type: 'pong', cursor: 'C1' });
    expect(topicsOf(socket)).toEqual(['+secret']);
    made.client.leave('secret');
    made.client.join('slow');
    await pass();
    socket.say({ type: 'error', code: 'unavailable', message: 'that cannot be done now' });
    await pass(15_001);
    expect(topicsOf(socket)).toEqual(['+secret', '-secret', '+slow', '+slow']);
    socket.say({ type: 'error', code: 'unavailable', message: 'that cannot be done now' });
    await pass(15_000);
    made.client.leave('slow'); // before it is asked for again
    await pass(1);
    expect(topicsOf(socket).slice(4)).toEqual(['-slow']);
  });
});

describe('signals', () => {
  it('are sent at once, or not at all', async () => {
    const made = make();
    expect(made.client.signal('chess', 'typing')).toBe(false);
    const socket = await live(made);
    expect(made.client.signal('chess', 'typing', { on: true })).toBe(true);
    expect(socket.sent).toEqual(['{"type":"signal","topic":"chess","name":"typing","payload":{"on":true}}']);
    const round: Record<string, unknown> = {};
    round.round = round;
    for (const [topic, name] of [['', 'typing'], ['chess', 'Typing'], ['chess', 'hello']] as const) expect(made.client.signal(topic, name, {})).toBe(false);
    for (const payload of [round, { x: 'y'.repeat(1_024) }, [1], { n: 1n }]) expect(made.client.signal('chess', 'x', payload as Record<string, unknown>)).toBe(false);
    socket.end(1006);
    expect(made.client.signal('chess', 'typing')).toBe(false);
  });

  it('are no more than the server takes', async () => {
    const made = make();
    const socket = await live(made);
    const sent = () => Array.from({ length: 100 }, () => made.client.signal('chess', 'typing')).filter(Boolean).length;
    expect(sent()).toBe(10);
    await pass(1_000);
    expect(sent()).toBe(2);
    await pass(59_000);
    socket.say({ type: 'pong', cursor: 'C' });
    expect(sent()).toBe(10);
    expect(made.client.state).toBe('live');
  });

  it('are not held back by a clock that is set back', async () => {
    const made = make();
    await live(made);
    expect(made.client.signal('chess', 'typing')).toBe(true);
    vi.setSystemTime(Date.now() - 3_600_000);
    expect(made.client.signal('chess', 'typing')).toBe(true);
  });

  it('come in', async () => {
    const made = make({ signals: true });
    const socket = await live(made);
    const signal = { type: 'signal', name: 'typing', to: 'topic:chess', from: 'ada', payload: { on: true } };
    socket.say(signal);
    expect(made.of('signal')).toEqual([signal]);
  });
});

describe('what was read', () => {
  const [one, two] = [idOf(1), idOf(2)];
  const confirm = { type: 'read', cursor: 'R', up_to: [one] };

  it('is said at once without its time, and waits until it is confirmed', async () => {
    const made = make();
    const socket = await live(made);
    made.client.read({ up_to: one });
    expect(made.client.pendingReads).toEqual([{ up_to: one, at: Date.now() }]);
    await pass();
    expect(socket.sent).toEqual([`{"type":"read","up_to":"${one}"}`]);
    socket.say({ type: 'read', cursor: 'R' }); // of another device, of before
    expect(made.client.pendingReads).toHaveLength(1);
    socket.say(confirm);
    expect(made.client.pendingReads).toEqual([]);
    expect(made.of('read')).toHaveLength(2);
    expect(made.of('pending').map((p) => p.length)).toEqual([1, 0]);
    await pass(59_000);
    expect(socket.sent).toHaveLength(1);
  });

  it('is said again, with its time, after a connection that broke', async () => {
    const made = make();
    const socket = await live(made);
    const at = Date.now();
    made.client.read({ read: [one] });
    await pass();
    socket.end(1006);
    await pass(500);
    const next = await greet();
    expect(next.sent).toEqual([`{"type":"read","read":["${one}"],"at":${at}}`]);
  });

  it('while offline is kept over a restart, in order, with its time', async () => {
    const store = memoryStore();
    const made = make({ store });
    made.client.start(); // no answer
    await pass(1_000);
    const at = Date.now();
    made.client.read({ read: [one] });
    made.client.read({ read: [two] });
    await pass(20_000);
    made.client.read({ unread: [one] });
    await pass(1_000);
    made.client.stop();

    const again = make({ store });
    const socket = await live(again);
    expect(again.client.pendingReads).toEqual([{ read: [one, two], at }, { unread: [one], at: at + 20_000 }]);
    expect(socket.sent).toEqual([`{"type":"read","read":["${one}","${two}"],"at":${at}}`]);
    socket.say({ type: 'read', cursor: 'R', read: [one, two] });
    await pass();
    expect(socket.sent[1]).toBe(`{"type":"read","unread":["${one}"],"at":${at + 20_000}}`);
    socket.say({ type: 'read', cursor: 'R', read: [two] });
    await pass(1_000);
    expect(await store.get('vibemesh.reads.ada')).toBe('{"v":1,"changes":[]}');
  });

  it('before the store has answered comes after what is stored', async () => {
    const store = memoryStore();
    await store.set('vibemesh.reads.ada', JSON.stringify({ v: 1, changes: [{ up_to: one, at: 5 }] }));
    const made = make({ store });
    made.client.read({ read: [two] });
    const socket = await live(made);
    expect(made.client.pendingReads.map((c) => c.up_to ?? c.read)).toEqual([one, [two]]);
    expect(socket.sent).toEqual([`{"type":"read","up_to":"${one}","at":5}`]);
  });

  it('of many events is few frames', async () => {
    const made = make();
    const socket = await live(made);
    const ids = Array.from({ length: 600 }, (_, i) => idOf(i + 1));
    for (const id of ids) made.client.read({ read: [id] });
    expect(made.client.pendingReads.map((c) => c.read?.length)).toEqual([256, 256, 88]);
    for (let i = 0; i < 3; i++) {
      await pass();
      socket.say({ type: 'read', cursor: 'R', up_to: [idOf(600)] });
    }
    expect(socket.frames.flatMap((f) => f.read as string[])).toEqual(ids);
  });

  it('at different times is said with each time', async () => {
    const made = make();
    made.client.read({ read: [one] });
    await pass(9_999);
    made.client.read({ read: [two] });
    await pass(10_000);
    made.client.read({ read: [idOf(3)] });
    expect(made.client.pendingReads.map((c) => c.read)).toEqual([[one, two], [idOf(3)]]);
  });

  it('of marks in both ways keeps their order', async () => {
    const made = make();
    made.client.read({ read: [one] });
    made.client.read({ unread: [one] });
    made.client.read({ read: [one] });
    expect(made.client.pendingReads.map((c) => Object.keys(c)[0])).toEqual(['read', 'unread', 'read']);
    made.client.read({});
    made.client.read({ read: [] });
    expect(made.client.pendingReads).toHaveLength(3);
  });

  it('is bounded, and says what it gives up', async () => {
    const made = make();
    for (let n = 1; n <= 250; n++) made.client.read({ up_to: idOf(n) });
    expect(made.client.pendingReads).toHaveLength(200);
    expect(made.client.pendingReads[0]?.up_to).toBe(idOf(51));
    expect(made.of('error')).toMatchObject([{ code: 'dropped' }]);
  });

  it('is given up when the server refuses it, and goes on with the next', async () => {
    const made = make();
    const socket = await live(made);
    made.client.read({ up_to: one });
    made.client.read({ up_to: two });
    await pass();
    socket.say({ type: 'error', code: 'malformed', message: 'up_to is not an event of this log' });
    await pass();
    expect(made.client.pendingReads).toMatchObject([{ up_to: two }]);
    expect(socket.frames.map((f) => f.up_to)).toEqual([one, two]);
    socket.say({ type: 'error', code: 'unsupported', message: 'this server does not handle read' });
    expect(made.client.pendingReads).toEqual([]);
    expect(made.of('error').filter((e) => e.source === 'client').map((e) => e.code)).toEqual(['dropped']);
  });

  it('is said again when the server cannot now', async () => {
    const made = make();
    const socket = await live(made);
    made.client.read({ up_to: one });
    await pass();
    socket.say({ type: 'error', code: 'unavailable', message: 'try again' });
    await pass(4_499);
    expect(socket.sent).toHaveLength(1);
    await pass(2);
    expect(socket.frames[1]).toMatchObject({ up_to: one, at: expect.any(Number) });
    socket.say(confirm);
    expect(made.client.pendingReads).toEqual([]);
  });

  it('that changes nothing, and so is not answered, is done when the other side is known to be there', async () => {
    const made = make();
    const socket = await live(made);
    made.client.read({ all: true });
    await pass(15_000);
    expect(socket.frames.map((f) => f.type)).toEqual(['read', 'ping']);
    socket.say({ type: 'pong', cursor: 'C' });
    await pass(1);
    expect(socket.frames.map((f) => f.type)).toEqual(['read', 'ping', 'read']);
    await pass(15_000);
    expect(made.client.pendingReads).toEqual([]);
  });

  it('is not lost to a connection that has died without a word', async () => {
    const made = make();
    await live(made);
    made.client.read({ up_to: one });
    await pass(19_500);
    expect(FakeSocket.all).toHaveLength(2);
    expect((await greet()).frames).toMatchObject([{ type: 'read', up_to: one }]);
    expect(made.client.pendingReads).toHaveLength(1);
    vi.clearAllTimers();
  });
});
