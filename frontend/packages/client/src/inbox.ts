// The inbox: the list of notifications over a client, how many are unread, and what has just arrived.

import { createEvents, reportOf } from './listeners.js';
import { createItems } from './items.js';
import { isRead } from './readState.js';
import { formatSaved, parseSaved } from './saved.js';
import { createSlot } from './storage.js';
import { createSync, DOUBT } from './sync.js';
import type { AnyEvent, Client, HelloFrame, Inbox, InboxOptions, InboxState, Notification, ReadFrame, ReadState } from './types.js';
import { viewOf } from './view.js';

/** How many items an inbox keeps unless told. */
const CAP = 200;

/** What comes in is told so late, in milliseconds, all at once: a flood must not stall the page. */
const NOTICE = 50;

/** The inbox is stored so often at most, in milliseconds. */
const SPACING = 1_000;

/** Timers cannot be set for longer than 24 days. */
const DAY = 86_400_000;

/** Makes an inbox over a client, which should have been made with `unread: true`. */
export function createInbox(client: Client, options: InboxOptions = {}): Inbox {
  const cap = options.cap ?? CAP;
  const report = reportOf(client);
  const slot = createSlot(options.store ?? client.store, 'inbox', client.user, report, SPACING);
  const items = createItems(cap);
  const sync = createSync(client, items, {
    isRead: (e) => (current && readState ? isRead(readState, e.id) : e.read),
    readState: () => readState,
    renewed() {
      known = true;
      first ||= client.state !== 'live'; // the next session may begin before what was read now
    },
    changed,
  });
  const { on, emit } = createEvents<{ change: undefined; arrival: Notification }>(report);

  // What the server has said is read. It is `current` when it is of the session that there is; the
  // answers of the history, which may be older by a moment, then say nothing of that.
  let readState: ReadState | undefined;
  let current = false;

  // Of the session: hello has come, and how many it said are unread, until the read state follows.
  let greeted = false;
  let counted: number | undefined;

  let first = true; // what is here has not been joined to a session
  let known = false; // from the device, or from the history
  let loading: Promise<void> | undefined;
  let stops: (() => void)[] = [];

  let snapshot: InboxState | undefined;
  let expiry = Infinity; // when the first of the items expires
  let expiring: ReturnType<typeof setTimeout> | undefined;
  let notice: ReturnType<typeof setTimeout> | undefined;

  /** `now`: the person did it, or waits for it. */
  function changed(now = false): void {
    if (known) slot.save(() => (items.whole() ? formatSaved(items, readState, cap) : ''));
    snapshot = undefined;
    if (now) tell();
    else notice ??= setTimeout(tell, NOTICE);
  }

  function tell(): void {
    clearTimeout(notice);
    notice = undefined;
    emit('change', undefined);
  }

  function look(): InboxState {
    const now = Date.now();
    if (snapshot && now < expiry) return snapshot;
    const view = viewOf(items, client.pendingReads);
    expiry = Math.min(...view.items.map((item) => item.expires ?? Infinity));
    clearTimeout(expiring);
    if (stops.length && expiry < Infinity) expiring = setTimeout(() => changed(true), Math.min(expiry - now, DAY));
    const connection = client.state;
    const error = sync.error() ?? (!known && (connection === 'offline' || connection === 'refused') ? connection : undefined);
    snapshot = {
      ...view,
      status: known ? 'ready' : error === undefined ? 'loading' : 'error',
      error,
      more: items.older() !== undefined,
      busy: sync.busy(),
      connection,
    };
    return snapshot;
  }

  function load(): void {
    const mine = slot.load().then((text) => {
      const saved = parseSaved(text);
      if (!saved || loading !== mine) return; // nothing, or forgotten meanwhile
      items.restore(saved.items, saved.beyond, saved.older);
      readState ??= saved.state;
      known = true;
      changed(true);
    });
    loading = mine;
  }

  function onState(): void {
    if (client.state !== 'live') greeted = current = false;
    if (client.state === 'waiting' && first && !known) sync.want();
    sync.kick();
    changed(true);
  }

  function onHello(hello: HelloFrame): void {
    if (greeted) return; // it answers another token
    greeted = true;
    counted = hello.unread;
    // What was missed follows a hello that resumes; is it the first, what is stored may lack its end.
    if (first || !hello.resumed) reload(hello.resumed && known ? DOUBT : 0);
    first = false;
  }

  function reload(wait?: number): void {
    items.gap();
    sync.want(wait);
  }

  function onEvent(e: AnyEvent): void {
    counted = undefined;
    if ((e.expires ?? Infinity) <= Date.now() || items.get(e.id)) return;
    const read = !!readState && isRead(readState, e.id);
    const { cursor: _, ...event } = e;
    items.add(event, read);
    changed();
    if (!read) emit('arrival', { ...event, read });
  }

  function onRead(frame: ReadFrame): void {
    // Events that are not here, and of which it may have changed whether they are unread.
    const others = [...(readState?.read ?? []), ...(frame.unread ?? [])].filter((id) => !items.get(id));
    const oldest = items.list().at(-1);
    readState = frame;
    current = true;
    for (const item of items.list()) item.read = isRead(frame, item.event.id);
    if (counted !== undefined) {
      items.count(counted);
    } else if (items.older() !== undefined && (items.beyond() || others.some((id) => !isRead(frame, id)))) {
      // Not all that is unread is here: what all up to an item is read says of it, and then the server.
      if (oldest && isRead({ up_to: frame.up_to }, oldest.event.id)) items.count(0);
      sync.want(DOUBT);
    }
    counted = undefined;
    changed();
  }

  function onForget(): void {
    stop();
    items.clear();
    readState = loading = undefined;
    known = false;
    void slot.clear();
    changed(true);
  }

  function start(): void {
    if (stops.length) return;
    first = true;
    greeted = client.state === 'live';
    stops = [
      client.on('state', onState),
      client.on('hello', onHello),
      client.on('event', onEvent),
      client.on('read', onRead),
      client.on('gap', () => reload()),
      client.on('pending', () => changed(true)),
    ];
    if (!loading) load();
    sync.start();
    if (greeted) reload();
  }

  function stop(): void {
    stops.forEach((off) => off());
    stops = [];
    sync.stop();
    clearTimeout(notice);
    clearTimeout(expiring);
    notice = undefined;
    current = false;
  }

  client.on('forget', onForget); // whether it is started or not
  return {
    getState: look,
    subscribe: (fn) => on('change', fn),
    start,
    stop,
    refresh: sync.refresh,
    loadMore: sync.loadMore,
    markRead: (...ids) => client.read({ read: ids }),
    markUnread: (...ids) => client.read({ unread: ids }),
    markAllRead() {
      const newest = items.list()[0];
      client.read(newest ? { up_to: newest.event.id } : { all: true });
    },
    onArrival: (fn) => on('arrival', fn),
  };
}
