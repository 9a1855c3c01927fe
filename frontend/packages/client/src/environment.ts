import type { Conditions, Environment } from './types.js';

/** The conditions of a page: the network as the browser knows it, and whether the page is visible. */
export function browserEnvironment(): Environment {
  return {
    subscribe(on) {
      const tell = () => {
        // A browser that does not know says that it is online.
        const now: Conditions = { online: navigator.onLine !== false, active: document.visibilityState !== 'hidden' };
        on(now);
      };
      const sources: [EventTarget, string][] = [
        [window, 'online'],
        [window, 'offline'],
        [window, 'pageshow'],
        [document, 'visibilitychange'],
      ];
      for (const [target, type] of sources) target.addEventListener(type, tell);
      tell();
      return () => {
        for (const [target, type] of sources) target.removeEventListener(type, tell);
      };
    },
  };
}
