import { event } from '../testing';
import { behind, longestWait } from './toastQueue';
import { batchMs, createToastStore } from './useToastQueue';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const arrive = (id: string) => ({ type: 'arrive', events: [event({ id })] }) as const;

test('the first arrival shows at once', () => {
  const store = createToastStore(2);
  store.dispatch(arrive('a'));
  expect(store.getState().shown).toHaveLength(1);
});

test('a hundred in a second are at most eleven changes of the screen', () => {
  const store = createToastStore(3);
  const listener = jest.fn();
  store.subscribe(listener);
  for (let i = 0; i < 100; i++) {
    store.dispatch(arrive(`e${i}`));
    jest.advanceTimersByTime(10);
  }
  jest.advanceTimersByTime(batchMs);
  expect(listener.mock.calls.length).toBeGreaterThan(5);
  expect(listener.mock.calls.length).toBeLessThanOrEqual(11);
  expect(store.getState().shown).toHaveLength(3);
  expect(store.getState().waiting).toHaveLength(longestWait);
  expect(behind(store.getState())).toBe(97);
});

test('a thousand at once are two', () => {
  const store = createToastStore(1);
  const listener = jest.fn();
  store.subscribe(listener);
  for (let i = 0; i < 1000; i++) store.dispatch(arrive(`e${i}`));
  jest.advanceTimersByTime(10 * batchMs);
  expect(listener).toHaveBeenCalledTimes(2);
  expect(behind(store.getState())).toBe(999);
});

test('what a person does shows at once, with what was collected', () => {
  const store = createToastStore(2);
  store.dispatch(arrive('a'));
  store.dispatch(arrive('b'));
  expect(store.getState().shown).toHaveLength(1);
  store.dispatch({ type: 'dismiss', key: 'a' });
  expect(store.getState().shown.map((toast) => toast.key)).toEqual(['b']);
});

test('the state stays the same object until it changes', () => {
  const store = createToastStore(1);
  const before = store.getState();
  store.dispatch({ type: 'dismiss', key: 'none' });
  store.dispatch({ type: 'clear' });
  expect(store.getState()).toBe(before);
});

test('a store that was stopped has no timer, and can go on', () => {
  const store = createToastStore(1);
  store.dispatch(arrive('a'));
  store.stop();
  expect(jest.getTimerCount()).toBe(0);
  store.dispatch({ type: 'dismiss', key: 'a' });
  store.dispatch(arrive('b'));
  expect(store.getState().shown.map((toast) => toast.key)).toEqual(['b']);
});

test('a listener that left hears no more', () => {
  const store = createToastStore(1);
  const listener = jest.fn();
  store.subscribe(listener)();
  store.dispatch(arrive('a'));
  expect(listener).not.toHaveBeenCalled();
});
