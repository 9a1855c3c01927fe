// The list of notifications, its count, and what arrives.
import { describe, expect, it, vi } from 'vitest';
import { memoryStore } from '../src/index.js';
import { event, FakeSocket, fakeTime, greet, idOf, live, pass } from './fake.js';
import { FakeHistory } from './fakeHistory.js';
import { down, numbers, opened, over, range, unreadOf } from './fakeInbox.js';

fakeTime();

describe('the list', () => {
  it('is loading, and then what the history has', async () => {
    const server = new FakeHistory().add(event(1), event(2, { to: 'broadcast' }));
    const { made, inbox } = over(server);
    expect(inbox.getState()).toEqual({ items: [], unread: 0, status: 'loading', error: undefined, more: false, busy: false, connection: 'stopped' });
    await live(made, { unread: 2 });
    await pass();
    expect(inbox.getState()).toMatchObject({ status: 'ready', unread: 2, more: false, connection: 'live' });
    expect(inbox.getState().items).toEqual([
      { id: idOf(2), type: 'toast', ts: 1_700_000_000_002, to: 'broadcast', payload: { title: 'Event 2' }, read: false },
      { id: idOf(1), type: 'toast', ts: 1_700_000_000_001, to: 'user', payload: { title: 'Event 1' }, read: false },
    ]);
    expect(server.asked).toEqual(['']);
  });

  it('grows with what comes, newest first by time and then by id', async () => {
    const { inbox, says, arrived } = await opened(2);
    says(event(3), event(5), event(4), event(36, { ts: 1_700_000_000_005 }), event(1_000, { ts: 1_700_000_000_005 }));
    expect(numbers(inbox)).toEqual([1_000, 36, 5, 4, 3, 2, 1]);
    expect(inbox.getState().unread).toBe(7);
    expect(arrived.map((n) => n.id)).toEqual([3, 5, 4, 36, 1_000].map(idOf));
    expect(arrived[0]).toEqual({ id: idOf(3), type: 'toast', ts: 1_700_000_000_003, to: 'user', payload: { title: 'Event 3' }, read: false });
  });

  it('has no events of topics, which arrive all the same', async () => {
    const { inbox, says, arrived } = await opened(1);
    says(event(2, { to: 'topic:club.7' }));
    expect(numbers(inbox)).toEqual([1]);
    expect(inbox.getState().unread).toBe(1);
    expect(arrived.map((n) => n.to)).toEqual(['topic:club.7']);
  });

  it('has the newer of two with the same key for the same people', async () => {
    const { inbox, says, arrived } = await opened(1);
    says(event(2, { collapse: 'taxi' }), event(3, { collapse: 'taxi', to: 'broadcast' }), event(4, { collapse: 'taxi' }), event(5, { collapse: 'bus' }));
    FakeSocket.last.say(event(1_2, { ts: 1, collapse: 'taxi' })); // an older one that comes late
    expect(numbers(inbox)).toEqual([5, 4, 3, 1]);
    expect(inbox.getState().unread).toBe(4);
    expect(arrived).toHaveLength(5);
  });

  it('does not have what has expired, without a word of the server', async () => {
    const { inbox, says, arrived } = await opened(1);
    const now = Date.now();
    says(event(2, { expires: now + 10_000 }), event(3, { expires: now }), event(4, { expires: now + 5_000_000_000 }));
    expect(numbers(inbox)).toEqual([4, 2, 1]);
    expect(arrived.map((n) => n.id)).toEqual([idOf(2), idOf(4)]);
    const told = vi.fn();
    inbox.subscribe(told);
    await pass(1_000);
    told.mockClear();
    await pass(9_000);
    expect(told).toHaveBeenCalled();
    expect(numbers(inbox)).toEqual([4, 1]);
    expect(inbox.getState().unread).toBe(2);
  });

  it('is bounded; what does not fit is still counted, and can be loaded', async () => {
    const { inbox, says } = await opened(0, { cap: 10 });
    says(...range(1, 30).map((n) => event(n)));
    expect(numbers(inbox)).toEqual(down(30, 21));
    expect(inbox.getState()).toMatchObject({ unread: 30, more: true });
    await inbox.loadMore();
    expect(numbers(inbox)).toEqual(down(30, 16));
    expect(inbox.getState().unread).toBe(30);
    says(event(31));
    expect(numbers(inbox)).toEqual(down(31, 17));
  });
});

