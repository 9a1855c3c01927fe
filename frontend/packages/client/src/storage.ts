// What the device keeps. A store may be slow, hang or fail: nothing waits for it longer than a moment.

import type { Report } from './listeners.js';
import type { Store } from './types.js';
import { within } from './within.js';

/** How long a store may take, in milliseconds. */
const PATIENCE = 2_000;

/** How long after one write the next begins, in milliseconds: of what comes meanwhile only the last is written. */
const SPACING = 250;

/** A store in memory: what it holds ends with the program. */
export function memoryStore(): Store {
  const values = new Map<string, string>();
  return {
    get: async (key) => values.get(key) ?? null,
    set: async (key, value) => void values.set(key, value),
    remove: async (key) => void values.delete(key),
  };
}

/** The browser's localStorage. */
export function localStore(): Store {
  return {
    get: async (key) => localStorage.getItem(key),
    set: async (key, value) => localStorage.setItem(key, value),
    remove: async (key) => localStorage.removeItem(key),
  };
}

/** One value of a store: one kind of thing that is kept for a person. */
export interface Slot {
  /** The stored text; null: there is none, or the store did not give it in time. */
  load(): Promise<string | null>;
  /** Stores a text soon; of many, in their order, the last one in any case. Not an empty one. */
  save(text: () => string): void;
  /** Removes the text, and drops what waits to be stored. */
  clear(): Promise<void>;
}

export function createSlot(store: Store, kind: string, user: string, report: Report, spacing = SPACING): Slot {
  const key = `vibemesh.${kind}.${user}`;
  let next: (() => string) | undefined;
  let writing: Promise<unknown> | undefined;
  let pause: ReturnType<typeof setTimeout> | undefined;

  const attempt = <T>(work: () => Promise<T>): Promise<T | null> =>
    within(PATIENCE, work).catch((cause: unknown) => {
      report('store', cause);
      return null;
    });

  function write(): void {
    pause = undefined;
    if (!next) return;
    const text = next();
    next = undefined;
    writing = attempt(async () => text && store.set(key, text)).then(() => {
      writing = undefined;
      pause = setTimeout(write, spacing);
    });
  }

  return {
    load: () => attempt(() => store.get(key)),
    save(text) {
      next = text;
      if (!writing && pause === undefined) write();
    },
    async clear() {
      next = undefined;
      await writing; // what is being written must not come after the removal
      await attempt(() => store.remove(key));
    },
  };
}
