import { useEffect, useState } from 'react';
import type { Store } from '../core/ws/types';
import { loadSettings, saveSettings, type Settings } from './settings';

/** The settings; undefined until they were read. */
export function useSettings(store: Store): { settings: Settings | undefined; change: (change: Partial<Settings>) => void } {
  const [settings, setSettings] = useState<Settings>();
  useEffect(() => {
    let here = true;
    void loadSettings(store).then((loaded) => here && setSettings(loaded));
    return () => {
      here = false;
    };
  }, [store]);
  const change = (changed: Partial<Settings>) => {
    if (!settings) return;
    const next = { ...settings, ...changed };
    setSettings(next);
    void saveSettings(store, next);
  };
  return { settings, change };
}
