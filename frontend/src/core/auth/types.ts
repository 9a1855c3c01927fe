import type { MeshSession } from '../ws/types';

/** How somebody signed in: with a name only, where the server takes unsigned tokens, or with Firebase. */
export type SessionKind = 'dev' | 'firebase';

/** A signed-in person. `token` is what the mesh asks for, see {@link MeshSession}. */
export interface Session extends MeshSession {
  readonly kind: SessionKind;
  /** What to show of the person: the email address, or the user id where there is none. */
  readonly name: string;
}

export type AuthState =
  /** It is not known yet whether somebody is signed in. */
  | { readonly status: 'loading'; readonly session: null }
  | { readonly status: 'signed-out'; readonly session: null }
  | { readonly status: 'signed-in'; readonly session: Session };

/** Why a sign-in failed, in words that an app can translate. */
export type AuthFault = 'credentials' | 'taken' | 'weak' | 'email' | 'offline' | 'throttled' | 'unknown';

/** Thrown by the sign-in functions. */
export class AuthError extends Error {
  override readonly name = 'AuthError';

  constructor(readonly fault: AuthFault, options?: ErrorOptions) {
    super(`signing in failed: ${fault}`, options);
  }
}

/** The Firebase project to sign in to. Nothing in it is a secret. */
export interface FirebaseConfig {
  apiKey: string;
  projectId: string;
  authDomain?: string;
  /** The origin of an Auth emulator, such as http://127.0.0.1:9099, to use instead of Firebase. */
  emulator?: string;
}

/** Firebase Auth, as far as the app needs it. Its functions throw {@link AuthError}. */
export interface Firebase {
  /** Tells who is signed in, once at first and with each change. Returns what ends it. */
  subscribe(on: (session: Session | null) => void): () => void;
  signIn(email: string, password: string): Promise<void>;
  signUp(email: string, password: string): Promise<void>;
  signOut(): Promise<void>;
}
