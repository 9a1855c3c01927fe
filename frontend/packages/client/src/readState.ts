// What a person has read, as the newest read frame says it.

import { compareNumbers } from './ids.js';
import type { ReadChange, ReadState } from './types.js';

/** Most ids that `read` and `unread` of one change name together. */
export const MAX_READ_IDS = 256;

/** Whether the event with this id is read, by the newest read frame. */
export function isRead(state: ReadState, id: string): boolean {
  if (state.unread?.includes(id)) return false;
  if (state.read?.includes(id)) return true;
  return (state.up_to ?? []).some((upTo) => covers(upTo, id));
}

/** Whether an event is `upTo`, or before it in the same partition of the log. */
function covers(upTo: string, id: string): boolean {
  const [partition, life = '', seq = ''] = id.split('-');
  const [p, l = '', s = ''] = upTo.split('-');
  return p === partition && (compareNumbers(life, l) || compareNumbers(seq, s)) <= 0;
}

/** Whether a state is as it has to be once a change is part of it, and no later one said otherwise. */
export function holds(state: ReadState, change: ReadChange): boolean {
  const unread = change.unread ?? [];
  const read = [...(change.read ?? []), ...(change.up_to ? [change.up_to] : [])].filter((id) => !unread.includes(id));
  return read.every((id) => isRead(state, id)) && !unread.some((id) => isRead(state, id));
}
