import type { Inbox, Notification } from '@socialvibes/vibemesh-client';
import { useCallback, useMemo, useState, useSyncExternalStore } from 'react';
import { RefreshControl, SectionList, View } from 'react-native';
import { useFormats, useStrings } from '../../i18n';
import { makeStyles, useTheme } from '../../theme';
import { describeEvent, type Describe } from '../content';
import { useNow } from '../parts/useNow';
import { heading } from '../parts/web';
import { Words } from '../parts/Words';
import { arrowKeys } from './arrowKeys';
import { HistoryHeader } from './HistoryHeader';
import { HistoryFooter, HistoryNotice, HistoryPlaceholder } from './HistoryState';
import { NotificationRow } from './NotificationRow';
import { daySections, type DaySection } from './sections';

/** The part of an inbox that the list needs. */
export type HistoryInbox = Pick<
  Inbox,
  'getState' | 'subscribe' | 'refresh' | 'loadMore' | 'markRead' | 'markUnread' | 'markAllRead'
>;

export interface NotificationHistoryProps {
  inbox: HistoryInbox;
  /** Opens a notification, as `useOpenEvent()` does. It is marked as read in any case. */
  onOpen: (event: Notification) => void;
  describe?: Describe;
  /** Milliseconds since 1970; default: Date.now. */
  clock?: () => number;
}

/** All notifications of a person, by day, newest first. */
export function NotificationHistory({ inbox, onOpen, describe = describeEvent, clock }: NotificationHistoryProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const t = useStrings();
  const formats = useFormats();
  const now = useNow(clock);
  const state = useSyncExternalStore(inbox.subscribe, inbox.getState, inbox.getState);
  const { refreshing, refresh } = useRefresh(inbox);
  const sections = useMemo(() => daySections(state.items, (ts) => formats.day(ts, now)), [state.items, formats, now]);

  const open = useCallback(
    (event: Notification) => {
      if (!event.read) inbox.markRead(event.id);
      onOpen(event);
    },
    [inbox, onOpen],
  );
  const toggle = useCallback(
    (event: Notification) => (event.read ? inbox.markUnread(event.id) : inbox.markRead(event.id)),
    [inbox],
  );
  const loadMore = () => {
    // A page that failed is asked for again by the person, not each time the end comes into view.
    if (state.more && !state.busy && state.status === 'ready' && state.error === undefined) void inbox.loadMore();
  };
  const retryMore = () => void inbox.loadMore();

  return (
    <View style={styles.screen} role="region" aria-label={t('notifications.title')} {...arrowKeys()}>
      <SectionList<Notification, DaySection>
        sections={sections}
        keyExtractor={(item) => item.id}
        renderItem={({ item, index, section }) => (
          <NotificationRow
            event={item}
            describe={describe}
            now={now}
            first={index === 0}
            last={index === section.data.length - 1}
            onOpen={open}
            onToggle={toggle}
          />
        )}
        renderSectionHeader={({ section }) => (
          <Words kind="caption" tone="muted" style={styles.day} {...heading(2)}>{section.title}</Words>
        )}
        ListHeaderComponent={
          <>
            <HistoryHeader
              unread={state.unread}
              ready={state.items.length > 0}
              refreshing={refreshing}
              onMarkAll={() => inbox.markAllRead()}
              onRefresh={refresh}
            />
            <HistoryNotice state={state} onRetry={refresh} />
          </>
        }
        ListEmptyComponent={<HistoryPlaceholder state={state} onRetry={refresh} />}
        ListFooterComponent={<HistoryFooter state={state} onRetry={retryMore} />}
        refreshControl={<RefreshControl refreshing={refreshing} onRefresh={refresh} tintColor={color.accent} colors={[color.accent]} />}
        onEndReached={loadMore}
        onEndReachedThreshold={0.6}
        initialNumToRender={14}
        windowSize={9}
        stickySectionHeadersEnabled={false}
        style={styles.list}
        contentContainerStyle={styles.content}
      />
    </View>
  );
}

function useRefresh(inbox: HistoryInbox) {
  const [refreshing, setRefreshing] = useState(false);
  const refresh = useCallback(() => {
    setRefreshing(true);
    const done = () => setRefreshing(false);
    inbox.refresh().then(done, done);
  }, [inbox]);
  return { refreshing, refresh };
}

const useStyles = makeStyles(({ color, space }) => ({
  screen: { flex: 1, backgroundColor: color.page },
  list: { flex: 1 },
  content: { flexGrow: 1, width: '100%', maxWidth: 720, alignSelf: 'center', paddingHorizontal: space.l, paddingBottom: space.xxl },
  day: { paddingTop: space.l + space.xs, paddingBottom: space.s, paddingStart: space.xs },
}));
