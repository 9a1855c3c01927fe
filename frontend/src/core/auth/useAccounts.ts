import { useEffect, useMemo, useSyncExternalStore } from 'react';
import type { Store } from '../ws/types';
import { createAccounts, type Accounts } from './accounts';
import type { AuthState, FirebaseConfig } from './types';

/** Who is signed in at `server`. Another server, store or configuration starts anew. */
export function useAccounts(server: string, store: Store, config: FirebaseConfig | null): { accounts: Accounts; auth: AuthState } {
  const accounts = useMemo(() => {
    // Firebase is loaded when somebody uses it, so that an app that does not starts without it.
    const firebase = config ? async () => (await import('./firebase')).openFirebase(config) : undefined;
    return createAccounts({ server, store, firebase });
  }, [server, store, config]);
  useEffect(() => accounts.open(), [accounts]);
  return { accounts, auth: useSyncExternalStore(accounts.subscribe, accounts.getState) };
}
