import { useEffect, useState } from 'react';

/** The time in milliseconds since 1970, anew every minute: what relative times and day headings are counted from. */
export function useNow(clock: () => number = Date.now): number {
  const [now, setNow] = useState(clock);
  useEffect(() => {
    const timer = setInterval(() => setNow(clock()), 60_000);
    return () => clearInterval(timer);
  }, [clock]);
  return now;
}
