import type { Notification } from '@socialvibes/vibemesh-client';
import { event } from '../testing';
import { behind, emptyQueue, isEmpty, longestWait, toastQueue, type Toast, type ToastAction, type ToastQueue } from './toastQueue';

const arrive = (...events: Notification[]): ToastAction => ({ type: 'arrive', events });
const run = (queue: ToastQueue, ...actions: ToastAction[]) => actions.reduce(toastQueue, queue);
const ids = (toasts: readonly Toast[]) => toasts.map((toast) => toast.event.id);
const named = (...names: string[]) => names.map((id) => event({ id }));

test('shows as many as fit, lets the newest wait, counts the rest', () => {
  const queue = run(emptyQueue(2), arrive(...named('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h')));
  expect(ids(queue.shown)).toEqual(['a', 'b']);
  expect(ids(queue.waiting)).toEqual(['f', 'g', 'h']);
  expect(behind(queue)).toBe(6);
});

test('one by one and all at once are the same', () => {
  const events = named('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i');
  expect(run(emptyQueue(3), ...events.map((each) => arrive(each)))).toEqual(run(emptyQueue(3), arrive(...events)));
});

test('the one that waited longest takes the place of one that leaves', () => {
  const queue = run(emptyQueue(2), arrive(...named('a', 'b', 'c', 'd')), { type: 'dismiss', key: 'a' });
  expect(ids(queue.shown)).toEqual(['b', 'c']);
  expect(ids(queue.waiting)).toEqual(['d']);
});

test('an event is there once', () => {
  const queue = run(emptyQueue(1), arrive(...named('a', 'b')));
  expect(run(queue, arrive(...named('a', 'b')))).toBe(queue);
});

describe('a collapse key', () => {
  const taxi = (id: string, parts: Partial<Notification> = {}) => event({ id, collapse: 'taxi:17', ...parts });

  test('puts the newer event in the same place', () => {
    const queue = run(emptyQueue(2), arrive(taxi('a'), ...named('b')), arrive(taxi('c')));
    expect(queue.shown.map(({ key, revision, event: { id } }) => [key, revision, id])).toEqual([['a', 1, 'c'], ['b', 0, 'b']]);
    expect(behind(queue)).toBe(0);
  });

  test('works on those that wait', () => {
    const queue = run(emptyQueue(1), arrive(...named('a'), taxi('b')), arrive(taxi('c')));
    expect(ids(queue.waiting)).toEqual(['c']);
  });

  test('is one for each audience', () => {
    const queue = run(emptyQueue(2), arrive(taxi('a'), taxi('b', { to: 'broadcast' }), event({ id: 'c' })));
    expect(ids(queue.shown)).toEqual(['a', 'b']);
  });

  test('is left by the key that it was shown with', () => {
    expect(isEmpty(run(emptyQueue(1), arrive(taxi('a')), arrive(taxi('b')), { type: 'dismiss', key: 'a' }))).toBe(true);
  });
});

test('what was read elsewhere leaves, wherever it is', () => {
  const queue = run(emptyQueue(2), arrive(...named('a', 'b', 'c', 'd')), { type: 'read', ids: new Set(['a', 'c']) });
  expect(ids(queue.shown)).toEqual(['b', 'd']);
  expect(run(queue, { type: 'read', ids: new Set(['x']) })).toBe(queue);
});

test('a smaller screen makes some wait again, a larger one shows them', () => {
  const wide = run(emptyQueue(3), arrive(...named('a', 'b', 'c', 'd')));
  const narrow = run(wide, { type: 'room', room: 1 });
  expect(ids(narrow.shown)).toEqual(['a']);
  expect(ids(narrow.waiting)).toEqual(['b', 'c', 'd']);
  expect(run(narrow, { type: 'room', room: 3 })).toEqual(wide);
  expect(run(wide, { type: 'room', room: 3 })).toBe(wide);
});

test('there is room for one at least', () => {
  expect(ids(run(emptyQueue(0), arrive(...named('a'))).shown)).toEqual(['a']);
  expect(run(emptyQueue(2), { type: 'room', room: -1 }).room).toBe(1);
});

test('clear leaves nothing, and is nothing on an empty queue', () => {
  const queue = run(emptyQueue(2), arrive(...named('a', 'b', 'c', 'd', 'e', 'f', 'g')), { type: 'clear' });
  expect(queue).toEqual(emptyQueue(2));
  expect(run(queue, { type: 'clear' })).toBe(queue);
});

// A small generator with a seed, so that a failure can be run again.
function random(seed: number) {
  let state = seed;
  return (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

test.each(Array.from({ length: 40 }, (_, seed) => seed + 1))('keeps its promises whatever happens (seed %i)', (seed) => {
  const pick = random(seed);
  let queue = emptyQueue(1 + pick(3));
  let next = 0;
  for (let step = 0; step < 300; step++) {
    const before = queue;
    const all = [...queue.shown, ...queue.waiting];
    const fresh = () => event({ id: `e${next++}`, collapse: pick(4) === 0 ? `k${pick(3)}` : undefined, to: pick(2) ? 'user' : 'broadcast' });
    const action: ToastAction = [
      () => arrive(...Array.from({ length: pick(12) }, fresh)),
      () => arrive(fresh()),
      () => ({ type: 'dismiss', key: all[pick(all.length)]?.key ?? 'none' }) as const,
      () => ({ type: 'read', ids: new Set(ids(all).filter(() => pick(3) === 0)) }) as const,
      () => ({ type: 'room', room: 1 + pick(3) }) as const,
    ][pick(5)]!();
    queue = toastQueue(queue, action);

    const now = [...queue.shown, ...queue.waiting];
    expect(queue.shown.length).toBeLessThanOrEqual(queue.room);
    expect(queue.waiting.length).toBeLessThanOrEqual(longestWait);
    expect(queue.waiting.length === 0 || queue.shown.length === queue.room).toBe(true); // nobody waits beside a free place
    expect(queue.more).toBeGreaterThanOrEqual(before.more);
    expect(new Set(now.map((toast) => toast.key)).size).toBe(now.length);
    expect(new Set(ids(now)).size).toBe(now.length);
    const collapsed = now.filter(({ event: { collapse } }) => collapse !== undefined).map(({ event: { collapse, to } }) => `${collapse} ${to}`);
    expect(new Set(collapsed).size).toBe(collapsed.length);
    // None is lost: each that came is shown, waits, is counted, or took another's place.
    if (action.type === 'arrive') {
      const replaced = now.reduce((sum, toast) => sum + toast.revision, 0) - all.reduce((sum, toast) => sum + toast.revision, 0);
      if (queue.more === before.more) expect(now.length).toBe(all.length + action.events.length - replaced);
      else expect(now.length + queue.more).toBeLessThanOrEqual(all.length + before.more + action.events.length);
    }
  }
});
