import type { Notification } from '@socialvibes/vibemesh-client';
import { createContext, useContext } from 'react';
import type { Describe } from '../content';
import type { FocusReturn } from '../parts/focusReturn';
import type { ToastStore } from './useToastQueue';

/** What ToastProvider shares with the hosts below it. */
export interface ToastContextValue {
  store: ToastStore;
  describe: Describe;
  duration: number;
  /** Which host shows the toasts: the one that was mounted last, which is the one on top. */
  hosts: HostStack;
  /** Where the keyboard's focus goes when the toast that has it leaves. */
  focus: FocusReturn;
  /** Opens an event. */
  open: (event: Notification) => void;
  showAll: (() => void) | undefined;
}

/** The mounted hosts, bottom first. */
export interface HostStack {
  add(host: string): () => void;
  getTop(): string | undefined;
  subscribe(listener: () => void): () => void;
}

export const ToastContext = createContext<ToastContextValue | undefined>(undefined);

/** @throws Error outside of a ToastProvider. */
export function useToastContext(): ToastContextValue {
  const value = useContext(ToastContext);
  if (!value) throw new Error('there is no ToastProvider above this component');
  return value;
}

export function createHostStack(): HostStack {
  const listeners = new Set<() => void>();
  let hosts: readonly string[] = [];
  function set(next: readonly string[]) {
    hosts = next;
    listeners.forEach((listener) => listener());
  }
  return {
    add(host) {
      set([...hosts, host]);
      return () => set(hosts.filter((other) => other !== host));
    },
    getTop: () => hosts.at(-1),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
