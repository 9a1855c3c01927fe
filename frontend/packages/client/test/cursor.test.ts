// Events come once, in order, and the place in the log is kept after they were handled.
import { describe, expect, it, vi } from 'vitest';
import { isEvent, memoryStore, type Store } from '../src/index.js';
import { event, FakeSocket, fakeTime, greet, hello, idOf, live, make, pass } from './fake.js';

fakeTime();

/** A store that tells what is done to it, and does it when it is told to. */
function slowStore() {
  const under = memoryStore();
  const log: string[] = [];
  const waiting: (() => void)[] = [];
  const wait = () => new Promise<void>((resolve) => waiting.push(resolve));
  const store: Store = {
    get: (key) => under.get(key),
    async set(key, value) {
      log.push(`${key}=${value}`);
      await wait();
      await under.set(key, value);
    },
    remove: (key) => {
      log.push(`-${key}`);
      return under.remove(key);
    },
  };
  return { store, under, log, release: () => waiting.shift()?.() };
}

async function restart(store: Store) {
  const made = make({ store });
  made.client.start();
  await pass();
  return { made, cursor: FakeSocket.last.param('cursor') };
}

describe('events', () => {
  it('are told in order, typed by their type', async () => {
    const made = make();
    const socket = await live(made);
    const titles: unknown[] = [];
    made.client.on('event', (e) => titles.push(isEvent(e, 'toast') ? e.payload.title : e.payload.order));
    socket.say(event(1), { ...event(2), type: 'order.paid', payload: { order: 7 } }, event(3, { later: 'field' }));
    expect(titles).toEqual(['Event 1', 7, 'Event 3']);
    expect(made.of('event')[2]).not.toHaveProperty('later');
  });

  it('are told once each, over connections too', async () => {
    const made = make();
    const socket = await live(made);
    socket.say(event(1), event(2), event(1));
    socket.end(1006);
    await pass(500);
    (await greet({ cursor: 'C2', resumed: true })).say(event(2), event(3));
    expect(made.of('event').map((e) => e.id)).toEqual([1, 2, 3].map(idOf));
  });

  it('are remembered up to 1000', async () => {
    const made = make();
    const socket = await live(made);
    for (let n = 1; n <= 1001; n++) socket.say(event(n));
    socket.say(event(2), event(1001));
    expect(made.of('event')).toHaveLength(1001);
    socket.say(event(1)); // forgotten by now
    expect(made.of('event')).toHaveLength(1002);
  });

  it('go to the other listeners when one throws', async () => {
    const made = make();
    const socket = await live(made);
    const heard: string[] = [];
    made.client.on('event', () => {
      throw new Error('a bug of the app');
    });
    made.client.on('event', (e) => heard.push(e.id));
    made.client.on('error', () => {
      throw new Error('another');
    });
    socket.say(event(1), event(2));
    expect(heard).toEqual([idOf(1), idOf(2)]);
    expect(made.of('error')).toMatchObject([{ source: 'client', code: 'listener', message: 'a bug of the app', count: 1 }]);
    expect(made.client.state).toBe('live');
  });

  it('are not told to who has stopped listening, nor twice less to who listens twice', async () => {
    const made = make();
    const socket = await live(made);
    const heard: string[] = [];
    const fn = (e: { id: string }) => void heard.push(e.id);
    const stop = made.client.on('event', fn);
    made.client.on('event', fn);
    socket.say(event(1));
    stop();
    socket.say(event(2));
    expect(heard).toEqual([1, 1, 2].map(idOf));
  });
});

