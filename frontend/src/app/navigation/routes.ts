import { resolveAction } from '../../core/links';

export const screens = ['home', 'history', 'settings', 'link'] as const;
export type Screen = (typeof screens)[number];

/** The schemes of addresses that lead into this app. */
export const appSchemes: readonly string[] = ['sv'];

/** What is shown: a screen, and the event that is open over it. */
export interface Route {
  readonly screen: Screen;
  /** The event's id. */
  readonly event?: string;
  /** The address that the screen 'link' is about, such as sv://event/7. */
  readonly link?: string;
}

/** Where the person is and came by, the newest last. Never empty. */
export type Path = readonly [Route, ...Route[]];

export const start: Path = [{ screen: 'home' }];

export function current(path: Path): Route {
  return path[path.length - 1] ?? path[0];
}

/** One step on. Whatever follows an open event takes its place: the way back does not open it again. Home begins anew. */
export function onward(path: Path, route: Route): { path: Path; replace: boolean } {
  const replace = current(path).event !== undefined;
  if (route.screen === 'home' && route.event === undefined) return { path: start, replace };
  const [first, ...rest] = replace ? path.slice(0, -1) : path;
  return { path: first ? [first, ...rest, route] : [route], replace };
}

/** One step back; undefined at the start. */
export function backward(path: Path): Path | undefined {
  const [first, ...rest] = path.slice(0, -1);
  return first ? [first, ...rest] : undefined;
}

/** The route that an address of the app's own leads to; undefined for any other address. */
export function routeOf(address: unknown): Route | undefined {
  const action = resolveAction(address, appSchemes);
  return action && { screen: 'link', link: action.url };
}

/** A path out of what a browser kept, which may be anything. */
export function parsePath(kept: unknown): Path | undefined {
  if (!Array.isArray(kept)) return undefined;
  const routes = kept.flatMap((route) => parseRoute(route) ?? []);
  const [first, ...rest] = routes;
  return first && routes.length === kept.length ? [first, ...rest] : undefined;
}

function parseRoute(kept: unknown): Route | undefined {
  const { screen, event, link } = (kept ?? {}) as Record<string, unknown>;
  const known = screens.find((candidate) => candidate === screen);
  if (known === 'link') return routeOf(link);
  return known && (typeof event === 'string' ? { screen: known, event } : { screen: known });
}

/** The fragment that names a screen in a page's address, and back. */
export function fragmentOf({ screen }: Route): string {
  return screen === 'history' || screen === 'settings' ? `#${screen}` : '';
}

export function pathOf(fragment: string): Path {
  const screen = screens.find((candidate) => fragmentOf({ screen: candidate }) === fragment);
  return screen && screen !== 'home' ? [...start, { screen }] : start;
}
