// Clients at the real program.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { memoryStore, type ClientOptions } from '../../src/index.js';
import { FakeEnvironment } from '../fake.js';
import { Mesh, mint } from './mesh.js';
import { Person, until } from './person.js';

let people: Person[] = [];
afterEach(() => {
  for (const person of people) person.leave();
  people = [];
});

function arrive(mesh: Mesh, user: string, options: Partial<ClientOptions> = {}): Person {
  const person = new Person(mesh, user, options);
  people.push(person);
  return person;
}

/** Users whom no other test knows. */
let users = 0;
const someone = (name: string) => `${name}-${++users}`;

describe('a mesh', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await Mesh.run({ WS_HISTORY_SIZE: '5', WS_PARTITIONS: '3' });
  });
  afterAll(() => mesh.remove());

  it('delivers to everybody, to a person and to a topic', async () => {
    const [name, other] = [someone('ada'), someone('grace')];
    const ada = await arrive(mesh, name, { topics: ['club.7'] }).live();
    const grace = await arrive(mesh, other).live();
    await mesh.toast('to all', { teaser: 'hello' });
    await mesh.toast('to ada', { to: { user: name } });
    await mesh.toast('to the club', { to: { topic: 'club.7' } });
    await until(() => ada.events.length === 3, 'three events');
    await until(() => grace.events.length === 1, 'one event');
    expect(ada.titles.sort()).toEqual(['to ada', 'to all', 'to the club']);
    expect(grace.titles).toEqual(['to all']);
    expect(ada.events.find((e) => e.to === 'broadcast')).toMatchObject({ type: 'toast', payload: { title: 'to all', teaser: 'hello' } });
    await until(() => ada.list.includes('to ada') && ada.list.includes('to all'), 'the inbox');
    expect(ada.list).not.toContain('to the club');
    expect(ada.arrived).toHaveLength(3);
    expect(ada.errors).toEqual([]);
  });

  it('pages through a history', async () => {
    const name = someone('ada');
    for (let i = 1; i <= 12; i++) await mesh.toast(`past ${i}`, { to: { user: name } });
    const ada = await arrive(mesh, name).live();
    const mine = () => ada.list.filter((title) => String(title).startsWith('past'));
    while (ada.inbox.getState().more && mine().length < 12) await ada.inbox.loadMore();
    expect(mine()).toEqual(Array.from({ length: 12 }, (_, i) => `past ${i + 1}`));
    expect(ada.arrived).toEqual([]);
    expect(ada.unread).toBeGreaterThanOrEqual(12);
    const page = await ada.client.history({ limit: 2 });
    expect(page.events).toHaveLength(2);
    expect(page.next).toBe(page.events[1]?.id);
  });

  it('keeps one read state for two devices', async () => {
    const name = someone('ada');
    const phone = await arrive(mesh, name).live();
    const desk = await arrive(mesh, name).live();
    phone.inbox.markAllRead();
    await until(() => desk.unread === 0 && phone.client.pendingReads.length === 0, 'all read');
    const ids: string[] = [];
    for (let i = 1; i <= 4; i++) ids.push((await mesh.toast(`new ${i}`, { to: { user: name } })).id);
    await until(() => phone.unread === 4 && desk.unread === 4, 'four unread');
    phone.inbox.markRead(ids[0] ?? '', ids[3] ?? '');
    expect(phone.unread).toBe(2);
    await until(() => desk.unread === 2, 'two unread');
    const unread = (p: Person) => p.inbox.getState().items.filter((n) => !n.read).map((n) => n.payload.title);
    expect(unread(desk)).toEqual(['new 3', 'new 2']);
    desk.inbox.markUnread(ids[3] ?? '');
    await until(() => phone.unread === 3, 'three unread');
    desk.inbox.markAllRead();
    await until(() => phone.unread === 0 && desk.unread === 0, 'all read');
    const third = await arrive(mesh, name).live();
    await until(() => third.unread === 0, 'all read on a third device');
    await until(() => [phone, desk].every((p) => p.client.pendingReads.length === 0), 'confirmed');
    expect([...phone.errors, ...desk.errors]).toEqual([]);
  });

  it('is told of what was read while offline', async () => {
    const name = someone('ada');
    const { id } = await mesh.toast('one', { to: { user: name } });
    const environment = new FakeEnvironment();
    const phone = await arrive(mesh, name, { environment }).live();
    phone.client.stop();
    phone.inbox.markRead(id);
    expect(phone.client.pendingReads).toMatchObject([{ read: [id], at: expect.any(Number) }]);
    const desk = await arrive(mesh, name).live();
    const isRead = () => desk.inbox.getState().items.find((n) => n.id === id)?.read;
    expect(isRead()).toBe(false);
    phone.client.start();
    await until(isRead, 'read on the desk');
    await until(() => phone.client.pendingReads.length === 0, 'confirmed');
  });

  it('shows the newest of a key, until it expires', async () => {
    const name = someone('ada');
    const ada = await arrive(mesh, name).live();
    for (const title of ['in 5 minutes', 'in 2 minutes']) await mesh.toast(title, { to: { user: name }, collapse: 'taxi', ttl: 2 });
    const taxis = () => ada.list.filter((title) => String(title).includes('minutes'));
    await until(() => taxis().includes('in 2 minutes'), 'the newest');
    expect(taxis()).toEqual(['in 2 minutes']);
    await until(() => taxis().length === 0, 'expiry');
  });

  it('carries topics and signals', async () => {
    const [one, two] = [await arrive(mesh, someone('ada'), { signals: true }).live(), await arrive(mesh, someone('grace'), { signals: true, topics: ['chess'] }).live()];
    let topics: readonly string[] = [];
    one.client.on('topics', (now) => (topics = now));
    const signals: unknown[] = [];
    two.client.on('signal', (s) => signals.push(s));
    one.client.join('chess');
    await until(() => topics.includes('chess'), 'joined');
    expect(one.client.signal('chess', 'typing', { on: true })).toBe(true);
    await until(() => signals.length === 1, 'a signal');
    expect(signals).toEqual([{ type: 'signal', name: 'typing', to: 'topic:chess', from: one.client.user, payload: { on: true } }]);
    one.client.leave('chess');
    await until(() => topics.length === 0, 'left');
    await mesh.toast('check', { to: { topic: 'chess' } });
    await until(() => two.titles.includes('check'), 'the event of the topic');
    // Whoever has left gets nothing: what is published to them after it comes, and it has not.
    await mesh.toast('after', { to: { user: one.client.user } });
    await until(() => one.titles.includes('after'), 'what came after');
    expect(one.titles).not.toContain('check');
    expect([...one.errors, ...two.errors]).toEqual([]);
  });

  it('keeps a session whose token is replaced in time', async () => {
    const name = someone('ada');
    let minted = 0;
    const ada = await arrive(mesh, name, { token: async () => mint(name, 12, { nonce: ++minted }) }).live();
    await until(() => ada.hellos.length >= 3, 'two more tokens');
    expect(new Set(ada.hellos.map((h) => h.session)).size).toBe(1);
    expect(new Set(ada.hellos.map((h) => h.expires)).size).toBe(ada.hellos.length);
    expect(ada.client.closeCode).toBeUndefined();
  });

  it('ends one whose token has expired, which comes back with another', async () => {
    const name = someone('ada');
    let works = true;
    const ada = await arrive(mesh, name, { token: () => (works ? Promise.resolve(mint(name, 2)) : Promise.reject(new Error('signed out'))) }).live();
    works = false;
    await until(() => ada.client.closeCode === 4401, '4401');
    expect(ada.client.state).toBe('waiting');
    await mesh.toast('meanwhile', { to: { user: name } });
    works = true;
    await until(() => ada.titles.includes('meanwhile'), 'what came meanwhile');
  });

  it('refuses a token that makes no sense, and is not asked again with it', async () => {
    const ada = arrive(mesh, someone('ada'), { token: async () => 'nonsense' });
    await until(() => ada.client.state === 'refused', 'refused');
    expect(ada.client.closeCode).toBe(4401);
    await until(() => ada.inbox.getState().status === 'error', 'an inbox that says so');
    expect(ada.inbox.getState().error).toContain('refused');
  });
});

