import { hasHidden } from './hidden';

/** Schemes that an action may lead to, unless the app says otherwise: the web, and the app itself. */
export const defaultSchemes: readonly string[] = ['https', 'sv'];

/** An address that passed the rules. */
export interface Action {
  /** The address, with its scheme in lower case. */
  url: string;
  /** The scheme in lower case, without a colon. */
  scheme: string;
  /** The host, with its port: what a person should be told about where it leads. In an app's address, its first word. */
  host: string;
}

const longest = 2048; // as the schema of a toast has it
const absolute = /^([a-z][a-z0-9+.-]*):\/\/([^/?#]+)/i;
const webHost = /^(?:(?=.{1,253}(?::|$))(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i;
const appHost = /^[a-z0-9._~-]{1,253}$/i;

/**
 * The action of an address from a payload, or undefined where it may not be opened.
 *
 * It may when its scheme is one of `schemes` (compared without regard to case) and it is written in full, as
 * `scheme://host…`. Refused are spaces, control and invisible characters, backslashes (which browsers read as slashes),
 * names and passwords before the host (`https://good.example@evil.example`), and hosts beyond ASCII, which can look like
 * others: an international domain has to be given in its xn-- form.
 */
export function resolveAction(address: unknown, schemes: readonly string[] = defaultSchemes): Action | undefined {
  if (typeof address !== 'string' || address.length > longest || address.includes('\\') || hasHidden(address)) return undefined;
  const [whole, given, host] = absolute.exec(address) ?? [];
  if (whole === undefined || given === undefined || host === undefined) return undefined;
  const scheme = given.toLowerCase();
  if (!schemes.some((allowed) => allowed.toLowerCase().replace(/:(\/\/)?$/, '') === scheme)) return undefined;
  if (!(isWeb(scheme) ? webHost : appHost).test(host)) return undefined;
  return { url: scheme + address.slice(given.length), scheme, host };
}

/** The address of a picture from a payload, or undefined where it may not be loaded: https only. */
export function safeImage(address: unknown): string | undefined {
  return resolveAction(address, ['https'])?.url;
}

function isWeb(scheme: string): boolean {
  return scheme === 'https' || scheme === 'http';
}
