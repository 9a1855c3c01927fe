// Waiting for a condition, with a deadline; never for a time.
import { setTimeout as pause } from 'node:timers/promises';

/** How long a condition may take to come true, in milliseconds, on a busy machine. */
export const patience = 20_000;

/** Waits until probe answers with something that counts as true, and answers with it. */
export async function until(what, probe, ms = patience) {
  const end = performance.now() + ms;
  for (;;) {
    const found = await probe();
    if (found) return found;
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(20);
  }
}
