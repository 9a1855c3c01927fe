import { View } from 'react-native';
import { heading, NotificationHistory, useOpenEvent, Words } from '../../core/components';
import { makeStyles, useWide } from '../../core/theme';
import { useWS } from '../../core/ws/WebSocketProvider';
import { Page } from '../parts/Page';
import { useAppStrings } from '../strings';
import { ConnectionCard } from './ConnectionCard';
import { Latest } from './Latest';
import { TryPanel } from './TryPanel';

export interface HomeScreenProps {
  user: string;
  name: string;
  server: string;
  /** The server is the developer's own: offer to send something. */
  canTry: boolean;
  onSeeAll: () => void;
  onSignOut: () => void;
}

/** Where the app begins; on wide windows with the list of notifications beside it. */
export function HomeScreen({ user, name, server, canTry, onSeeAll, onSignOut }: HomeScreenProps) {
  const styles = useStyles();
  const t = useAppStrings();
  const wide = useWide();
  const { inbox } = useWS();
  const open = useOpenEvent();
  const beside = wide && inbox;
  const own = (
    <Page underHeader>
      <Words kind="display" style={beside ? styles.besideTitle : styles.title} {...heading(beside ? 2 : 1)}>{t('home.hello', { name: name.replace(/@.*/, '') })}</Words>
      <ConnectionCard server={server} onSignOut={onSignOut} />
      {!beside && <Latest onSeeAll={onSeeAll} />}
      {canTry && <TryPanel server={server} user={user} />}
    </Page>
  );
  if (!beside) return own;
  return (
    <View style={styles.columns}>
      <View style={styles.own}>{own}</View>
      <View style={styles.list}><NotificationHistory inbox={inbox} onOpen={open} /></View>
    </View>
  );
}

const useStyles = makeStyles(({ space }) => ({
  columns: { flex: 1, flexDirection: 'row', width: '100%', maxWidth: 1180, alignSelf: 'center' },
  own: { flex: 2, minWidth: 320 },
  list: { flex: 3 },
  title: { paddingTop: space.s },
  besideTitle: { paddingTop: space.m }, // on one line with the title of the list
}));
