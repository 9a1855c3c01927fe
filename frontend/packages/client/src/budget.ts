// A token bucket: how much may be sent now.

/** Takes one (or so many), and answers with 0; or, when there is none, with the milliseconds until there is one. */
export type Budget = (take?: number) => number;

/** So many at once, and so many a second after that. */
export function createBudget(burst: number, perSecond: number): Budget {
  let left = burst;
  let at = Date.now();
  return (take = 1) => {
    const now = Date.now();
    left = Math.min(burst, left + (Math.max(0, now - at) * perSecond) / 1000);
    at = now;
    if (left < 1) return Math.ceil(((1 - left) * 1000) / perSecond);
    left -= take;
    return 0;
  };
}
