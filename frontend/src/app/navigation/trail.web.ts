import { backward, current, fragmentOf, onward, parsePath, pathOf, start, type Path } from './routes';
import type { Trail } from './trail';

/** In a browser: a path that its history keeps, so that Back and Forward walk it and a reload stays where it is. */
export function createTrail(): Trail {
  const { history, location } = window;
  const kept = () => parsePath((history.state as { path?: unknown } | null)?.path);
  const read = (): Path => kept() ?? pathOf(location.hash);
  let path = read();
  let after: (() => void)[] | undefined; // the browser is going back: what is to be done when it is there
  const listeners = new Set<() => void>();

  function become(next: Path): void {
    path = next;
    for (const fn of listeners) fn();
  }

  function write(next: Path, replace: boolean): void {
    const address = location.pathname + location.search + fragmentOf(current(next));
    history[replace ? 'replaceState' : 'pushState']({ path: next }, '', address);
    become(next);
  }

  function onPop(): void {
    const waiting = after ?? [];
    after = undefined;
    become(read());
    for (const take of waiting) take();
  }

  const step = (take: () => void) => (after ? void after.push(take) : take());
  return {
    get: () => path,
    subscribe(fn) {
      if (listeners.size === 0) window.addEventListener('popstate', onPop);
      listeners.add(fn);
      return () => {
        listeners.delete(fn);
        if (listeners.size === 0) window.removeEventListener('popstate', onPop);
      };
    },
    push: (route) => step(() => {
      const next = onward(path, route);
      write(next.path, next.replace);
    }),
    back() {
      const before = backward(path);
      if (!before || after) return;
      if (kept() === undefined) return write(before, true); // the page was opened here: behind it lies nothing of ours
      after = [];
      history.back();
    },
    reset: () => step(() => write(start, true)),
  };
}
