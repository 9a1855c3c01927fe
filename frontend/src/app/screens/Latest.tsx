import { View } from 'react-native';
import { Button, describeEvent, heading, useOpenEvent, Words } from '../../core/components';
import { NotificationRow } from '../../core/components/notifications/NotificationRow';
import { useNow } from '../../core/components/parts/useNow';
import { makeStyles } from '../../core/theme';
import type { Notification } from '../../core/ws/types';
import { useInbox } from '../../core/ws/WebSocketProvider';
import { useAppStrings } from '../strings';

const most = 3;

/** The newest notifications, and the way to all of them; nothing while there are none. */
export function Latest({ onSeeAll }: { onSeeAll: () => void }) {
  const styles = useStyles();
  const t = useAppStrings();
  const now = useNow();
  const open = useOpenEvent();
  const { items, markRead, markUnread } = useInbox();
  const shown = items.slice(0, most);
  if (shown.length === 0) return null;
  const toggle = (event: Notification) => (event.read ? markUnread : markRead)(event.id);
  return (
    <View>
      <View style={styles.top}>
        <Words kind="heading" style={styles.title} {...heading(2)}>{t('home.latest')}</Words>
        <Button kind="quiet" label={t('home.seeAll')} onPress={onSeeAll} />
      </View>
      {shown.map((event, i) => (
        <NotificationRow
          key={event.id}
          event={event}
          describe={describeEvent}
          now={now}
          first={i === 0}
          last={i === shown.length - 1}
          onOpen={open}
          onToggle={toggle}
        />
      ))}
    </View>
  );
}

const useStyles = makeStyles(({ space }) => ({
  top: { flexDirection: 'row', alignItems: 'center', gap: space.m, paddingStart: space.xs },
  title: { flex: 1 },
}));
