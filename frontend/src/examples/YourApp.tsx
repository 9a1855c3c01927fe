import { useMemo } from 'react';
import { SafeAreaProvider } from 'react-native-safe-area-context';
import { Header, NotificationHistory, ToastProvider, useOpenEvent } from '../core/components';
import { I18nProvider } from '../core/i18n';
import { ThemeProvider } from '../core/theme';
import { useInbox, useWS, useWSEvent, WebSocketProvider } from '../core/ws/WebSocketProvider';

interface User {
  uid: string;
  getIdToken(fresh?: boolean): Promise<string>;
}

export function YourApp({ user }: { user: User | null }) { // null: nobody is signed in
  const session = useMemo(() => user && { user: user.uid, token: (fresh: boolean) => user.getIdToken(fresh) }, [user]);
  return (
    <SafeAreaProvider><ThemeProvider><I18nProvider>
      <WebSocketProvider url="https://mesh.example.com" session={session}><YourScreens /></WebSocketProvider>
    </I18nProvider></ThemeProvider></SafeAreaProvider>
  );
}

function YourScreens() {
  const { inbox } = useWS();
  return inbox && <ToastProvider inbox={inbox}><YourNotifications inbox={inbox} /></ToastProvider>;
}

function YourNotifications({ inbox }: { inbox: NonNullable<ReturnType<typeof useWS>['inbox']> }) {
  const { unread, connection } = useInbox();
  const open = useOpenEvent();
  useWSEvent('toast', (event) => console.log('arrived:', event.payload.title));
  return (
    <>
      <Header title="Your app" unread={unread} connection={connection} onBell={() => {}} />
      <NotificationHistory inbox={inbox} onOpen={open} />
    </>
  );
}
