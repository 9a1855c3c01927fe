import type { Notification } from '@socialvibes/vibemesh-client';

/** The notifications of one day. */
export interface DaySection {
  title: string;
  data: readonly Notification[];
}

/**
 * Puts notifications into days, in the order they come in. `day` gives the heading of a time; what has the same heading
 * is one section, also when a server's clock stepped back between two of them.
 */
export function daySections(items: readonly Notification[], day: (ts: number) => string): DaySection[] {
  const days = new Map<string, Notification[]>();
  for (const item of items) {
    const title = day(item.ts);
    const section = days.get(title);
    if (section) section.push(item);
    else days.set(title, [item]);
  }
  return [...days].map(([title, data]) => ({ title, data }));
}
