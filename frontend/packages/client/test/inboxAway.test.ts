// An inbox that misses something, that has no server, and that is stopped.
import { describe, expect, it, vi } from 'vitest';
import { createInbox, memoryStore } from '../src/index.js';
import { event, FakeEnvironment, FakeSocket, fakeTime, greet, idOf, live, make, pass } from './fake.js';
import { FakeHistory } from './fakeHistory.js';
import { down, numbers, opened, over, range } from './fakeInbox.js';

fakeTime();

describe('gaps', () => {
  it('are filled from the history', async () => {
    const { inbox, server, socket } = await opened(4);
    server.add(...range(5, 7).map((n) => event(n)));
    socket.say({ type: 'gap', reason: 'limit', cursor: 'C6' }, event(7));
    await pass();
    expect(numbers(inbox)).toEqual(down(7, 1));
    expect(inbox.getState()).toMatchObject({ unread: 7, more: false });
  });

  it('that a page does not fill end the list, which goes on when asked', async () => {
    const { inbox, server, socket } = await opened(4);
    server.add(...range(5, 20).map((n) => event(n)));
    socket.say({ type: 'gap', reason: 'limit', cursor: 'C19' }, event(20));
    await pass();
    expect(numbers(inbox)).toEqual(down(20, 16));
    expect(inbox.getState()).toMatchObject({ unread: 20, more: true });
    await inbox.loadMore();
    await inbox.loadMore();
    await inbox.loadMore();
    expect(numbers(inbox)).toEqual(down(20, 1));
    expect(inbox.getState()).toMatchObject({ unread: 20, more: false });
  });

  it('that come while a page is on its way are filled by the next', async () => {
    const { inbox, server, socket } = await opened(4);
    server.held = true;
    void inbox.refresh();
    await pass();
    server.held = false;
    server.add(...range(5, 20).map((n) => event(n)));
    socket.say({ type: 'gap', reason: 'limit', cursor: 'C19' }, event(20));
    server.release();
    await pass();
    expect(server.asked).toHaveLength(3);
    expect(numbers(inbox)).toEqual(down(20, 16));
    expect(inbox.getState()).toMatchObject({ unread: 20, more: true });
  });

  it('are none where more comes than there is room for while a page is on its way', async () => {
    const server = new FakeHistory().add(event(1));
    server.held = true;
    const { made, inbox } = over(server, { cap: 10 });
    const socket = await live(made);
    server.held = false;
    const more = range(2, 11).map((n) => event(n));
    server.add(...more);
    socket.say(...more);
    server.release();
    await pass(1_000);
    expect(numbers(inbox)).toEqual(down(11, 2));
    expect(inbox.getState()).toMatchObject({ unread: 11, more: true });
  });

  it('that cannot be filled yet are not stored as if they were none', async () => {
    const store = memoryStore();
    const { server, socket } = await opened(4, { store });
    await pass(2_000);
    const before = await store.get('vibemesh.inbox.ada');
    expect(before).toContain(idOf(4));
    server.add(...range(5, 20).map((n) => event(n)));
    server.status = 503;
    socket.say({ type: 'gap', reason: 'limit', cursor: 'C19' }, event(20));
    await pass(5_000);
    expect(await store.get('vibemesh.inbox.ada')).toBe(before);
    server.status = 200;
    await pass(30_000);
    expect(await store.get('vibemesh.inbox.ada')).toContain(idOf(20));
  });

  it('before a store that is slow are known when it answers', async () => {
    const store = memoryStore();
    const first = await opened(4, { store });
    await pass(2_000);
    first.inbox.stop();
    first.client.stop();
    const saved = (await store.get('vibemesh.inbox.ada')) ?? '';

    const server = new FakeHistory().add(...range(1, 20).map((n) => event(n)));
    server.held = true;
    const made = make({ unread: true, fetch: server.fetch as typeof fetch });
    let answer: (text: string) => void = () => {};
    const inbox = createInbox(made.client, { store: { ...memoryStore(), get: () => new Promise((resolve) => (answer = resolve)) } });
    inbox.start();
    await live(made);
    answer(saved);
    await pass();
    expect(numbers(inbox)).toEqual(down(4, 1));
    server.release();
    await pass();
    expect(numbers(inbox)).toEqual(down(20, 16));
  });

  it('of another log leave nothing of the old one', async () => {
    const { inbox, server, socket } = await opened(12);
    server.log = [event(1, { id: '0-zzzzzzzz-1', ts: 1_800_000_000_000 })];
    socket.say({ type: 'gap', reason: 'unknown', cursor: 'X' });
    await pass();
    expect(inbox.getState().items.map((n) => n.id)).toEqual(['0-zzzzzzzz-1']);
    expect(inbox.getState()).toMatchObject({ unread: 1, more: false });
  });

  it('of retention take with them what the server has not any more', async () => {
    const { inbox, server, socket } = await opened(4);
    server.log = server.log.slice(2);
    socket.say({ type: 'gap', reason: 'retention', cursor: 'C4' });
    await pass();
    expect(numbers(inbox)).toEqual([4, 3]);
  });

  it('of a session that starts anew are filled, too', async () => {
    const { inbox, server } = await opened(4);
    FakeSocket.last.end(1006);
    server.add(event(5));
    await pass(500);
    await greet({ resumed: false });
    await pass();
    expect(numbers(inbox)).toEqual(down(5, 1));
    FakeSocket.last.say({ type: 'hello', session: 's', node: 'n', cursor: 'C', resumed: false, ping: 60, expires: 1e10 }); // it answers a token
    await pass();
    expect(server.asked).toHaveLength(2);
  });
});

