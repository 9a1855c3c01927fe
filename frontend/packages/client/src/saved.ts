// An inbox as text, for a start without a network.

import { isNumber, parseObject, pickHistoryEvent, pickReadState } from './frames.js';
import { isEventId } from './ids.js';
import { unreadOf, type Items } from './items.js';
import type { HistoryEvent, ReadState } from './types.js';

/** Most characters of the items: what a browser keeps for a page has a few MiB. */
const MOST = 1_000_000;

export interface Saved {
  /** Newest first. */
  items: HistoryEvent[];
  /** How many more are unread. */
  beyond: number;
  /** Where the history goes on below the items; undefined: nowhere. */
  older: string | undefined;
  /** The newest read state. */
  state: ReadState | undefined;
}

export function formatSaved(items: Items, state: ReadState | undefined, count: number): string {
  const [kept, left] = [items.list().slice(0, count), items.list().slice(count)];
  const text = JSON.stringify({
    v: 1,
    items: kept.map(({ event, read }) => ({ ...event, read })),
    beyond: items.beyond() + unreadOf(left),
    older: left.length ? kept.at(-1)?.event.id : items.older(),
    state,
  });
  return text.length > MOST && count ? formatSaved(items, state, Math.min(count, items.list().length) >> 1) : text;
}

/** Undefined: there is nothing, or nothing that this version has written. */
export function parseSaved(text: string | null): Saved | undefined {
  const { v, items, beyond, older, state } = parseObject(text);
  if (v !== 1 || !Array.isArray(items)) return undefined;
  return {
    items: items.map(pickHistoryEvent).filter((e) => e !== undefined),
    beyond: isNumber(beyond) ? beyond : 0,
    older: isEventId(older) ? older : undefined,
    state: pickReadState(state),
  };
}
