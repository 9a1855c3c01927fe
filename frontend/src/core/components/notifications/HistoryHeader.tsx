import CheckCheck from 'lucide-react-native/icons/check-check';
import RefreshCw from 'lucide-react-native/icons/refresh-cw';
import { Platform, View } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles, useWide } from '../../theme';
import { Button } from '../parts/Button';
import { IconButton } from '../parts/IconButton';
import { heading } from '../parts/web';
import { Words } from '../parts/Words';

export interface HistoryHeaderProps {
  unread: number;
  /** There is a list to say something about. */
  ready: boolean;
  refreshing: boolean;
  onMarkAll: () => void;
  onRefresh: () => void;
}

/** The list's heading, how many are unread, and what can be done about all of them. */
export function HistoryHeader({ unread, ready, refreshing, onMarkAll, onRefresh }: HistoryHeaderProps) {
  const styles = useStyles();
  const t = useStrings();
  const wide = useWide();
  const count = unread > 0 ? t('notifications.unread', { count: unread }) : t('notifications.allRead');
  const all = unread > 0 && <Button kind="quiet" icon={CheckCheck} label={t('notifications.markAll')} onPress={onMarkAll} />;
  // Fingers pull the list; a mouse and a keyboard cannot.
  const again = Platform.OS === 'web' && (
    <IconButton icon={RefreshCw} size={18} label={t('notifications.refresh')} disabled={refreshing} onPress={onRefresh} />
  );
  return (
    <View style={styles.header}>
      <View style={styles.line}>
        <Words kind="display" style={styles.words} {...heading(1)}>{t('notifications.title')}</Words>
        {wide && all}
        {again}
      </View>
      {ready && (
        <View style={styles.line}>
          <Words kind="detail" tone="muted" style={styles.words}>{count}</Words>
          {!wide && all}
        </View>
      )}
    </View>
  );
}

const useStyles = makeStyles(({ space }) => ({
  header: { paddingTop: space.xl },
  line: { flexDirection: 'row', alignItems: 'center', minHeight: 32, marginEnd: -space.m },
  words: { flex: 1 },
}));
