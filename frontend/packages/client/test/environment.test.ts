// The conditions of a page.
import { afterEach, expect, it, vi } from 'vitest';
import { browserEnvironment, localStore, type Conditions } from '../src/index.js';

afterEach(() => void vi.unstubAllGlobals());

it('tells of the network and of visibility, until nobody listens', () => {
  const [window, document] = [new EventTarget(), Object.assign(new EventTarget(), { visibilityState: 'visible' })];
  const navigator = { onLine: true };
  vi.stubGlobal('window', window);
  vi.stubGlobal('document', document);
  vi.stubGlobal('navigator', navigator);
  const told: Conditions[] = [];
  const stop = browserEnvironment().subscribe((now) => void told.push(now));
  navigator.onLine = false;
  window.dispatchEvent(new Event('offline'));
  document.visibilityState = 'hidden';
  document.dispatchEvent(new Event('visibilitychange'));
  navigator.onLine = true;
  window.dispatchEvent(new Event('online'));
  document.visibilityState = 'visible';
  window.dispatchEvent(new Event('pageshow'));
  stop();
  window.dispatchEvent(new Event('offline'));
  expect(told).toEqual([
    { online: true, active: true }, { online: false, active: true }, { online: false, active: false },
    { online: true, active: false }, { online: true, active: true },
  ]);
});

it('is online where the browser does not know', () => {
  vi.stubGlobal('window', new EventTarget());
  vi.stubGlobal('document', new EventTarget());
  vi.stubGlobal('navigator', {});
  const on = vi.fn();
  browserEnvironment().subscribe(on);
  expect(on).toHaveBeenCalledWith({ online: true, active: true });
});

it('keeps things in localStorage, and rejects where that throws', async () => {
  const values = new Map<string, string>();
  const getItem = (key: string) => values.get(key) ?? null;
  const setItem = (key: string, value: string) => void values.set(key, value);
  vi.stubGlobal('localStorage', { getItem, setItem, removeItem: (key: string) => void values.delete(key) });
  const store = localStore();
  await store.set('a', 'b');
  expect(await store.get('a')).toBe('b');
  await store.remove('a');
  expect(await store.get('a')).toBeNull();
  vi.stubGlobal('localStorage', undefined);
  await expect(store.get('a')).rejects.toThrow();
});
