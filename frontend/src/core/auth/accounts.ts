import type { Store } from '../ws/types';
import { mintDevToken } from './devToken';
import type { AuthState, Firebase, Session } from './types';

/** Who is signed in at one server, and how that changes. Read it with `useAccounts`. */
export interface Accounts {
  getState(): AuthState;
  subscribe(fn: () => void): () => void;
  /** Finds out who was signed in, and follows Firebase. Returns what ends that. */
  open(): () => void;
  /** Signs in with a name only; for servers that take unsigned tokens. */
  signInDev(user: string): Promise<void>;
  /** These two throw an AuthError. */
  signIn(email: string, password: string): Promise<void>;
  signUp(email: string, password: string): Promise<void>;
  signOut(): Promise<void>;
}

export interface AccountsOptions {
  /** The server's origin. Whoever signed in for another one is not signed in here: no server gets tokens that were meant for another. */
  server: string;
  store: Store;
  /** Loads Firebase Auth; left out where no project is configured. */
  firebase?: () => Promise<Firebase>;
}

/** Under this key the store says who is signed in where. Firebase keeps its own record of its users. */
const key = 'vibemesh.session';

type Saved = { kind: 'dev'; server: string; user: string } | { kind: 'firebase'; server: string };

function parse(text: string | null): Saved | null {
  try {
    const saved = JSON.parse(text ?? 'null') as Partial<Record<string, unknown>> | null;
    if (typeof saved?.server !== 'string') return null;
    if (saved.kind === 'firebase') return { kind: 'firebase', server: saved.server };
    if (saved.kind === 'dev' && typeof saved.user === 'string') return { kind: 'dev', server: saved.server, user: saved.user };
  } catch {
    // Nobody is signed in, then.
  }
  return null;
}

/** How old a development token may be to be given again, in milliseconds; of one that was refused, or is about to end. */
const [reused, reusedFresh] = [50 * 60_000, 60_000];

function devSession(user: string): Session {
  let last: { at: number; text: string } | undefined;
  // A server that takes no such tokens refuses each of them. It is not to be asked with a new one again and again.
  const token = async (fresh: boolean) => {
    const now = Date.now();
    if (!last || Math.abs(now - last.at) > (fresh ? reusedFresh : reused)) last = { at: now, text: mintDevToken(user, now) };
    return last.text;
  };
  return { kind: 'dev', user, name: user, token };
}

const loading: AuthState = { status: 'loading', session: null };
const signedOut: AuthState = { status: 'signed-out', session: null };

export function createAccounts({ server, store, firebase }: AccountsOptions): Accounts {
  let state = loading;
  let opened = 0; // counts open(), so that an answer that comes after its end is dropped
  let unfollow = () => {};
  const listeners = new Set<() => void>();

  function become(session: Session | null): void {
    state = session ? { status: 'signed-in', session } : signedOut;
    for (const fn of listeners) fn();
  }

  async function load(): Promise<Firebase> {
    if (!firebase) throw new Error('no Firebase project is configured');
    return firebase();
  }

  async function resume(turn: number): Promise<void> {
    const saved = parse(await store.get(key).catch(() => null));
    const auth = saved?.kind === 'firebase' && saved.server === server && firebase ? await load().catch(() => null) : null;
    if (turn !== opened || state.status === 'signed-in') return;
    if (auth) follow(auth);
    else become(saved?.kind === 'dev' && saved.server === server ? devSession(saved.user) : null);
  }

  function follow(auth: Firebase): void {
    unfollow();
    unfollow = auth.subscribe(become);
  }

  const save = (saved: Saved) => store.set(key, JSON.stringify(saved)).catch(() => undefined); // then it lasts until the app ends

  async function enter(how: (auth: Firebase) => Promise<void>): Promise<void> {
    const turn = opened;
    const auth = await load();
    await how(auth);
    await save({ kind: 'firebase', server });
    if (turn === opened) follow(auth);
  }

  return {
    getState: () => state,
    subscribe(fn) {
      listeners.add(fn);
      return () => listeners.delete(fn);
    },
    open() {
      void resume(++opened);
      return () => {
        opened++;
        unfollow();
      };
    },
    async signInDev(user) {
      await save({ kind: 'dev', server, user });
      become(devSession(user));
    },
    signIn: (email, password) => enter((auth) => auth.signIn(email, password)),
    signUp: (email, password) => enter((auth) => auth.signUp(email, password)),
    async signOut() {
      const { session } = state;
      unfollow();
      become(null);
      await store.remove(key).catch(() => undefined);
      if (session?.kind === 'firebase') await (await load()).signOut();
    },
  };
}