describe('the cursor', () => {
  it('is that of the last frame, whatever its type', async () => {
    const made = make();
    const socket = await live(made, { cursor: 'C0' });
    const next = async () => {
      const count = FakeSocket.all.length;
      FakeSocket.last.end(1006);
      while (FakeSocket.all.length === count) await vi.advanceTimersToNextTimerAsync();
      const cursor = FakeSocket.last.param('cursor');
      FakeSocket.last.open().say(hello({ cursor, resumed: true }));
      return cursor;
    };
    expect(await next()).toBe('C0');
    socket.say(event(9)); // of a connection that is no more
    expect(await next()).toBe('C0');
    const others = [
      { type: 'pong', cursor: 'P' }, { type: 'subscribed', topics: [], cursor: 'S' }, { type: 'read', cursor: 'R' }, { type: 'gap', reason: 'unknown', cursor: 'G' },
    ];
    for (const frame of [event(1), ...others]) {
      FakeSocket.last.say(frame);
      expect(await next()).toBe(frame.cursor);
    }
  });

  it("is kept over hello's", async () => {
    const made = make();
    const socket = await live(made);
    socket.say(event(5));
    socket.end(1006);
    await pass(500);
    (await greet({ cursor: 'other' })).end(1006);
    await pass(1_000);
    expect(FakeSocket.last.param('cursor')).toBe('C5');
  });

  it('is not moved by frames without one, or that make no sense', async () => {
    const made = make();
    const socket = await live(made);
    socket.say({ type: 'signal', name: 'typing', to: 'user' }, 'x');
    for (const cursor of [7, '', 'a b', '\ud800', 'x'.repeat(10_000)]) socket.say({ type: 'pong', cursor });
    socket.end(1006);
    await pass(500);
    expect(FakeSocket.last.param('cursor')).toBe('C0');
  });

  it('survives the program', async () => {
    const store = memoryStore();
    const made = make({ store });
    (await live(made)).say(event(3));
    await pass(250);
    made.client.stop();
    expect((await restart(store)).cursor).toBe('C3');
    const other = make({ store, user: 'grace' });
    other.client.start();
    await pass();
    expect(FakeSocket.last.param('cursor')).toBeNull();
  });

  it('is stored once the listeners had the event', async () => {
    const { store, log } = slowStore();
    const made = make({ store });
    const socket = await live(made);
    made.client.on('event', (e) => void log.push(`told ${e.id}`));
    log.length = 0;
    await pass(10_000);
    socket.say(event(1));
    expect(log).toEqual([`told ${idOf(1)}`, 'vibemesh.cursor.ada=C1']);
  });

  it('is stored one write after another, the newest of what waits', async () => {
    const { store, log, release } = slowStore();
    const made = make({ store });
    const socket = await live(made);
    for (let n = 1; n <= 50; n++) socket.say(event(n));
    await pass(1_000);
    expect(log).toEqual(['vibemesh.cursor.ada=C0']);
    release();
    await pass(250);
    expect(log).toEqual(['vibemesh.cursor.ada=C0', 'vibemesh.cursor.ada=C50']);
    for (let n = 51; n <= 60; n++) socket.say(event(n));
    release();
    await pass(249);
    expect(log).toHaveLength(2);
    await pass(1);
    expect(log.at(-1)).toBe('vibemesh.cursor.ada=C60');
  });

  it('is stored for a listener that stops the client', async () => {
    const store = memoryStore();
    const made = make({ store });
    const socket = await live(made);
    made.client.on('event', () => made.client.stop());
    socket.say(event(4), event(5));
    await pass(250);
    expect(await store.get('vibemesh.cursor.ada')).toBe('C4');
  });

  it('of tabs that share a store is each its own', async () => {
    const store = memoryStore();
    const one = make({ store });
    const two = make({ store });
    const first = await live(one);
    const second = await live(two);
    first.say(event(1));
    second.say(event(1), event(2), event(3));
    await pass(1_000);
    first.end(1006);
    await pass(500);
    expect(FakeSocket.last.param('cursor')).toBe('C1');
    second.end(1006);
    await pass(500);
    expect(FakeSocket.last.param('cursor')).toBe('C3');
  });
});

