import { useMemo, useState, useSyncExternalStore } from 'react';
import { current, type Route, type Screen } from './routes';
import { createTrail } from './trail';

export interface Navigation {
  route: Route;
  /** Shows a screen. */
  go(screen: Exclude<Screen, 'link'>): void;
  /** Shows where a route leads. */
  follow(route: Route): void;
  /** Opens an event over the screen that is shown. */
  open(event: string): void;
  /** Closes the event that is open, if one is. */
  close(): void;
  /** To where the person came from: closes an open event first. */
  back(): void;
  reset(): void;
}

/** Where the person is. Use it once, at the top of the app. */
export function useTrail(): Navigation {
  const [trail] = useState(createTrail);
  const route = current(useSyncExternalStore(trail.subscribe, trail.get));
  const steps = useMemo(() => ({
    go: (screen: Screen) => trail.push({ screen }),
    follow: trail.push,
    open: (event: string) => trail.push({ ...current(trail.get()), event }),
    close: () => current(trail.get()).event !== undefined && trail.back(),
    back: trail.back,
    reset: trail.reset,
  }), [trail]);
  return useMemo(() => ({ route, ...steps }), [route, steps]);
}
