import type { Notification } from '@socialvibes/vibemesh-client';

// Which toasts are on the screen, which wait, and how many were let go. Pure: the tests put thousands of events through it.

/** An event's place in the queue. */
export interface Toast {
  /** Stays when a newer event of the same collapse key takes the place. */
  readonly key: string;
  /** How often that has happened. */
  readonly revision: number;
  readonly event: Notification;
}

export interface ToastQueue {
  /** On the screen, oldest first; at most `room`. */
  readonly shown: readonly Toast[];
  /** The newest of those that did not fit, oldest first; at most `longestWait`. */
  readonly waiting: readonly Toast[];
  /** How many others did not fit. They are in the history. */
  readonly more: number;
  /** How many fit on the screen. */
  readonly room: number;
}

export type ToastAction =
  | { readonly type: 'arrive'; readonly events: readonly Notification[] }
  | { readonly type: 'dismiss'; readonly key: string }
  /** These events have been read, here or on another device. */
  | { readonly type: 'read'; readonly ids: ReadonlySet<string> }
  | { readonly type: 'room'; readonly room: number }
  | { readonly type: 'clear' };

/** How many toasts wait to be shown: more would still come up when nobody remembers what they are about. */
export const longestWait = 3;

export function emptyQueue(room: number): ToastQueue {
  return { shown: [], waiting: [], more: 0, room: Math.max(1, room) };
}

/** The queue after an action: the same object when nothing changed. */
export function toastQueue(queue: ToastQueue, action: ToastAction): ToastQueue {
  switch (action.type) {
    case 'arrive':
      return action.events.reduce(arrive, queue);
    case 'dismiss':
      return keep(queue, (toast) => toast.key !== action.key);
    case 'read':
      return keep(queue, (toast) => !action.ids.has(toast.event.id));
    case 'room':
      return action.room === queue.room ? queue : settle({ ...queue, room: Math.max(1, action.room) });
    case 'clear':
      return isEmpty(queue) ? queue : emptyQueue(queue.room);
  }
}

/** How many events are behind those on the screen. */
export function behind(queue: ToastQueue): number {
  return queue.waiting.length + queue.more;
}

export function isEmpty(queue: ToastQueue): boolean {
  return queue.shown.length === 0 && behind(queue) === 0;
}

function arrive(queue: ToastQueue, event: Notification): ToastQueue {
  const all = [...queue.shown, ...queue.waiting];
  if (all.some((toast) => toast.event.id === event.id)) return queue;
  const older = all.find((toast) => replaces(event, toast.event));
  if (older) {
    const newer: Toast = { key: older.key, revision: older.revision + 1, event };
    const replace = (toast: Toast) => (toast === older ? newer : toast);
    return { ...queue, shown: queue.shown.map(replace), waiting: queue.waiting.map(replace) };
  }
  return settle({ ...queue, waiting: [...queue.waiting, { key: event.id, revision: 0, event }] });
}

function replaces(newer: Notification, older: Notification): boolean {
  return newer.collapse !== undefined && newer.collapse === older.collapse && newer.to === older.to;
}

function keep(queue: ToastQueue, wanted: (toast: Toast) => boolean): ToastQueue {
  const shown = queue.shown.filter(wanted);
  const waiting = queue.waiting.filter(wanted);
  return shown.length === queue.shown.length && waiting.length === queue.waiting.length ? queue : settle({ ...queue, shown, waiting });
}

// Moves toasts to or from the screen, and lets go of those that waited longest when there are too many.
function settle(queue: ToastQueue): ToastQueue {
  const all = [...queue.shown, ...queue.waiting];
  const waiting = all.slice(queue.room);
  const over = Math.max(0, waiting.length - longestWait);
  return { ...queue, shown: all.slice(0, queue.room), waiting: waiting.slice(over), more: queue.more + over };
}
