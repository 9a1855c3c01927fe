// Gives a live session another token before its own ends.

import type { Link } from './link.js';

/** How long before its end a token is replaced, in milliseconds. */
const AHEAD = 60_000;

/**
 * The shortest time between two refreshes, in milliseconds. It doubles with each that changes nothing, as
 * when the clock of the device is wrong; then the server's own warning comes in time.
 */
const [SHORTEST, LONGEST_SHORTEST] = [5_000, 600_000];

/** The longest time between two refreshes, in milliseconds: a timer cannot be set for more than 24 days. */
const DAY = 86_400_000;

/** Without an answer the next try comes after so long, in milliseconds, and a random time up to the same. */
const AGAIN = 15_000;

export interface Refresher {
  /** Plans the next refresh of a link whose token ends at a time, in seconds since 1970. */
  plan(link: Link, expires: number): void;
  /** Refreshes now: the server has said that the token is about to end. */
  hurry(): void;
  stop(): void;
}

export function createRefresher(provide: (fresh: boolean) => Promise<string>): Refresher {
  let current: Link | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let shortest = SHORTEST;
  let busy = false;
  let last = -Infinity;

  function after(wait: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => void refresh(), wait);
  }

  async function refresh(): Promise<void> {
    const link = current;
    if (busy || !link) return;
    busy = true;
    last = Date.now();
    after(AGAIN * (1 + Math.random())); // the hello that answers plans anew
    const token = await provide(true).catch(() => undefined);
    busy = false;
    if (token !== undefined) link.send({ type: 'auth', token }); // it goes nowhere when the link has ended
  }

  return {
    plan(link, expires) {
      if (link !== current) shortest = SHORTEST;
      current = link;
      const wait = expires * 1000 - Date.now() - AHEAD;
      after(Math.min(Math.max(wait, shortest), DAY));
      shortest = wait > shortest ? SHORTEST : Math.min(shortest * 2, LONGEST_SHORTEST);
    },
    hurry() {
      if (Math.abs(Date.now() - last) >= SHORTEST) void refresh();
    },
    stop() {
      current = undefined;
      clearTimeout(timer);
    },
  };
}