describe('a mesh that ends', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await Mesh.run({ WS_REPLAY_LIMIT: '20' });
  });
  afterAll(() => mesh.remove());

  it('misses nothing and tells nothing twice when it is killed and comes back', async () => {
    const name = someone('ada');
    const ada = await arrive(mesh, name).live();
    const published: string[] = [];
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 10; i++) published.push((await mesh.toast(`${round}.${i}`, { to: i % 2 ? { user: name } : undefined })).id);
      await mesh.kill();
      await until(() => ada.client.state !== 'live', 'the end');
      await mesh.start(); // on the port that it had
      for (let i = 0; i < 5; i++) published.push((await mesh.toast(`${round} after ${i}`, { to: { user: name } })).id);
      await until(() => ada.events.length >= published.length, 'all events');
      expect(ada.events.map((e) => e.id)).toEqual(published);
    }
    expect(ada.hellos.slice(1).every((h) => h.resumed)).toBe(true);
    await until(() => ada.unread === published.length, 'the count');
    expect(ada.arrived.map((n) => n.id)).toEqual(published);
    expect(ada.gaps).toEqual([]);
  });

  it('resumes from a stored cursor, and knows what was shown', async () => {
    const name = someone('ada');
    const store = memoryStore();
    const first = await arrive(mesh, name, { store }).live();
    await mesh.toast('seen', { to: { user: name } });
    await until(() => first.arrived.length === 1, 'an arrival');
    await until(() => first.list.includes('seen'), 'the list');
    const stored = first.events[0]?.cursor;
    let kept: string | null = null;
    await until(() => {
      void store.get(`vibemesh.cursor.${name}`).then((cursor) => (kept = cursor));
      return kept === stored;
    }, 'the cursor is stored');
    first.leave();
    await mesh.toast('missed', { to: { user: name } });

    const again = arrive(mesh, name, { store });
    await until(() => again.arrived.length === 1, 'an arrival');
    expect(again.arrived.map((n) => n.payload.title)).toEqual(['missed']);
    expect(again.hellos[0]?.resumed).toBe(true);
    await until(() => again.list.includes('seen') && again.list.includes('missed'), 'the list');
  });

  it('moves when it is asked to', async () => {
    const ada = await arrive(mesh, someone('ada')).live();
    const codes: unknown[] = [];
    ada.client.on('state', () => codes.push(ada.client.closeCode));
    await mesh.stop();
    await mesh.start();
    await until(() => codes.length > 0, 'the end of the session');
    expect(codes[0]).toBe(1012); // by the reconnect frame, or by the edge that has drained
    await until(() => ada.client.state === 'live' && ada.hellos.length > 1, 'another session');
    expect(ada.hellos.at(-1)?.resumed).toBe(true);
  });

  it('fills a gap from the history', async () => {
    const name = someone('ada');
    const ada = await arrive(mesh, name).live();
    const before = ada.unread;
    ada.client.stop();
    for (let i = 1; i <= 30; i++) await mesh.toast(`missed ${i}`, { to: { user: name } });
    ada.client.start();
    await until(() => ada.gaps.length === 1, 'a gap');
    expect(ada.gaps[0]?.reason).toBe('limit');
    const missed = () => ada.list.filter((title) => String(title).startsWith('missed'));
    await until(() => missed().length === 30 && ada.unread === before + 30, 'all that was missed');
    expect(ada.events.length).toBeLessThan(30);
    expect(missed()).toEqual(Array.from({ length: 30 }, (_, i) => `missed ${i + 1}`));
  });

  it('notices a server that stands still when the app comes back', async () => {
    const environment = new FakeEnvironment();
    const ada = await arrive(mesh, someone('ada'), { environment }).live();
    mesh.freeze();
    try {
      // The program may answer once more before it stands still.
      await until(() => {
        environment.set({ active: false });
        environment.set({ active: true });
        return ada.client.state !== 'live';
      }, 'the end of the session');
      expect(ada.client.closeCode).toBe(1006);
    } finally {
      mesh.thaw();
    }
    await until(() => ada.client.state === 'live', 'another session');
  });

  it('starts over with a log that began anew', async () => {
    const name = someone('ada');
    const ada = await arrive(mesh, name).live();
    await mesh.toast('lost', { to: { user: name } });
    await until(() => ada.list.includes('lost'), 'the first');
    await mesh.kill();
    mesh.wipe();
    await mesh.start();
    await until(() => ada.gaps.length === 1, 'a gap');
    expect(ada.gaps[0]?.reason).toBe('unknown');
    await mesh.toast('new', { to: { user: name } });
    await until(() => ada.list.length === 1, 'the list of the new log');
    expect(ada.list).toEqual(['new']);
    await until(() => ada.unread === 1, 'the count');
  });
});

describe('a mesh that asks who may join', () => {
  let mesh: Mesh;
  beforeAll(async () => {
    mesh = await Mesh.run({ WS_TOPICS: 'claim' });
  });
  afterAll(() => mesh.remove());

  it('leaves out what a person may not join', async () => {
    const name = someone('ada');
    const token = async () => mint(name, 3_600, { topics: ['chess', 'club.*'] });
    let topics: readonly string[] = [];
    const ada = arrive(mesh, name, { token, topics: ['chess', 'secret'] });
    ada.client.on('topics', (now) => (topics = now));
    await ada.live();
    await until(() => topics.length === 1, 'one topic');
    expect(ada.errors).toMatchObject([{ source: 'server', code: 'forbidden' }]);
    ada.client.join('club.7');
    await until(() => topics.length === 2, 'two topics');
    expect([...topics].sort()).toEqual(['chess', 'club.7']);
    await mesh.toast('in the club', { to: { topic: 'club.7' } });
    await until(() => ada.titles.includes('in the club'), 'the event of the topic');
  });
});