describe('older pages', () => {
  it('are added, to the last', async () => {
    const { inbox, server } = await opened(12, { state: { up_to: [idOf(3)] } });
    expect(numbers(inbox)).toEqual(down(12, 8));
    expect(inbox.getState()).toMatchObject({ unread: 9, more: true });
    const told: boolean[] = [];
    inbox.subscribe(() => told.push(inbox.getState().busy));
    await Promise.all([inbox.loadMore(), inbox.loadMore()]);
    expect(told[0]).toBe(true);
    expect(inbox.getState().busy).toBe(false);
    expect(numbers(inbox)).toEqual(down(12, 3));
    expect(server.asked).toEqual(['', `before=${idOf(8)}`]);
    expect(inbox.getState()).toMatchObject({ unread: 9, more: true });
    await inbox.loadMore();
    expect(numbers(inbox)).toEqual(down(12, 1));
    expect(unreadOf(inbox)).toEqual(down(12, 4));
    expect(inbox.getState()).toMatchObject({ unread: 9, more: false });
    await inbox.loadMore();
    expect(server.asked).toHaveLength(3);
  });

  it('say why they do not come, and can be asked for again', async () => {
    const { inbox, server } = await opened(12);
    server.status = 503;
    await inbox.loadMore();
    expect(inbox.getState()).toMatchObject({ status: 'ready', error: 'a status of 503', more: true, busy: false });
    server.status = 200;
    await inbox.loadMore();
    expect(inbox.getState()).toMatchObject({ error: undefined, more: true });
    expect(numbers(inbox)).toEqual(down(12, 3));
  });

  it('of a log that has begun anew give way to the newest of that one', async () => {
    const { inbox, server } = await opened(12);
    server.log = [event(99)];
    await inbox.loadMore();
    await pass(10);
    expect(numbers(inbox)).toEqual([99]);
    expect(inbox.getState()).toMatchObject({ more: false, error: undefined });
  });
});

describe('the count', () => {
  it("is hello's after an absence, and no page is read", async () => {
    const { inbox, server, arrived, client } = await opened(12, { state: { up_to: [idOf(2)] } });
    expect(inbox.getState().unread).toBe(10);
    server.add(event(13), event(14));
    server.state = { up_to: [idOf(4)], read: [idOf(13)] };
    FakeSocket.last.end(1006);
    await pass(500);
    const socket = await greet({ cursor: 'C12', resumed: true, unread: 8 });
    socket.say({ type: 'read', cursor: 'C12', ...server.state }, event(13), event(14));
    expect(inbox.getState().unread).toBe(9);
    expect(numbers(inbox)).toEqual([14, 13, 12, 11, 10, 9, 8]);
    expect(arrived.map((n) => n.id)).toEqual([idOf(14)]); // the other was read elsewhere
    await pass(10_000);
    expect(server.asked).toEqual(['']);
    expect(client.state).toBe('live');
  });

  it('is taken anew from a read state when all that is unread is here', async () => {
    const { inbox, server, reads } = await opened(12, { state: { up_to: [idOf(9)] } });
    expect(inbox.getState().unread).toBe(3);
    reads({ up_to: [idOf(9)], read: [idOf(11)] });
    expect(unreadOf(inbox)).toEqual([12, 10]);
    expect(inbox.getState().unread).toBe(2);
    reads({ up_to: [idOf(12)] });
    expect(inbox.getState().unread).toBe(0);
    await pass(10_000);
    expect(server.asked).toEqual(['']);
  });

  it('is asked for when it is not, once for many read states', async () => {
    const { inbox, server, reads } = await opened(12);
    expect(inbox.getState().unread).toBe(12);
    reads({ read: [idOf(1)] });
    reads({ read: [idOf(1), idOf(2)] });
    await pass(2_000);
    expect(server.asked).toEqual(['', '']);
    expect(inbox.getState().unread).toBe(10);
    reads({ up_to: [idOf(12)], unread: [idOf(1)] });
    expect(inbox.getState().unread).toBe(0); // as far as is known
    await pass(2_000);
    expect(inbox.getState().unread).toBe(1);
    expect(unreadOf(inbox)).toEqual([]);
    reads({ up_to: [idOf(12)], unread: [idOf(1), idOf(2)] });
    await pass(2_000);
    expect(inbox.getState().unread).toBe(2);
  });

  it('survives what comes while a page is on its way', async () => {
    const { inbox, server, says, reads } = await opened(8);
    server.held = true;
    void inbox.refresh();
    await pass();
    says(event(9), event(10));
    server.held = false;
    server.release();
    await pass();
    expect(numbers(inbox)).toEqual(down(10, 4));
    expect(inbox.getState().unread).toBe(10);

    server.held = true;
    void inbox.refresh();
    await pass();
    reads({ up_to: [idOf(7)] });
    expect(inbox.getState().unread).toBe(3);
    server.held = false;
    server.release();
    await pass();
    expect(unreadOf(inbox)).toEqual([10, 9, 8]); // not what the page has, which is older
    await pass(2_000);
    expect(inbox.getState().unread).toBe(3);
  });

  it('is of what is here when no read state follows hello, and one comes later', async () => {
    const { inbox, server } = await opened(8);
    FakeSocket.last.end(1006);
    await pass(500);
    const socket = await greet({ cursor: 'C8', resumed: true, unread: 8 });
    server.add(event(9));
    socket.say(event(9), { type: 'read', cursor: 'R', up_to: [idOf(8)] });
    expect(inbox.getState().unread).toBe(1);
  });

  it('is by the history where the read state is of a session that is no more', async () => {
    const { inbox, server } = await opened(3);
    FakeSocket.last.end(1006);
    server.state = { up_to: [idOf(2)] };
    await pass(500);
    await greet({ resumed: false });
    await pass();
    expect(unreadOf(inbox)).toEqual([3]);
    expect(inbox.getState().unread).toBe(1);
  });

  it('is that of the history where hello has none', async () => {
    const server = new FakeHistory().add(...range(1, 8).map((n) => event(n)));
    const { made, inbox } = over(server);
    const socket = await live(made);
    await pass();
    expect(inbox.getState().unread).toBe(8);
    socket.say(event(9));
    expect(inbox.getState().unread).toBe(9);
  });
});

