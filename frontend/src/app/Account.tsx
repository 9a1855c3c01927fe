import { useMemo } from 'react';
import { View } from 'react-native';
import type { SessionKind } from '../core/auth/types';
import { useAccounts } from '../core/auth/useAccounts';
import { makeStyles } from '../core/theme';
import { asyncStore } from '../core/ws/asyncStore';
import { WebSocketProvider } from '../core/ws/WebSocketProvider';
import { chooseFirebase } from './firebaseConfig';
import { query } from './page';
import { SignInScreen } from './screens/SignInScreen';
import { isLocal } from './server';
import type { Settings } from './settings';
import { SignedIn } from './SignedIn';
import { useServer } from './useServer';

export interface AccountProps {
  settings: Settings;
  onChange: (change: Partial<Settings>) => void;
}

/** The app for whoever is signed in, and the way in for everybody else. */
export function Account({ settings, onChange }: AccountProps) {
  const styles = useStyles();
  const { server, ownServer, choose } = useServer(settings, onChange);
  const firebase = useMemo(
    () => chooseFirebase({
      apiKey: process.env.EXPO_PUBLIC_FIREBASE_API_KEY,
      projectId: process.env.EXPO_PUBLIC_FIREBASE_PROJECT,
      authDomain: process.env.EXPO_PUBLIC_FIREBASE_AUTH_DOMAIN,
    }, query()),
    [],
  );
  const { accounts, auth } = useAccounts(server, asyncStore, firebase);
  const kinds: SessionKind[] = [];
  if (isLocal(server) || __DEV__) kinds.push('dev'); // only a developer's server takes a name for a sign-in
  if (firebase) kinds.push('firebase');

  if (auth.status === 'loading') return <View style={styles.page} />;
  if (auth.status === 'signed-out') {
    return <SignInScreen accounts={accounts} kinds={kinds} server={server} ownServer={ownServer} onServer={choose} />;
  }
  const { session } = auth;
  return (
    <WebSocketProvider url={server} session={session}>
      <SignedIn
        session={session}
        settings={settings}
        onChange={onChange}
        server={server}
        ownServer={ownServer}
        onServer={choose}
        onSignOut={() => void accounts.signOut()}
      />
    </WebSocketProvider>
  );
}

const useStyles = makeStyles(({ color }) => ({ page: { flex: 1, backgroundColor: color.page } }));