describe('without the server', () => {
  it('shows what is stored', async () => {
    const store = memoryStore();
    const first = await opened(12, { store, state: { up_to: [idOf(9)], read: [idOf(12)] } });
    await pass(2_000);
    first.inbox.stop();
    const { inbox } = over(new FakeHistory(), { store });
    await pass();
    expect(inbox.getState()).toMatchObject({ status: 'ready', unread: 2, more: true, connection: 'stopped' });
    expect(numbers(inbox)).toEqual(down(12, 8));
  });

  it('stores no more than it may', async () => {
    const store = memoryStore();
    const first = await opened(0, { store, cap: 100 });
    first.says(...range(1, 100).map((n) => event(n, { payload: { title: 'x', description: 'y'.repeat(40_000) } })));
    await pass(2_000);
    expect((await store.get('vibemesh.inbox.ada'))?.length).toBeLessThan(1_000_001);
    const { inbox } = over(new FakeHistory(), { store });
    await pass();
    expect(numbers(inbox).length).toBeGreaterThan(10);
    expect(numbers(inbox)[0]).toBe(100);
    expect(inbox.getState()).toMatchObject({ unread: 100, more: true });
  });

  const wrong = '{"v":1,"items":[7,{"id":"x"}],"beyond":"many","older":7,"state":{"up_to":7}}';
  it.each(['', 'x', '{}', '[]', '{"v":2,"items":[]}', '{"v":1,"items":{}}', wrong])('drops %j', async (text) => {
    const store = memoryStore();
    await store.set('vibemesh.inbox.ada', text);
    const { inbox } = over(new FakeHistory(), { store });
    await pass();
    expect(inbox.getState()).toMatchObject({ items: [], unread: 0, more: false });
  });

  it('says that it is offline when it knows nothing', async () => {
    const environment = new FakeEnvironment();
    environment.now = { online: false, active: true };
    const { client, inbox, server } = over(new FakeHistory(), { environment });
    client.start();
    await pass(60_000);
    expect(inbox.getState()).toMatchObject({ status: 'error', error: 'offline', connection: 'offline' });
    expect(server.asked).toEqual([]);
  });

  it('tries again when the history fails', async () => {
    const server = new FakeHistory().add(event(1));
    server.status = 503;
    const { made, inbox } = over(server);
    const socket = await live(made);
    await pass();
    expect(inbox.getState()).toMatchObject({ status: 'error', error: 'a status of 503' });
    await pass(500);
    await pass(1_000);
    expect(server.asked).toHaveLength(3);
    server.status = 200;
    await pass(2_000);
    expect(inbox.getState()).toMatchObject({ status: 'ready', error: undefined, unread: 1 });
    await pass(30_000);
    expect(server.asked).toHaveLength(4);
    expect(socket.closed).toBeUndefined();
  });

  it('has the history where no session comes about, and again when one does', async () => {
    const server = new FakeHistory().add(event(1));
    const { client, inbox, arrived } = over(server);
    client.start();
    for (let i = 0; i < 4; i++) {
      await pass(10_000);
      if (FakeSocket.last.readyState === 0) FakeSocket.last.end(1006);
    }
    expect(inbox.getState()).toMatchObject({ status: 'ready', unread: 1, connection: 'waiting' });
    expect(server.asked).toHaveLength(1);
    server.add(event(2));
    await pass(15_000);
    await greet({ resumed: true });
    await pass(1_000);
    expect(numbers(inbox)).toEqual([2, 1]);
    expect(server.asked).toHaveLength(2);
    expect(arrived).toEqual([]);
  });
});

