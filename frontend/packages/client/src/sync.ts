// When an inbox asks the server, and what becomes of the answers. One question at a time.

import { createBackoff } from './backoff.js';
import { HistoryError } from './history.js';
import type { Items } from './items.js';
import type { Client, HistoryEvent, ReadState } from './types.js';

/** A count that has come into doubt is asked for after so long, in milliseconds: doubts come together. */
export const DOUBT = 1_000;

export interface SyncUser {
  /** Whether an event is read, as far as the server has said. */
  isRead(e: HistoryEvent): boolean;
  /** The newest of the server. */
  readState(): ReadState | undefined;
  /** The list is that of the history. */
  renewed(): void;
  /** `now`: the person waits for it. */
  changed(now?: boolean): void;
}

export interface Sync {
  /** A page is being loaded for the person. */
  busy(): boolean;
  /** Why the last question was not answered. */
  error(): string | undefined;
  /** Reads the newest page and the count, after a while and as soon as that can be; a failure is tried again. */
  want(wait?: number): void;
  /** The connection has changed: what is wanted may be possible now. */
  kick(): void;
  refresh(): Promise<void>;
  loadMore(): Promise<void>;
  start(): void;
  /** What is on its way is not taken. */
  stop(): void;
}

type Work = (signal: AbortSignal) => Promise<void>;

export function createSync(client: Client, items: Items, user: SyncUser): Sync {
  const backoff = createBackoff();
  let wanted = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let queue: Promise<unknown> = Promise.resolve();
  let stop = new AbortController();
  let more: Promise<void> | undefined;
  let showing = 0;
  let error: string | undefined;

  /** Does some work after what is being done. What it resolves to says whether there is nothing to try again. */
  function ask(work: Work): Promise<boolean> {
    const { signal } = stop;
    const answer = queue.then((): unknown => signal.aborted || work(signal)).then(
      () => {
        error = undefined;
        return true;
      },
      (cause: unknown) => {
        if (signal.aborted) return true;
        error = (cause as Error).message;
        if (cause instanceof HistoryError && cause.status === 422) want(); // `before` is of an older log
        return false;
      },
    );
    queue = answer.then(() => user.changed());
    return answer;
  }

  /** The same, shown as loading. */
  async function show(work: Work): Promise<void> {
    showing++;
    user.changed(true);
    await ask(work);
    showing--;
    user.changed(true);
  }

  async function renew(signal: AbortSignal): Promise<void> {
    const since = items.last();
    const state = user.readState();
    const page = await client.history({ signal });
    if (signal.aborted) return;
    const taken = items.renew(page, since, user.isRead);
    user.renewed();
    // What is unread may have been counted before the newest read state.
    if (!taken || state !== user.readState()) want(DOUBT);
  }

  async function extend(signal: AbortSignal): Promise<void> {
    const before = items.older();
    if (before === undefined) return;
    const page = await client.history({ before, signal });
    if (!signal.aborted && before === items.older()) items.extend(page, user.isRead);
  }

  async function run(): Promise<void> {
    timer = undefined;
    // Where no session comes about, the list may be had all the same.
    if (!wanted || !/live|waiting/.test(client.state)) return;
    wanted = false;
    if (await ask(renew)) return backoff.reset();
    want(backoff.next());
  }

  function plan(wait: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => void run(), wait);
  }

  function want(wait = 0): void {
    wanted = true;
    if (!wait || timer === undefined) plan(wait);
  }

  return {
    busy: () => showing > 0,
    error: () => error,
    want,
    kick() {
      if (wanted && timer === undefined) plan(0);
    },
    refresh: () => show(renew),
    loadMore: () => (more ??= show(extend).finally(() => (more = undefined))),
    start: () => void (stop = new AbortController()),
    stop() {
      stop.abort();
      clearTimeout(timer);
      timer = error = undefined;
      wanted = false;
    },
  };
}