describe('marks', () => {
  it('are shown at once, sent, and then the word of the server', async () => {
    const { inbox, socket, reads, client } = await opened(3);
    inbox.markRead(idOf(2));
    expect(unreadOf(inbox)).toEqual([3, 1]);
    expect(inbox.getState().unread).toBe(2);
    await pass();
    expect(socket.sent).toEqual([`{"type":"read","read":["${idOf(2)}"]}`]);
    reads({ read: [idOf(2)] });
    expect(client.pendingReads).toEqual([]);
    expect(unreadOf(inbox)).toEqual([3, 1]);
    inbox.markUnread(idOf(2));
    expect(inbox.getState().unread).toBe(3);
    reads({ up_to: [idOf(3)] }); // another device was faster
    expect(unreadOf(inbox)).toEqual([2]);
    await pass();
    reads({ up_to: [idOf(3)], unread: [idOf(2)] });
    expect(unreadOf(inbox)).toEqual([2]);
    expect(client.pendingReads).toEqual([]);
  });

  it('that contradict each other are shown as the last of them says', async () => {
    const { inbox } = await opened(2);
    inbox.markRead(idOf(2));
    inbox.markUnread(idOf(2));
    expect(unreadOf(inbox)).toEqual([2, 1]);
    inbox.markAllRead();
    expect(unreadOf(inbox)).toEqual([]);
    inbox.markUnread(idOf(1));
    expect(unreadOf(inbox)).toEqual([1]);
  });

  it('that the server refuses are taken back', async () => {
    const { inbox, socket } = await opened(3);
    inbox.markRead(idOf(1), idOf(2));
    await pass();
    expect(inbox.getState().unread).toBe(1);
    socket.say({ type: 'error', code: 'unsupported', message: 'this server does not handle read' });
    expect(inbox.getState().unread).toBe(3);
  });

  it('of all are of all that was sent, and not of what comes meanwhile', async () => {
    const { inbox, socket, says, reads, server } = await opened(12);
    expect(inbox.getState().unread).toBe(12);
    inbox.markAllRead();
    expect(inbox.getState().unread).toBe(0);
    says(event(13));
    expect(inbox.getState().unread).toBe(1);
    await pass();
    expect(socket.sent).toEqual([`{"type":"read","up_to":"${idOf(12)}"}`]);
    reads({ up_to: [idOf(12)] });
    expect(inbox.getState().unread).toBe(1);
    await pass(2_000);
    expect(inbox.getState().unread).toBe(1);
    expect(server.asked).toHaveLength(2);
    expect(unreadOf(inbox)).toEqual([13]);
  });

  it('of all, where nothing is known, are the server\'s to understand', async () => {
    const { inbox, socket, says } = await opened(0);
    inbox.markAllRead();
    await pass();
    expect(socket.sent).toEqual(['{"type":"read","all":true}']);
    says(event(1, { ts: Date.now() - 1 }), event(2, { ts: Date.now() + 1 }));
    expect(unreadOf(inbox)).toEqual([2]);
  });

  it('made while offline survive a restart', async () => {
    const store = memoryStore();
    const first = await opened(3, { store });
    first.socket.end(1006);
    first.inbox.markRead(idOf(3));
    first.inbox.markUnread(idOf(1));
    await pass(2_000);
    first.inbox.stop();
    first.client.stop();

    const again = over(new FakeHistory(), { store });
    await pass();
    again.client.start();
    await pass();
    expect(unreadOf(again.inbox)).toEqual([2, 1]);
    expect(again.inbox.getState()).toMatchObject({ unread: 2, status: 'ready' });
  });
});

describe('what arrives', () => {
  it('is not what the history brought, nor what was there before', async () => {
    const store = memoryStore();
    const first = await opened(3, { store });
    first.says(event(4));
    await pass(2_000);
    expect(first.arrived.map((n) => n.id)).toEqual([idOf(4)]);
    first.inbox.stop();
    first.client.stop();

    const server = new FakeHistory().add(...range(1, 6).map((n) => event(n)));
    const { made, arrived } = over(server, { store });
    const socket = await live(made, { resumed: true, cursor: 'C2', unread: 2 });
    socket.say({ type: 'read', cursor: 'C2' }, event(3), event(4), event(5));
    await pass(1_000);
    socket.say(event(6));
    expect(arrived.map((n) => n.id)).toEqual([idOf(5)]);
  });

  it('is not what is read', async () => {
    const { says, reads, arrived } = await opened(3);
    reads({ up_to: [idOf(3)], read: [idOf(5)] });
    says(event(4), event(5));
    expect(arrived.map((n) => n.id)).toEqual([idOf(4)]);
  });
});