describe('an inbox', () => {
  it('is the same object while nothing changes, and so is each item', async () => {
    const { inbox, says, reads } = await opened(3);
    const before = inbox.getState();
    expect(inbox.getState()).toBe(before);
    says(event(4));
    const after = inbox.getState();
    expect(after).not.toBe(before);
    expect(after.items.slice(1)).toEqual(before.items);
    for (const [i, n] of before.items.entries()) expect(after.items[i + 1]).toBe(n);
    reads({ read: [idOf(2)] });
    expect(inbox.getState().items.map((n, i) => n === after.items[i])).toEqual([true, true, false, true]);
  });

  it('tells of a flood now and then, and of what the person does at once', async () => {
    const { inbox, says } = await opened(1);
    await pass(1_000);
    let told = 0;
    inbox.subscribe(() => void told++);
    says(...range(2, 100).map((n) => event(n)));
    expect(told).toBe(0);
    await pass(50);
    expect(told).toBe(1);
    await pass(1_000);
    expect(told).toBe(1);
    inbox.markRead(idOf(5));
    inbox.markRead(idOf(6));
    expect(told).toBe(3);
    const stop = inbox.subscribe(() => void (told += 100));
    stop();
    inbox.markRead(idOf(7));
    expect(told).toBe(4);
  });

  it('is not broken by those who listen to it', async () => {
    const { made, inbox, says, arrived } = await opened(1);
    inbox.subscribe(() => {
      throw new Error('a bug of the list');
    });
    inbox.onArrival(() => {
      throw new Error('a bug of the toasts');
    });
    inbox.onArrival((n) => void arrived.push(n));
    says(event(2));
    expect(numbers(inbox)).toEqual([2, 1]);
    expect(arrived).toHaveLength(2);
    await pass(2_000);
    says(event(3));
    expect(made.of('error')).toMatchObject([{ code: 'listener', count: 1 }, { code: 'listener', count: expect.any(Number) }]);
  });

  it('can be stopped and started again', async () => {
    const { inbox, says, server, arrived } = await opened(1);
    inbox.stop();
    says(event(2));
    await pass(5_000);
    expect(numbers(inbox)).toEqual([1]);
    expect(server.asked).toHaveLength(1);
    inbox.start();
    inbox.start();
    await pass();
    expect(numbers(inbox)).toEqual([2, 1]);
    expect(server.asked).toHaveLength(2);
    says(event(3));
    expect(arrived.map((n) => n.id)).toEqual([idOf(3)]);
  });

  it.each([true, false])('takes no answer once it is stopped, of a fetch that is deaf: %s', async (deaf) => {
    const { inbox, server } = await opened(1);
    server.deaf = deaf;
    server.held = true;
    server.add(event(2));
    const more = inbox.refresh();
    await pass();
    inbox.stop();
    server.release();
    await more;
    expect(numbers(inbox)).toEqual([1]);
    expect(inbox.getState()).toMatchObject({ busy: false, error: undefined });
    expect(vi.getTimerCount()).toBeLessThan(8);
  });

  it('forgets with the client', async () => {
    const store = memoryStore();
    const { inbox, client, says } = await opened(3, { store });
    await pass(2_000);
    expect(await store.get('vibemesh.inbox.ada')).toContain(idOf(3));
    says(event(4));
    const forgotten = client.forget();
    expect(inbox.getState()).toMatchObject({ items: [], unread: 0, more: false });
    await pass(5_000);
    await forgotten;
    expect(await store.get('vibemesh.inbox.ada')).toBeNull();
    inbox.start();
    await live({ client, told: [], of: () => [] });
    await pass();
    expect(numbers(inbox)).toEqual([4, 3, 2, 1]);
  });

  it('forgets when it was stopped before, and something still waited to be stored', async () => {
    const store = memoryStore();
    const { inbox, client, says } = await opened(3, { store });
    await pass(2_000);
    says(event(4));
    says(event(5));
    inbox.stop();
    const forgotten = client.forget();
    await pass(5_000);
    await forgotten;
    expect(await store.get('vibemesh.inbox.ada')).toBeNull();
    expect(inbox.getState().items).toEqual([]);
  });

  it('forgets what a slow store gives after that', async () => {
    const made = make({ fetch: new FakeHistory().fetch as typeof fetch });
    let answer: (text: string) => void = () => {};
    const inbox = createInbox(made.client, { store: { ...memoryStore(), get: () => new Promise((resolve) => (answer = resolve)) } });
    inbox.start();
    const forgotten = made.client.forget();
    answer(JSON.stringify({ v: 1, items: [{ ...event(1), read: false }], beyond: 0 }));
    await pass(2_000);
    await forgotten;
    expect(numbers(inbox)).toEqual([]);
  });

  it('may have a store of its own, and one that fails', async () => {
    const own = { get: () => Promise.reject(new Error('no')), set: () => Promise.reject(new Error('no')), remove: () => Promise.reject(new Error('no')) };
    const made = make({ fetch: new FakeHistory().fetch as typeof fetch });
    const inbox = createInbox(made.client, { store: own });
    inbox.start();
    (await live(made)).say(event(1));
    await pass(2_000);
    expect(numbers(inbox)).toEqual([1]);
    expect(made.of('error').every((e) => e.code === 'store')).toBe(true);
  });
});
