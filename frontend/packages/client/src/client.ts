// The client: what a person's connections, one after another, have in common.

import { createBudget, type Budget } from './budget.js';
import { createConnector } from './connector.js';
import { createClientEvents, lendReport } from './listeners.js';
import { formatQuery, isCursor, isOwn, isSignal, type OwnFrame, type ServerFrame } from './frames.js';
import { readHistory } from './history.js';
import { createReads } from './reads.js';
import { createRefresher } from './refresher.js';
import { createSlot, memoryStore } from './storage.js';
import { createTopics } from './topics.js';
import type { Client, ClientOptions, HelloFrame } from './types.js';
import { within } from './within.js';

/** How long the token provider may take, in milliseconds. */
const TOKEN_PATIENCE = 15_000;

/** How many ids of events are remembered, to tell those that come again. */
const REMEMBERED = 1_000;

/** Frames at once, and a second after that: with the signals, pings and tokens fewer than a server takes (60 and 4). */
const FRAMES = [40, 1.5] as const;

/** Signals, the same; a server sends on 10 and 5. */
const SIGNALS = [10, 2] as const;

/** The http(s) origin of an address; a folder in front of the API is kept. */
function originOf(url: string): string {
  const found = /^(?:http|ws)(s?:\/\/[^/?#]+[^?#]*?)\/*$/i.exec(url);
  if (!found) throw new TypeError(`no url of a mesh: ${url}`);
  return `http${found[1]}`;
}

/**
 * Makes a client; `start()` connects it.
 * @throws TypeError when `url` is no http(s) or ws(s) address.
 */
export function createClient(options: ClientOptions): Client {
  const origin = originOf(options.url);
  const store = options.store ?? memoryStore();
  const { on, emit, report } = createClientEvents();
  const seen = new Set<string>();
  const place = createSlot(store, 'cursor', options.user, report);
  let cursor: string | null = null;
  let placed: Promise<void> | undefined; // the stored cursor has been read
  let epoch = 0; // what was begun before forget() keeps nothing
  let pumping: ReturnType<typeof setTimeout> | undefined;

  const topics = createTopics(options.topics ?? [], wake, report);
  const reads = createReads(createSlot(store, 'reads', options.user, report), {
    wake,
    changed: () => emit('pending', reads.pending()),
    doubt: () => connector.live()?.check(),
    report,
  });
  const refresher = createRefresher(token);
  const connector = createConnector(options, { token, ready, url, frame, state: (state) => emit('state', state), lost, report });
  let frames!: Budget; // of the connection
  let signals!: Budget;

  async function token(fresh: boolean): Promise<string> {
    try {
      const text = await within(TOKEN_PATIENCE, () => options.token(fresh));
      if (typeof text === 'string' && text) return text;
      throw new TypeError('no token');
    } catch (cause) {
      report('token', cause);
      throw cause;
    }
  }

  function ready(): Promise<void> {
    const mine = epoch;
    return (placed ??= place.load().then((stored) => {
      if (mine === epoch && isCursor(stored)) cursor = stored;
    }));
  }

  function url(): string {
    const { signals, unread } = options;
    return `ws${origin.slice(4)}/api/v1/ws?${formatQuery({ cursor, topics: topics.query(), signals: signals && 1, unread: unread && 1 })}`;
  }

  function frame(f: ServerFrame): void {
    const mine = epoch;
    if (isOwn(f)) own(f);
    else if (isNew(f.id)) emit('event', f);
    // Only now, so that a crash brings the frame again. A hello does not move who has a place already.
    if (!('cursor' in f) || mine !== epoch || (f.type === 'hello' && cursor)) return;
    cursor = f.cursor;
    place.save(() => cursor ?? '');
  }

  function isNew(id: string): boolean {
    if (seen.has(id)) return false;
    seen.add(id);
    if (seen.size > REMEMBERED) seen.delete(seen.values().next().value ?? '');
    return true;
  }

  function own(f: OwnFrame): void {
    switch (f.type) {
      case 'hello':
        return greeted(f);
      case 'gap':
        return emit('gap', f);
      case 'read':
        reads.confirm(f);
        return emit('read', f);
      case 'signal':
        return emit('signal', f);
      case 'subscribed':
        return emit('topics', f.topics);
      case 'reconnect':
        return connector.move(f.after_ms);
      case 'auth':
        return refresher.hurry();
      case 'error':
        reads.failed(f.code);
        if (f.code === 'unavailable') topics.unavailable();
        return emit('error', { source: 'server', code: f.code, message: f.message });
    }
  }

  function greeted(hello: HelloFrame): void {
    if (!connector.live()) {
      frames = createBudget(...FRAMES);
      signals = createBudget(...SIGNALS);
      wake();
    }
    connector.greeted(hello.ping);
    const link = connector.live(); // unless a listener has stopped it
    if (link) refresher.plan(link, hello.expires);
    emit('hello', hello);
  }

  function lost(): void {
    refresher.stop();
    topics.lost();
    reads.lost();
  }

  function wake(): void {
    pumping ??= setTimeout(pump, 0);
  }

  /** Says what is to be said, no faster than the server takes it. */
  function pump(): void {
    pumping = undefined;
    const link = connector.live();
    if (!link) return;
    let wait: number;
    while (!(wait = frames(0))) {
      const next = topics.next() ?? reads.next();
      if (!next) return;
      frames();
      link.send(next);
    }
    pumping = setTimeout(pump, wait);
  }

  const client: Client = {
    user: options.user,
    store,
    get state() {
      return connector.state();
    },
    get closeCode() {
      return connector.closeCode();
    },
    get topics() {
      return topics.wanted();
    },
    get pendingReads() {
      return reads.pending();
    },
    start() {
      connector.start();
      reads.load();
    },
    stop: connector.stop,
    async forget() {
      connector.stop();
      epoch++;
      cursor = null;
      seen.clear();
      emit('forget', undefined);
      await Promise.all([place, reads, createSlot(store, 'inbox', options.user, report)].map((kept) => kept.clear()));
    },
    on,
    join: topics.join,
    leave: topics.leave,
    read: reads.add,
    signal(topic, name, payload) {
      const link = connector.live();
      return !!link && isSignal(topic, name, payload) && !signals() && link.send({ type: 'signal', topic, name, payload });
    },
    history: (query = {}) => readHistory({ fetch: options.fetch ?? fetch, origin, token, report }, query),
  };
  lendReport(client, report);
  return client;
}
