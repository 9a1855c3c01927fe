// Changes of the read state that the server has not confirmed yet. They are said one at a time, so that an
// error frame, which does not say what it answers, can only be about that one.

import { parseObject, pickChange, type ClientFrame } from './frames.js';
import type { Report } from './listeners.js';
import { holds, MAX_READ_IDS } from './readState.js';
import type { Slot } from './storage.js';
import type { ReadChange, ReadState } from './types.js';

/** Most changes that wait; the oldest is given up for one more. */
const MOST = 200;

/** Events that are marked within so many milliseconds are one change. */
const TOGETHER = 10_000;

/** A change that is said so soon, in milliseconds, is said without its time: the server's clock is the better one. */
const NOW = 5_000;

/** How long a confirmation may take, in milliseconds. */
const PATIENCE = 15_000;

/** A server that cannot now is asked again after so long, in milliseconds, and a random time up to the same. */
const AGAIN = 3_000;

export interface Reads {
  pending(): readonly ReadChange[];
  add(change: ReadChange): void;
  /** Takes in what the device has stored, once. */
  load(): void;
  /** The next frame to send, if there is one. */
  next(): ClientFrame | undefined;
  /** A read frame has come. */
  confirm(state: ReadState): void;
  /** The server answered with an error of this code. */
  failed(code: string): void;
  lost(): void;
  clear(): Promise<void>;
}

export interface ReadsUser {
  /** There may be a next frame. */
  wake(): void;
  changed(): void;
  /** Nothing comes back: is the other side there? */
  doubt(): void;
  report: Report;
}

interface Pending {
  change: ReadChange;
  /** When the person did it, in milliseconds since 1970. */
  at: number;
  /** It has been said, or is not of this run: its time must be said, and it stays as it is. */
  timed: boolean;
}

export function createReads(slot: Slot, user: ReadsUser): Reads {
  let list: Pending[] = [];
  let said: Pending | undefined; // the first of the list, said on this connection
  let doubted = false; // it was not answered, although the connection held
  let paused = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ready = false; // what is stored has been read, and may be overwritten

  const changes = () => list.map(({ change, at }) => ({ ...change, at }));

  function update(): void {
    if (list.length > MOST) {
      list.splice(list[0] === said ? 1 : 0, list.length - MOST);
      user.report('dropped', 'too many');
    }
    if (ready) slot.save(() => JSON.stringify({ v: 1, changes: changes() }));
    user.changed();
    user.wake();
  }

  function put(change: ReadChange): void {
    const next: Pending = { change, at: change.at ?? Date.now(), timed: change.at !== undefined };
    const last = list.at(-1);
    const field = change.read ? 'read' : 'unread';
    const ids = [...(last?.change[field] ?? []), ...(change[field] ?? [])];
    if (last?.change[field] && change[field] && ids.length <= MAX_READ_IDS && !last.timed && !next.timed && next.at - last.at < TOGETHER) {
      last.change = { [field]: ids };
      last.at = next.at;
    } else {
      list.push(next);
    }
  }

  function rest(): void {
    clearTimeout(timer);
    said = undefined;
    paused = doubted = false;
  }

  /** The change that was said is done with. */
  function done(): void {
    list = list.filter((p) => p !== said);
    rest();
    update();
  }

  function unanswered(): void {
    // Who answers pings and has nothing to say of the change twice has nothing to change by it.
    if (doubted) return done();
    rest();
    doubted = true;
    user.doubt();
    user.wake();
  }

  return {
    pending: changes,
    add(change) {
      const parts = split(change).map(pickChange);
      if (parts.includes(undefined)) return user.report('refused', 'read');
      for (const part of parts) put(part as ReadChange);
      if (parts.length) update();
    },
    load() {
      if (ready) return;
      void slot.load().then((text) => {
        if (ready) return;
        ready = true;
        const { v, changes: stored } = parseObject(text);
        if (v !== 1 || !Array.isArray(stored)) return;
        const earlier = stored.map(pickChange).filter((change) => change?.at !== undefined) as (ReadChange & { at: number })[];
        list = [...earlier.map((change) => ({ change, at: change.at, timed: true })), ...list];
        if (list.length) update();
      });
    },
    next() {
      if (said || paused || !list[0]) return undefined;
      said = list[0];
      const { change, at, timed } = said;
      said.timed = true;
      timer = setTimeout(unanswered, PATIENCE);
      return { type: 'read', ...change, ...((timed || Math.abs(Date.now() - at) > NOW) && { at }) };
    },
    confirm(state) {
      if (said && holds(state, said.change)) done();
    },
    failed(code) {
      if (!said) return;
      if (code === 'malformed' || code === 'unsupported') {
        user.report('dropped', code);
        done();
      } else if (code === 'unavailable') {
        rest();
        paused = true;
        timer = setTimeout(() => {
          paused = false;
          user.wake();
        }, AGAIN * (1 + Math.random()));
      }
    },
    lost: rest,
    clear() {
      rest();
      ready = true;
      list = [];
      user.changed();
      return slot.clear();
    },
  };
}

/** A change as several that name no more events than one may; none, if it says nothing. */
function split(change: ReadChange): ReadChange[] {
  const { up_to, all, at } = change;
  const parts: ReadChange[] = up_to !== undefined || all ? [{ up_to, all, at }] : [];
  for (const field of ['read', 'unread'] as const) {
    const ids = change[field] ?? [];
    for (let i = 0; i < ids.length; i += MAX_READ_IDS) parts.push({ [field]: ids.slice(i, i + MAX_READ_IDS), at });
  }
  return parts;
}
