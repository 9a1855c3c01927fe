// The items of an inbox: newest first, without a hole from the newest one down to the oldest, and bounded.

import { compareNumbers } from './ids.js';
import type { HistoryEvent, HistoryPage, Notification } from './types.js';

/** An event of the history, without what changes. */
export type Entry = Omit<HistoryEvent, 'read'>;

export interface Item {
  readonly event: Entry;
  /** The person has read it, as far as the server has said. */
  read: boolean;
  /** Counts insertions: what came after a request for a page was sent may be missing on the page. */
  readonly came: number;
  /** As it was shown last. */
  shown?: Notification;
}

type IsRead = (e: HistoryEvent) => boolean;

export interface Items {
  /** Newest first. */
  list(): readonly Item[];
  /** How many are unread beyond those of the list. */
  beyond(): number;
  /** Where the history goes on below the list; undefined: the list has all. */
  older(): string | undefined;
  /** The number of the last insertion. */
  last(): number;
  get(id: string): Item | undefined;
  /** Adds an event, unless it is there or a newer one has its place. */
  add(event: Entry, read: boolean): void;
  /** Something between what is here and what comes from now on is missed. */
  gap(): void;
  /** Nothing is missed between the items. */
  whole(): boolean;
  /** Takes in the newest page of the history, which was asked for after the insertion `since`. False: another is needed. */
  renew(page: HistoryPage, since: number, isRead: IsRead): boolean;
  /** Takes in the next older page. */
  extend(page: HistoryPage, isRead: IsRead): void;
  /** So many are unread in all. */
  count(unread: number): void;
  /** Takes in what was stored. */
  restore(events: readonly HistoryEvent[], unreadBeyond: number, olderId: string | undefined): void;
  clear(): void;
}

/** Orders events, newest first; those of one millisecond as the log does, within a partition. */
export const byNewest = (a: Entry, b: Entry) => b.ts - a.ts || compareNumbers(b.id, a.id);

/** Whether it has not expired. */
export const isShown = ({ event }: Item) => (event.expires ?? Infinity) > Date.now();

export const unreadOf = (items: readonly Item[]) => items.filter((item) => !item.read && isShown(item)).length;

export function createItems(cap: number): Items {
  let list: readonly Item[] = [];
  let beyond = 0;
  let older: string | undefined;
  let room = cap;
  let last = 0;
  let whole = Infinity; // nothing is missed between the items that came up to this insertion
  let gap = 0; // something is missed after this one

  const get = (id: string) => list.find((item) => item.event.id === id);

  /** Keeps some items, as many as there is room for. */
  function set(items: readonly Item[]): void {
    list = items.slice(0, room);
    if (items.length > room) {
      beyond += unreadOf(items.slice(room));
      older = list.at(-1)?.event.id;
    }
  }

  function add(event: Entry, read: boolean, came = ++last): void {
    const { id, to, collapse } = event;
    const same = list.find((item) => item.event.id === id || (collapse && item.event.collapse === collapse && item.event.to === to));
    // Topics are not of the history, and so not of the inbox.
    if (to.startsWith('topic:') || (same && byNewest(same.event, event) <= 0)) return;
    // What is sorted already, as it is but for the new one, sorts in one go.
    set([{ event, read, came }, ...list.filter((item) => item !== same)].sort((a, b) => byNewest(a.event, b.event)));
  }

  function take(page: HistoryPage, isRead: IsRead): void {
    for (const e of page.events) {
      const item = get(e.id);
      if (item) item.read = isRead(e);
      else add(e, isRead(e));
    }
  }

  /** So many are unread in all, those of the items that are `counted` included. */
  function count(unread: number, counted = list): void {
    beyond = older === undefined ? 0 : Math.max(0, unread - unreadOf(counted));
  }

  return {
    list: () => list,
    beyond: () => beyond,
    older: () => older,
    last: () => last,
    get,
    add,
    gap() {
      gap = ++last;
      whole = Math.min(whole, gap);
    },
    whole: () => whole === Infinity,
    renew(page, since, isRead) {
      const { events, next, unread } = page;
      const [newest, oldest, tail] = [events[0], events.at(-1), list.at(-1)];
      const joint = Math.min(since, whole);
      if (gap <= since) whole = Infinity; // one that came later is not filled by this page
      if (list.length >= room && tail && tail.came > since && (!newest || byNewest(tail.event, newest) < 0)) {
        older = tail.event.id; // so much came meanwhile that nothing of the page has room
        return false;
      }
      const joined = next !== undefined && events.some((e) => (get(e.id)?.came ?? Infinity) <= joint);
      const below = (item: Item) => joined && oldest && byNewest(item.event, oldest) > 0;
      const named = new Set(events.map((e) => e.id));
      if (!list.some(below)) older = next;
      // What the server does not name any more is gone, unless it came meanwhile or lies below. Without
      // an item that is known what lies below is given up: nobody knows what is between.
      set(list.filter((item) => named.has(item.event.id) || item.came > since || below(item)));
      take(page, isRead);
      // What is newer than the page came after it was made, and is not counted yet.
      if (unread !== undefined) count(unread, list.filter((item) => newest && byNewest(item.event, newest) >= 0));
      return true;
    },
    extend(page, isRead) {
      const held = unreadOf(list);
      room = Math.max(room, list.length + page.events.length);
      older = page.next;
      take(page, isRead);
      count(beyond + held);
    },
    count,
    restore(events, unreadBeyond, olderId) {
      for (const e of events) add(e, e.read, 0);
      beyond += unreadBeyond;
      older ??= olderId;
    },
    clear() {
      set([]);
      older = undefined;
      beyond = 0;
      room = cap;
    },
  };
}
