// A server that means harm: nothing of it is thrown into the app, and nothing grows.
import { describe, expect, it } from 'vitest';
import { createInbox } from '../src/index.js';
import { event, FakeSocket, fakeTime, greet, hello, idOf, live, make, pass } from './fake.js';
import { FakeHistory } from './fakeHistory.js';

fakeTime();

const shapes = (): unknown[] => {
  const fields = [
    'type', 'id', 'cursor', 'ts', 'to', 'payload', 'collapse', 'expires', 'reason', 'topics', 'up_to', 'read', 'unread', 'after_ms', 'name', 'from', 'code',
    'message', 'ping', 'resumed', 'session', 'node',
  ];
  const values = [null, true, 0, -1, 1e400, 'x', '', [], [null], [[]], {}, { a: 1 }, '\ud800', '__proto__'];
  const frames = [
    hello(), event(1), { type: 'gap', reason: 'limit', cursor: 'G' }, { type: 'read', cursor: 'R' }, { type: 'subscribed', topics: ['a'], cursor: 'S' },
    { type: 'error', code: 'forbidden', message: 'm' }, { type: 'reconnect', after_ms: 1e9 }, { type: 'pong', cursor: 'P' }, { type: 'auth', expires: 1 },
    { type: 'signal', name: 'n', to: 'user' },
  ];
  return frames.flatMap((frame) => fields.flatMap((field) => values.map((value) => ({ ...frame, [field]: value }))));
};

describe('a hostile server', () => {
  it('says nonsense of every shape, and the session goes on', async () => {
    const made = make({ unread: true, fetch: new FakeHistory().fetch as typeof fetch });
    const inbox = createInbox(made.client);
    inbox.start();
    const socket = await live(made);
    const wrong = ['', ' ', '{', '}', 'null', '[]', '7', '"x"', '{"type":"toast"}', '[['.repeat(20_000), '{"a":'.repeat(20_000), '\0', '\u{1F600}', new ArrayBuffer(8)];
    for (const frame of [...wrong, ...shapes()]) {
      if ((frame as { type?: unknown })?.type === 'reconnect') continue; // it may ask to move
      socket.say(frame);
      inbox.getState();
    }
    await pass(2_000);
    socket.say(event(77));
    expect(made.of('event').at(-1)?.id).toBe(idOf(77));
    expect(inbox.getState().items[0]?.id).toBe(idOf(77));
    expect(made.client.state).toBe('live');
    socket.say('{');
    const faults = made.of('error').filter((e) => e.source === 'client' && e.code === 'malformed');
    expect(faults.map((e) => 'count' in e && e.count)).toEqual([1, expect.any(Number)]);
    // All that was wrong is counted, and told once a second.
    expect(faults[1]).toMatchObject({ count: expect.toSatisfy((n: number) => n > 500) });
  });

  it('cannot reach the prototype of anything', async () => {
    const made = make();
    const socket = await live(made);
    const rest = '"cursor":"C","ts":1,"to":"user"';
    const evil = '"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}';
    socket.say(`{${evil},"type":"toast","id":"0-1-1",${rest},"payload":{${evil},"title":"x"}}`);
    for (const [i, type] of ['constructor', '__proto__', 'toString', 'valueof'].entries()) socket.say(`{"type":"${type}","id":"0-1-${i + 2}",${rest},"payload":{}}`);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(made.of('event').map((e) => e.type)).toEqual(['toast', 'constructor', 'valueof']);
    expect('polluted' in (made.of('event')[0] ?? {})).toBe(false);
  });

  it('sends huge messages, which are passed over unread', async () => {
    const made = make();
    const socket = await live(made);
    const huge = JSON.stringify(event(1, { payload: { title: 'x'.repeat(1_000_000) } }));
    for (let i = 0; i < 50; i++) socket.say(huge);
    socket.say(event(2, { payload: { title: 'x'.repeat(65_000) } }));
    expect(made.of('event').map((e) => e.id)).toEqual([idOf(2)]);
    expect(made.of('error')).toMatchObject([{ code: 'oversized' }]);
    expect(made.client.state).toBe('live');
  });

  it('floods, and nothing grows', async () => {
    const made = make({ fetch: new FakeHistory().fetch as typeof fetch });
    const inbox = createInbox(made.client, { cap: 50 });
    inbox.start();
    made.told.push = () => 0; // what this test itself keeps must not grow either
    let told = 0;
    inbox.subscribe(() => void told++);
    let arrived = 0;
    inbox.onArrival(() => void arrived++);
    const socket = await live(made);
    told = 0;
    for (let n = 1; n <= 100_000; n++) socket.say(JSON.stringify(event(n, { collapse: n % 7 ? undefined : `k${n % 1_000}` })));
    expect(arrived).toBe(100_000);
    expect(told).toBeLessThan(10);
    expect(inbox.getState().items.length).toBe(50);
    const small = ['{"type":"nonsense"}', '{"type":"auth","expires":1}', '{"type":"error","code":"unavailable","message":""}', '{"type":"subscribed","topics":[],"cursor":"C"}'];
    for (let n = 0; n < 100_000; n++) socket.say(...small);
    const read = Array.from({ length: 1_000 }, (_, i) => idOf(i + 1));
    for (let n = 0; n < 1_000; n++) socket.say(hello(), { type: 'read', cursor: 'C', read }, { type: 'gap', reason: 'limit', cursor: 'C' });
    await pass(2_000);
    expect(socket.sent.length).toBeLessThan(5);
    expect(inbox.getState().items.length).toBeLessThanOrEqual(50);
    expect(made.client.state).toBe('live');
  });

  it('greets and closes, over and over, and is left alone for a while each time', async () => {
    const made = make();
    made.client.start();
    for (let i = 0; i < 10; i++) {
      await pass(15_000);
      expect(FakeSocket.all.length).toBeLessThanOrEqual(i + 1);
      const socket = await greet();
      socket.end(i % 2 ? 1011 : 99_999);
    }
    made.client.stop();
  });
});
