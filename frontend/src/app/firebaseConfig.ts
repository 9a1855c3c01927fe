import type { FirebaseConfig } from '../core/auth/types';
import { isLocal, parseServer } from './server';

/** What was configured when the app was built. */
export interface FirebaseBuild {
  apiKey?: string;
  projectId?: string;
  authDomain?: string;
}

/**
 * The Firebase project to sign in to: the one that the app was built for, or `?emulator=127.0.0.1:9099&project=…` of a
 * developer. An address can name an emulator on this machine only, so that a link cannot lead passwords elsewhere.
 */
export function chooseFirebase(built: FirebaseBuild, query: URLSearchParams): FirebaseConfig | null {
  const emulator = parseServer(query.get('emulator'));
  if (emulator && isLocal(emulator)) {
    return { apiKey: 'emulator', projectId: query.get('project') ?? built.projectId ?? 'demo-vibemesh', emulator };
  }
  const { apiKey, projectId, authDomain } = built;
  return apiKey && projectId ? { apiKey, projectId, authDomain } : null;
}
