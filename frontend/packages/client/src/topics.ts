// The topics that the app wants, and what has been said of them on the connection that there is.

import { isTopic, type ClientFrame } from './frames.js';
import type { Report } from './listeners.js';

/** Most topics of a session. */
const MOST = 64;

/** Most characters of topics in the connect URL; further topics are joined by frames. */
const MOST_QUERY = 4_096;

/** When the server cannot say now whether a topic may be joined, it is asked again after so long, and a random time up to the same. */
const AGAIN = 10_000;

export interface Topics {
  wanted(): readonly string[];
  join(topic: string): void;
  leave(topic: string): void;
  /** The topics for the URL of a new connection, joined by commas; what else is wanted is said by frames. */
  query(): string;
  /** The next frame to send, if there is one. */
  next(): ClientFrame | undefined;
  /** The server could not say now. */
  unavailable(): void;
  lost(): void;
}

export function createTopics(initial: readonly string[], wake: () => void, report: Report): Topics {
  const wanted = new Set<string>();
  let asked = new Set<string>(); // on this connection; one that was refused is not asked for again
  let again = new Set<string>(); // of these, to be asked for once more
  let timer: ReturnType<typeof setTimeout> | undefined;

  function join(topic: string): void {
    if (wanted.has(topic)) return;
    if (!isTopic(topic) || wanted.size === MOST) return report('refused', topic);
    wanted.add(topic);
    wake();
  }
  initial.forEach(join);

  return {
    wanted: () => [...wanted],
    join,
    leave(topic) {
      if (wanted.delete(topic)) wake();
    },
    query() {
      let left = MOST_QUERY;
      asked = new Set([...wanted].filter((topic) => !topic.includes(',') && (left -= encodeURIComponent(topic).length + 3) >= 0));
      return [...asked].join();
    },
    next() {
      const left = [...asked].find((topic) => !wanted.has(topic));
      if (left !== undefined) {
        asked.delete(left);
        return { type: 'unsubscribe', topic: left };
      }
      const topic = [...wanted].find((topic) => !asked.has(topic) || again.delete(topic));
      if (topic === undefined) return undefined;
      asked.add(topic);
      return { type: 'subscribe', topic };
    },
    unavailable() {
      clearTimeout(timer);
      timer = setTimeout(() => {
        again = new Set(asked); // for one that the session has it changes nothing
        wake();
      }, AGAIN * (1 + Math.random()));
    },
    lost() {
      clearTimeout(timer);
      again.clear();
    },
  };
}
