// What the tests of the components share: events, an inbox without a mesh, and a way to render in a language.
import type { InboxState, Notification } from '@socialvibes/vibemesh-client';
import { act, render } from '@testing-library/react-native';
import type { ReactElement } from 'react';
import { Dimensions } from 'react-native';
import { I18nProvider, type Language } from '../i18n';
import { ThemeProvider } from '../theme';

let made = 0;

/** An unread toast for the person, or what `parts` makes of it. */
export function event(parts: Partial<Notification> = {}): Notification {
  made++;
  const id = parts.id ?? `0-life-${made.toString(36)}`;
  return { type: 'toast', ts: Date.now(), to: 'user', read: false, payload: { title: `Event ${id}` }, ...parts, id };
}

/** A toast with a title. */
export function titled(title: string, parts: Partial<Notification> = {}): Notification {
  return event({ payload: { title }, ...parts });
}

/** An inbox that the test holds in its hand. Its methods are mocks. */
export function fakeInbox(parts: Partial<InboxState> = {}) {
  const items = parts.items ?? [];
  let state: InboxState = {
    items, unread: items.filter((item) => !item.read).length, status: 'ready', more: false, busy: false, connection: 'live', ...parts,
  };
  const listeners = new Set<() => void>();
  const arrivals = new Set<(event: Notification) => void>();
  return {
    getState: () => state,
    subscribe(fn: () => void) {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    onArrival(fn: (event: Notification) => void) {
      arrivals.add(fn);
      return () => arrivals.delete(fn);
    },
    refresh: jest.fn(async () => {}),
    loadMore: jest.fn(async () => {}),
    markRead: jest.fn(),
    markUnread: jest.fn(),
    markAllRead: jest.fn(),
    set(change: Partial<InboxState>) {
      state = { ...state, ...change };
      act(() => listeners.forEach((fn) => fn()));
    },
    arrive(...events: Notification[]) {
      act(() => events.forEach((each) => arrivals.forEach((fn) => fn(each))));
    },
    listening: () => listeners.size + arrivals.size,
  };
}

/** Renders in a language and the light scheme. */
export function show(element: ReactElement, language: Language = 'en') {
  const wrap = (inner: ReactElement) => (
    <ThemeProvider scheme="light">
      <I18nProvider language={language}>{inner}</I18nProvider>
    </ThemeProvider>
  );
  const result = render(wrap(element));
  return { ...result, rerender: (next: ReactElement) => result.rerender(wrap(next)) };
}

/** Makes the window as wide as a phone's or a desk's. Call it before rendering. */
export function resize(width: number, height = 844) {
  const window = { width, height, scale: 2, fontScale: 1 };
  act(() => Dimensions.set({ window, screen: window }));
}

export const phone = 390;
export const desk = 1280;
