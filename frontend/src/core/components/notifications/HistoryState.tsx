import type { InboxState } from '@socialvibes/vibemesh-client';
import Bell from 'lucide-react-native/icons/bell';
import CircleAlert from 'lucide-react-native/icons/circle-alert';
import CloudOff from 'lucide-react-native/icons/cloud-off';
import { ActivityIndicator, View } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles, useTheme } from '../../theme';
import { Blank } from '../parts/Blank';
import { Notice } from '../parts/Notice';
import { Words } from '../parts/Words';
import { SkeletonRows } from './SkeletonRows';

export interface HistoryStateProps {
  state: InboxState;
  onRetry: () => void;
}

/** What stands in an empty list: why it is empty, and what can be done about it. */
export function HistoryPlaceholder({ state, onRetry }: HistoryStateProps) {
  const t = useStrings();
  const retry = { label: t('notifications.retry'), onPress: onRetry };
  if (state.connection === 'offline' && state.status !== 'ready') {
    return <Blank icon={CloudOff} title={t('notifications.offlineTitle')} text={t('notifications.offlineText')} action={retry} />;
  }
  if (state.status === 'loading') return <SkeletonRows />;
  if (state.status === 'error') {
    return <Blank icon={CircleAlert} title={t('notifications.errorTitle')} text={t('notifications.errorText')} action={retry} />;
  }
  return <Blank icon={Bell} title={t('notifications.emptyTitle')} text={t('notifications.emptyText')} />;
}

/** What a list that shows something says about itself: that it may be old. */
export function HistoryNotice({ state, onRetry }: HistoryStateProps) {
  const styles = useStyles();
  const t = useStrings();
  const retry = { label: t('notifications.retry'), onPress: onRetry };
  const offline = state.connection === 'offline';
  if (state.items.length === 0 || (!offline && state.status !== 'error')) return null;
  return (
    <View style={styles.notice}>
      {offline ? (
        <Notice icon={CloudOff} tone="warn" text={t('notifications.offlineShort')} />
      ) : (
        <Notice icon={CircleAlert} tone="bad" text={t('notifications.errorShort')} action={retry} />
      )}
    </View>
  );
}

/** The end of the list: that older ones are coming, that they could not be loaded, or that there are none. */
export function HistoryFooter({ state, onRetry }: HistoryStateProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const t = useStrings();
  if (state.items.length === 0) return null;
  if (state.busy) return <View style={styles.footer}><ActivityIndicator color={color.accent} aria-label={t('notifications.loadingMore')} /></View>;
  if (state.more && state.status === 'ready' && state.error !== undefined) {
    const retry = { label: t('notifications.retry'), onPress: onRetry };
    return <View style={styles.notice}><Notice icon={CircleAlert} tone="bad" text={t('notifications.errorMore')} action={retry} /></View>;
  }
  if (state.more || state.items.length < 10) return null;
  return <Words kind="caption" tone="muted" style={styles.end}>{t('notifications.end')}</Words>;
}

const useStyles = makeStyles(({ space }) => ({
  notice: { marginTop: space.m },
  footer: { paddingVertical: space.xl },
  end: { textAlign: 'center', paddingVertical: space.xl },
}));
