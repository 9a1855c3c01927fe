import { initializeApp } from '@firebase/app';
import {
  connectAuthEmulator, createUserWithEmailAndPassword, onAuthStateChanged, signInWithEmailAndPassword, signOut,
  type User,
} from '@firebase/auth';
import { createAuth } from './createAuth';
import { AuthError, type AuthFault, type Firebase, type FirebaseConfig, type Session } from './types';

const faults: Record<string, AuthFault> = {
  'auth/invalid-credential': 'credentials',
  'auth/user-not-found': 'credentials',
  'auth/wrong-password': 'credentials',
  'auth/user-disabled': 'credentials',
  'auth/email-already-in-use': 'taken',
  'auth/weak-password': 'weak',
  'auth/invalid-email': 'email',
  'auth/missing-email': 'email',
  'auth/network-request-failed': 'offline',
  'auth/too-many-requests': 'throttled',
};

function refused(error: unknown): AuthError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return new AuthError(faults[code] ?? 'unknown', { cause: error });
}

async function attempt(what: Promise<unknown>): Promise<void> {
  try {
    await what;
  } catch (error) {
    throw refused(error);
  }
}

function sessionOf(user: User): Session {
  return { kind: 'firebase', user: user.uid, name: user.email ?? user.uid, token: (fresh) => user.getIdToken(fresh) };
}

/** Opens Firebase Auth; who was signed in before still is. Call it once for each project in an app. */
export function openFirebase({ emulator, ...options }: FirebaseConfig): Firebase {
  const auth = createAuth(initializeApp(options, options.projectId));
  if (emulator) connectAuthEmulator(auth, emulator, { disableWarnings: true });
  return {
    subscribe: (on) => onAuthStateChanged(auth, (user) => on(user ? sessionOf(user) : null)),
    signIn: (email, password) => attempt(signInWithEmailAndPassword(auth, email, password)),
    signUp: (email, password) => attempt(createUserWithEmailAndPassword(auth, email, password)),
    signOut: () => attempt(signOut(auth)),
  };
}