describe('a store', () => {
  const hangs = () => new Promise<never>(() => {});
  const rejects = () => Promise.reject(new Error('the disk is full'));
  const throws = () => {
    throw new Error('private mode');
  };

  it.each([['hangs', hangs, 2_000], ['rejects', rejects, 0], ['throws', throws, 0]])('that %s does not keep the client from anything', async (_, broken, wait) => {
    const made = make({ store: { get: broken, set: broken, remove: broken } });
    made.client.start();
    await pass(wait);
    const socket = await greet();
    socket.say(event(1));
    await pass(10_000);
    socket.say(event(2));
    expect(made.of('event')).toHaveLength(2);
    expect(made.of('error').every((e) => e.code === 'store')).toBe(true);
    expect(made.of('error').length).toBeGreaterThan(0);
    socket.end(1006);
    await pass(500);
    expect(FakeSocket.last.param('cursor')).toBe('C2'); // in memory it is known
    const forgotten = made.client.forget();
    await pass(10_000);
    await forgotten;
  });

  it('that holds nonsense is passed over', async () => {
    const store = memoryStore();
    await store.set('vibemesh.cursor.ada', 'a b\n');
    await store.set('vibemesh.reads.ada', '{"v":1,"changes":[7,{"read":["x"],"at":1},{"read":["0-1-1"]}]}');
    const { cursor, made } = await restart(store);
    expect(cursor).toBeNull();
    expect(made.client.pendingReads).toEqual([]);
  });
});

describe('forgetting', () => {
  it('removes all that is stored, and starts from nothing', async () => {
    const store = memoryStore();
    const keys = ['cursor', 'reads', 'inbox'].map((kind) => `vibemesh.${kind}.ada`);
    await store.set('vibemesh.inbox.ada', 'x');
    await store.set('vibemesh.cursor.grace', 'hers');
    const made = make({ store });
    (await live(made)).say(event(1));
    made.client.read({ read: [idOf(1)] });
    await pass(1_000);
    expect(await store.get(keys[0] ?? '')).toBe('C1');
    const forgotten = made.client.forget();
    await pass(1_000);
    await forgotten;
    for (const key of keys) expect(await store.get(key), key).toBeNull();
    expect(await store.get('vibemesh.cursor.grace')).toBe('hers');
    expect(made.client.state).toBe('stopped');
    expect(made.client.pendingReads).toEqual([]);
    expect(made.of('forget')).toHaveLength(1);
    made.client.start();
    await pass();
    expect(FakeSocket.last.param('cursor')).toBeNull();
    (await greet()).say(event(1)); // to this device it is new again
    expect(made.of('event')).toHaveLength(2);
  });

  it('is not undone by a write that is on its way, or by a frame that is being handled', async () => {
    const { store, under, release } = slowStore();
    const made = make({ store });
    const socket = await live(made); // writes C0, slowly
    let forgotten: Promise<void> | undefined;
    made.client.on('event', () => void (forgotten = made.client.forget()));
    socket.say(event(1));
    for (let i = 0; i < 5; i++) {
      release();
      await pass(1_000);
    }
    await forgotten;
    expect(await under.get('vibemesh.cursor.ada')).toBeNull();
    made.client.start();
    await pass();
    expect(FakeSocket.last.param('cursor')).toBeNull();
    vi.clearAllTimers();
  });

  it('is not undone by a store that answers late', async () => {
    const answers: ((value: string) => void)[] = [];
    const store: Store = { ...memoryStore(), get: () => new Promise((resolve) => answers.push(resolve)) };
    const made = make({ store });
    made.client.start();
    const forgotten = made.client.forget();
    answers[0]?.('C7');
    answers[1]?.(JSON.stringify({ v: 1, changes: [{ up_to: idOf(1), at: 1 }] }));
    await pass(3_000);
    await forgotten;
    expect(answers).toHaveLength(2);
    expect(made.client.pendingReads).toEqual([]);
    made.client.start();
    await pass(3_000);
    expect(FakeSocket.last.param('cursor')).toBeNull();
    vi.clearAllTimers();
  });
});
