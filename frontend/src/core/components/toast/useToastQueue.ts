import { useEffect, useMemo, useSyncExternalStore } from 'react';
import { emptyQueue, toastQueue, type ToastAction, type ToastQueue } from './toastQueue';

/** How long arrivals are collected before the screen shows them, in milliseconds: a hundred a second are ten renders. */
export const batchMs = 100;

/** A toast queue that components can watch. */
export interface ToastStore {
  /** The queue as it was last shown. */
  getState(): ToastQueue;
  subscribe(listener: () => void): () => void;
  /** Changes the queue. The first arrival shows at once, those right behind it together; whatever a person does, at once. */
  dispatch(action: ToastAction): void;
  /** Ends the timer. */
  stop(): void;
}

/** Makes a store with an empty queue. Memory is bounded, whatever arrives: the queue is. */
export function createToastStore(room = 1): ToastStore {
  const listeners = new Set<() => void>();
  let queue = emptyQueue(room);
  let shown = queue;
  let timer: ReturnType<typeof setTimeout> | undefined;

  function show() {
    if (shown === queue) return;
    shown = queue;
    listeners.forEach((listener) => listener());
  }
  function collect() {
    if (timer !== undefined) return;
    show();
    timer = setTimeout(() => {
      timer = undefined;
      if (shown !== queue) collect();
    }, batchMs);
  }
  return {
    getState: () => shown,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    dispatch(action) {
      queue = toastQueue(queue, action);
      if (action.type === 'arrive') collect();
      else show();
    },
    stop() {
      clearTimeout(timer);
      timer = undefined;
    },
  };
}

/** A store for as long as the component lives. */
export function useToastStore(): ToastStore {
  const store = useMemo(() => createToastStore(), []);
  useEffect(() => () => store.stop(), [store]);
  return store;
}

/** The queue of a store, as it changes. */
export function useToastQueue(store: ToastStore): ToastQueue {
  return useSyncExternalStore(store.subscribe, store.getState, store.getState);
}
