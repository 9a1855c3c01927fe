// Waits with full jitter: however many clients lose their edge at once, they come back one by one.

/** The limit of the first wait, and of all later ones, in milliseconds. */
const [FIRST, MOST] = [1_000, 30_000];

/** A session that lasted so long, in milliseconds, starts over with the first wait. */
export const SETTLED = MOST;

export interface Backoff {
  /** How long to wait before the next attempt, in milliseconds. `soon`: not at all, if it is the first. */
  next(soon?: boolean): number;
  reset(): void;
}

export function createBackoff(): Backoff {
  let attempt = 0;
  return {
    next: (soon) => (soon && !attempt ? 0 : Math.random()) * Math.min(MOST, FIRST * 2 ** attempt++),
    reset: () => void (attempt = 0),
  };
}
