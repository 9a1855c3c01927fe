import type { Language } from '../core/i18n';
import type { Scheme } from '../core/theme';
import type { Store } from '../core/ws/types';

/** What the person chose, on this device. */
export interface Settings {
  language: Language | 'system';
  scheme: Scheme | 'system';
  /** The server's origin; empty: the app's own. */
  server: string;
}

export const defaults: Settings = { language: 'system', scheme: 'system', server: '' };

const key = 'vibemesh.settings';

/** Reads the settings; what is missing or makes no sense is as by default. */
export async function loadSettings(store: Store): Promise<Settings> {
  try {
    const saved = JSON.parse((await store.get(key)) ?? '{}') as Partial<Record<keyof Settings, unknown>>;
    return {
      language: oneOf(saved.language, ['system', 'en', 'da']) ?? defaults.language,
      scheme: oneOf(saved.scheme, ['system', 'light', 'dark']) ?? defaults.scheme,
      server: typeof saved.server === 'string' ? saved.server : defaults.server,
    };
  } catch {
    return defaults;
  }
}

export async function saveSettings(store: Store, settings: Settings): Promise<void> {
  await store.set(key, JSON.stringify(settings)).catch(() => undefined); // they last until the app ends, then
}

function oneOf<T extends string>(value: unknown, known: readonly T[]): T | undefined {
  return known.find((candidate) => candidate === value);
}
