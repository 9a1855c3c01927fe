// Listeners, and what is wrong. Neither a listener that throws nor a flood of faults harms the client.

import type { ClientError, ClientEvents, FaultCode } from './types.js';

/** Says what is wrong: a text, or what was thrown. */
export type Report = (code: FaultCode, cause: unknown) => void;

/** A fault of one code is told at most so often, in milliseconds. */
const FAULT_EVERY = 1_000;

export interface Events<M> {
  on<K extends keyof M>(type: K, fn: (e: M[K]) => void): () => void;
  emit<K extends keyof M>(type: K, e: M[K]): void;
}

export function createEvents<M>(report: Report): Events<M> {
  const listeners = new Map<keyof M, Set<(e: never) => void>>();
  return {
    on(type, fn) {
      const all = listeners.get(type) ?? new Set();
      const own = (e: Parameters<typeof fn>[0]) => fn(e); // the same function may listen twice
      listeners.set(type, all.add(own));
      return () => void all.delete(own);
    },
    emit(type, e) {
      for (const fn of [...(listeners.get(type) ?? [])]) {
        try {
          fn(e as never);
        } catch (cause) {
          report('listener', cause); // seldom enough for one that throws over that, too
        }
      }
    },
  };
}

/** Events of a client, and how to report faults to those who listen to its errors. */
export function createClientEvents(): Events<ClientEvents> & { report: Report } {
  const faults = new Map<FaultCode, { count: number; told: number }>();
  const events = createEvents<ClientEvents>(report);

  function report(code: FaultCode, cause: unknown): void {
    const now = Date.now();
    const fault = faults.get(code) ?? { count: 0, told: -Infinity };
    faults.set(code, fault);
    fault.count++;
    if (Math.abs(now - fault.told) < FAULT_EVERY) return;
    const message = cause instanceof Error ? cause.message : String(cause);
    const error: ClientError = { source: 'client', code, message, count: fault.count, cause };
    fault.count = 0;
    fault.told = now;
    events.emit('error', error);
  }

  return { ...events, report };
}

const reporters = new WeakMap<object, Report>();

/** Lets what is built upon a client report faults through it. */
export const lendReport = (client: object, report: Report) => void reporters.set(client, report);

/** How to report faults to those who listen to a client; to nobody, when it is not one of ours. */
export const reportOf = (client: object): Report => reporters.get(client) ?? (() => {});
