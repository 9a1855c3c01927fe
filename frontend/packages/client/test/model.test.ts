// An inbox among random events, marks, cuts and failures always comes to show what the server has.
import { expect, it, vi } from 'vitest';
import { createInbox, memoryStore, type Client, type Inbox, type Store } from '../src/index.js';
import { FakeEnvironment, FakeSocket, fakeTime, make, pass } from './fake.js';
import { FakeMesh } from './fakeMesh.js';
import { createRandom, type Random } from './random.js';

fakeTime();

/** Runs that are tried; another first seed by SEED. */
const FIRST = Number(process.env.SEED ?? 20_261_123);
const RUNS = 150;
const STEPS = 80;

interface World {
  /** There are events that expire, or make room for others: of those that it does not hold an inbox cannot know that. */
  passing: boolean;
  mesh: FakeMesh;
  random: Random;
  environment: FakeEnvironment;
  client: Client;
  inbox: Inbox;
  arrived: string[];
}

function begin(passing: boolean, random: Random, mesh: FakeMesh, store: Store, arrived: string[] = []): World {
  const environment = new FakeEnvironment();
  const { client } = make({ unread: true, store, environment, fetch: mesh.fetch as typeof fetch });
  const inbox = createInbox(client, { cap: 12 });
  inbox.onArrival((n) => void arrived.push(n.id));
  inbox.start();
  client.start();
  return { passing, mesh, random, environment, client, inbox, arrived };
}

const steps: ((w: World) => unknown)[] = [
  ({ mesh }) => mesh.publish({}),
  ({ mesh }) => mesh.publish({ to: 'broadcast' }),
  ({ mesh }) => mesh.publish({ to: 'topic:t' }),
  ({ mesh, random, passing }) => mesh.publish(passing ? { collapse: `k${random.below(3)}` } : {}),
  ({ mesh, random, passing }) => mesh.publish(passing ? { expires: Date.now() + random.below(20_000) } : {}),
  ({ mesh, random }) => Array.from({ length: random.below(25) }, () => mesh.publish({})),
  ({ inbox, random }) => inbox.markRead(random.of(inbox.getState().items)?.id ?? '0-1-1'),
  ({ inbox, random }) => inbox.markUnread(random.of(inbox.getState().items)?.id ?? '0-1-1'),
  ({ inbox, random }) => random.chance(0.3) && inbox.markAllRead(),
  // Another device.
  ({ mesh, random }) => mesh.mark({ read: [mesh.frame(random.of(mesh.log) ?? mesh.publish({})).id] }),
  ({ mesh, random }) => mesh.mark({ unread: [mesh.frame(random.of(mesh.log) ?? mesh.publish({})).id] }),
  ({ mesh, random }) => random.chance(0.3) && mesh.mark({ all: true }),
  ({ mesh }) => mesh.cut(),
  ({ mesh, random }) => (mesh.up = random.chance(0.6)),
  ({ environment, random }) => environment.set({ online: random.chance(0.6) }),
  ({ environment, random }) => environment.set({ active: random.chance(0.6) }),
  ({ inbox }) => void inbox.refresh(),
  ({ inbox }) => void inbox.loadMore(),
  ({ mesh, random }) => (mesh.replay = random.of([3, 15]) ?? 3),
  ({ random }) => pass(random.below(5_000)),
];

/** What holds at every moment. */
function sane({ inbox, arrived }: World): void {
  const { items, unread } = inbox.getState();
  const ids = items.map((n) => n.id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(items.map((n) => n.ts)).toEqual([...items.map((n) => n.ts)].sort((a, b) => b - a));
  expect(items.every((n) => n.to === 'user' || n.to === 'broadcast')).toBe(true);
  expect(items.every((n) => (n.expires ?? Infinity) > Date.now())).toBe(true);
  expect(unread).toBeGreaterThanOrEqual(items.filter((n) => !n.read).length);
  expect(new Set(arrived).size).toBe(arrived.length);
}

/** Once nothing stands in the way, the inbox shows the newest that the server has. */
async function settled(w: World): Promise<void> {
  w.mesh.up = true;
  w.environment.set({ online: true, active: true });
  // What another device has overruled takes half a minute each: the server does not answer it.
  for (let i = 0, calm = 0; i < 3_600 && calm < 60; i++) {
    w.mesh.turn();
    await pass(1_000);
    calm = w.client.pendingReads.length ? 0 : calm + 1;
  }
  if (w.passing) {
    do {
      void w.inbox.refresh();
      await pass(1_000);
      w.mesh.turn();
    } while (w.inbox.getState().error);
  }
  const { items, unread, more, status, connection } = w.inbox.getState();
  const present = w.mesh.present;
  expect(connection).toBe('live');
  expect(status).toBe('ready');
  expect(w.client.pendingReads).toEqual([]);
  expect(items.map((n) => [n.id, n.read])).toEqual(present.slice(0, items.length).map((e) => [w.mesh.frame(e).id, w.mesh.isRead(e.n)]));
  expect(items.length).toBeGreaterThanOrEqual(Math.min(w.mesh.pageSize, present.length));
  if (!more) expect(items.length).toBe(present.length);
  expect(unread).toBe(w.mesh.unread);
}

async function run(seed: number): Promise<void> {
  const random = createRandom(seed);
  vi.mocked(Math.random).mockImplementation(random.next);
  FakeSocket.all = [];
  const store = memoryStore();
  let w = begin(seed % 2 === 0, random, new FakeMesh(random), store);
  for (let i = 0; i < STEPS; i++) {
    await random.of(steps)?.(w);
    w.mesh.turn();
    await pass(random.below(3) * 50);
    sane(w);
    if (random.chance(0.02)) {
      await pass(2_500);
      w.client.stop();
      w.inbox.stop();
      w = begin(w.passing, random, w.mesh, store, w.arrived);
    }
    if (random.chance(0.03)) await settled(w);
  }
  await settled(w);
  w.client.stop();
  w.inbox.stop();
  vi.clearAllTimers();
}

it('shows what the server has', { timeout: 240_000 }, async () => {
  for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
    try {
      await run(seed);
    } catch (cause) {
      throw new Error(`with SEED=${seed}: ${(cause as Error).message}`, { cause });
    }
  }
});
