import type { Notification } from '@socialvibes/vibemesh-client';
import { memo, useMemo, useState } from 'react';
import { Pressable, View, type PointerEvent } from 'react-native';
import { useFormats, useStrings } from '../../i18n';
import { makeStyles } from '../../theme';
import type { Describe } from '../content';
import { sentences } from '../parts/sentences';
import { Thumbnail } from '../parts/Thumbnail';
import { fades, focusRing } from '../parts/web';
import { Words } from '../parts/Words';
import { arrowKeyRow } from './arrowKeys';
import { ReadToggle } from './ReadToggle';

export interface NotificationRowProps {
  event: Notification;
  /** One that is not described is shown without words of its own, since it counts as unread. */
  describe: Describe;
  /** Milliseconds since 1970; what relative times are counted from. */
  now: number;
  /** The first, the last of its day: they round the card. */
  first: boolean;
  last: boolean;
  onOpen: (event: Notification) => void;
  onToggle: (event: Notification) => void;
}

/** One notification of the list. */
export const NotificationRow = memo(function NotificationRow({ event, describe, now, first, last, onOpen, onToggle }: NotificationRowProps) {
  const styles = useStyles();
  const t = useStrings();
  const moment = useFormats().moment(event.ts, now);
  const [pointed, setPointed] = useState(false);
  const content = useMemo(() => describe(event), [describe, event]);
  const title = content?.title ?? t('notifications.untitled');
  const teaser = content?.teaser ?? content?.description?.slice(0, 300); // two lines of it show
  const unread = !event.read;
  const toggle = () => onToggle(event);

  return (
    <View
      style={[styles.row, first && styles.first, last ? styles.last : styles.ruled, pointed && styles.pointed]}
      onPointerEnter={(pointer: PointerEvent) => setPointed(pointer.nativeEvent.pointerType === 'mouse')}
      onPointerLeave={() => setPointed(false)}
    >
      <Pressable
        role="button"
        aria-label={sentences(title, teaser, moment, unread && t('item.unread'))}
        accessibilityHint={t('item.details')}
        onPress={() => onOpen(event)}
        onLongPress={toggle}
        style={({ pressed }) => [styles.body, pressed && styles.pressed]}
        {...arrowKeyRow}
      >
        <Thumbnail image={content?.image} to={event.to} />
        <View style={styles.words}>
          <Words kind="item" lines={2} followed style={!unread && styles.read}>{title}</Words>
          {teaser && <Words kind="detail" tone="muted" lines={2}>{teaser}</Words>}
        </View>
      </Pressable>
      <View style={styles.end} pointerEvents="box-none">
        <Words kind="caption" tone="muted" style={styles.moment} aria-hidden>{moment}</Words>
        <ReadToggle unread={unread} pointed={pointed} onPress={toggle} />
      </View>
    </View>
  );
});

const useStyles = makeStyles((theme) => ({
  row: {
    flexDirection: 'row', backgroundColor: theme.color.surface, borderColor: theme.color.rule,
    borderStartWidth: 1, borderEndWidth: 1, ...fades,
  },
  first: { borderTopWidth: 1, borderTopStartRadius: theme.radius.l, borderTopEndRadius: theme.radius.l },
  last: { borderBottomWidth: 1, borderBottomStartRadius: theme.radius.l, borderBottomEndRadius: theme.radius.l },
  ruled: { borderBottomWidth: 1 },
  pointed: { backgroundColor: theme.color.sunken },
  body: {
    flex: 1, flexDirection: 'row', gap: theme.space.m + 2, minHeight: 76, paddingVertical: theme.space.l, paddingStart: theme.space.l,
    borderRadius: theme.radius.l, ...focusRing(theme, -3),
  },
  pressed: { opacity: 0.7 },
  words: { flex: 1, gap: 2, justifyContent: 'center' },
  read: { fontWeight: '500' },
  end: { alignItems: 'flex-end', minWidth: 60, paddingTop: theme.space.l, paddingStart: theme.space.m },
  moment: { lineHeight: 21, paddingEnd: theme.space.l, fontVariant: ['tabular-nums'] },
}));
