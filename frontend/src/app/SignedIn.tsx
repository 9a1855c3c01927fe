import SettingsIcon from 'lucide-react-native/icons/settings';
import { useCallback } from 'react';
import { View } from 'react-native';
import type { Session } from '../core/auth/types';
import { Header, IconButton, NotificationHistory, ToastProvider, useOpenEvent, type ActionHandler } from '../core/components';
import { openAction } from '../core/links';
import { makeStyles } from '../core/theme';
import { useInbox, useWS } from '../core/ws/WebSocketProvider';
import { routeOf } from './navigation/routes';
import { useTrail, type Navigation } from './navigation/useTrail';
import { useTitleOfPage } from './page';
import { HomeScreen } from './screens/HomeScreen';
import { LinkScreen } from './screens/LinkScreen';
import { SettingsScreen } from './screens/SettingsScreen';
import { isLocal } from './server';
import type { Settings } from './settings';
import { useAppStrings } from './strings';
import { useOpened } from './useOpened';
import { useIncomingLink } from './useIncomingLink';

export interface SignedInProps {
  session: Session;
  settings: Settings;
  onChange: (change: Partial<Settings>) => void;
  server: string;
  ownServer: string;
  onServer: (server: string) => void;
  /** Ends the sign-in; what this device keeps is forgotten by then. */
  onSignOut: () => void;
}

/** The screens of a signed-in person, with toasts over them. */
export function SignedIn(props: SignedInProps) {
  const trail = useTrail();
  const { inbox } = useWS();
  const { opened, onOpenedChange } = useOpened(trail);
  const { go, follow } = trail;
  useIncomingLink(follow);
  const showAll = useCallback(() => go('history'), [go]);
  // An address of the app's own is followed here: there is no need to ask the device which app it is for.
  const act: ActionHandler = useCallback((action) => {
    const route = routeOf(action.url);
    if (!route) return openAction(action);
    follow(route);
    return true;
  }, [follow]);
  return (
    <ToastProvider inbox={inbox ?? undefined} onShowAll={showAll} onAction={act} opened={opened} onOpenedChange={onOpenedChange}>
      <Screen {...props} trail={trail} />
    </ToastProvider>
  );
}

interface ScreenProps extends SignedInProps {
  trail: Navigation;
}

function Screen({ trail, ...props }: ScreenProps) {
  const styles = useStyles();
  const t = useAppStrings();
  const { unread } = useInbox();
  const { state } = useWS();
  const { screen } = trail.route;
  useTitleOfPage(unread);
  const go = (to: 'history' | 'settings') => () => screen !== to && trail.go(to);
  return (
    <View style={styles.screen}>
      <Header
        title="Vibemesh"
        unread={unread}
        connection={state}
        onBell={go('history')}
        bellSelected={screen === 'history'}
        onBack={screen === 'home' ? undefined : trail.back}
      >
        <IconButton icon={SettingsIcon} size={22} tone="text" label={t('home.settings')} onPress={go('settings')} />
      </Header>
      <View role="main" style={styles.main}>
        <Body trail={trail} {...props} />
      </View>
    </View>
  );
}

function Body({ session, settings, onChange, server, ownServer, onServer, onSignOut, trail }: ScreenProps) {
  const { inbox, forget } = useWS();
  const open = useOpenEvent();
  const { screen, link = '' } = trail.route;
  // Another server may know a person of the same id: what is kept of this one's must not be shown for the other's.
  const move = async (chosen: string) => {
    if ((chosen || ownServer) !== server) await forget();
    onServer(chosen);
  };
  const signOut = async () => {
    await forget();
    trail.reset(); // the next person begins at the start
    onSignOut();
  };
  switch (screen) {
    case 'home':
      return (
        <HomeScreen
          user={session.user}
          name={session.name}
          server={server}
          canTry={isLocal(server)}
          onSeeAll={() => trail.go('history')}
          onSignOut={() => void signOut()}
        />
      );
    case 'history':
      return inbox && <NotificationHistory inbox={inbox} onOpen={open} />;
    case 'link':
      return <LinkScreen link={link} onHome={() => trail.go('home')} />;
    case 'settings':
      return (
        <SettingsScreen
          settings={settings}
          onChange={onChange}
          name={session.name}
          server={server}
          ownServer={ownServer}
          onServer={(chosen) => void move(chosen)}
          onSignOut={() => void signOut()}
        />
      );
  }
}

const useStyles = makeStyles(({ color }) => ({ screen: { flex: 1, backgroundColor: color.page }, main: { flex: 1 } }));
