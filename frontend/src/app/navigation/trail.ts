import { BackHandler } from 'react-native';
import { backward, onward, start, type Path, type Route } from './routes';

/** Where the person is, kept outside of React: the platform's own Back moves it, too. */
export interface Trail {
  get(): Path;
  subscribe(fn: () => void): () => void;
  push(route: Route): void;
  back(): void;
  /** Begins anew, as after signing out. */
  reset(): void;
}

/** On a phone: a path in memory, which Android's Back walks back. */
export function createTrail(): Trail {
  let path: Path = start;
  const listeners = new Set<() => void>();
  const become = (next: Path) => {
    path = next;
    for (const fn of listeners) fn();
  };
  const back = () => {
    const before = backward(path);
    if (before) become(before);
    return before !== undefined; // otherwise Android leaves the app
  };
  return {
    get: () => path,
    subscribe(fn) {
      listeners.add(fn);
      const button = listeners.size === 1 ? BackHandler.addEventListener('hardwareBackPress', back) : undefined;
      return () => {
        listeners.delete(fn);
        button?.remove();
      };
    },
    push: (route) => become(onward(path, route).path),
    back,
    reset: () => become(start),
  };
}
