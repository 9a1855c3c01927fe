import type { FirebaseApp } from '@firebase/app';
import { browserLocalPersistence, indexedDBLocalPersistence, initializeAuth, type Auth } from '@firebase/auth';

/** Firebase Auth in a browser. Nothing opens a popup, so that no code for popups is loaded. */
export function createAuth(app: FirebaseApp): Auth {
  return initializeAuth(app, { persistence: [indexedDBLocalPersistence, browserLocalPersistence] });
}
