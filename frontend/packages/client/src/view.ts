// What an inbox shows: what the server has said, and over it what the person has done since.

import { byNewest, isShown, type Item, type Items } from './items.js';
import type { Notification, ReadChange } from './types.js';

export interface View {
  items: Notification[];
  unread: number;
}

/** Makes a view. An item that is as it was is the same object as in the view before. */
export function viewOf(known: Items, pending: readonly ReadChange[]): View {
  const latest = [...pending].reverse();

  /** Whether a change says that all up to a place is read, and an item is in it. */
  function covers(change: ReadChange, item: Item): boolean {
    const upTo = change.up_to && known.get(change.up_to);
    return change.all ? item.event.ts <= (change.at ?? Infinity) : !!upTo && byNewest(item.event, upTo.event) >= 0;
  }

  function readNow(item: Item): boolean {
    const { id } = item.event;
    const last = latest.find((change) => change.unread?.includes(id) || change.read?.includes(id) || covers(change, item));
    return last ? !last.unread?.includes(id) : item.read;
  }

  const list = known.list().filter(isShown);
  const items = list.map((item) => {
    const read = readNow(item);
    return item.shown?.read === read ? item.shown : (item.shown = { ...item.event, read });
  });
  const oldest = list.at(-1);
  // What lies beyond the list is older than all of it.
  const beyond = pending.some((change) => (oldest ? covers(change, oldest) : change.all)) ? 0 : known.beyond();
  return { items, unread: beyond + items.filter((n) => !n.read).length };
}
