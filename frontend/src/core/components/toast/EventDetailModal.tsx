import type { Notification } from '@socialvibes/vibemesh-client';
import Mail from 'lucide-react-native/icons/mail';
import { useState, type ReactNode } from 'react';
import { View } from 'react-native';
import { useStrings } from '../../i18n';
import { openAction, type Action } from '../../links';
import { makeStyles, useWide } from '../../theme';
import { describeEvent, type Content, type Describe } from '../content';
import { Button } from '../parts/Button';
import { Sheet } from '../parts/Sheet';
import { useInsets } from '../parts/useInsets';
import { Words } from '../parts/Words';
import { EventDetail } from './EventDetail';

/** Takes an action. Resolves to whether something took it. */
export type ActionHandler = (action: Action, event: Notification) => boolean | Promise<boolean>;

export interface EventDetailModalProps {
  /** The event to show; none: the modal is closed. */
  event: Notification | undefined;
  onClose: () => void;
  describe?: Describe;
  /** Where the action button leads; default: `openAction`. An app can follow its own scheme here without leaving. */
  onAction?: ActionHandler;
  /** Offers to mark the event as unread again; the modal closes then. */
  onMarkUnread?: (event: Notification) => void;
  /** Lies over the modal: a ToastHost. */
  over?: ReactNode;
}

/** The whole of an event: a card on wide windows, a sheet on narrow ones. */
export function EventDetailModal({
  event, onClose, describe = describeEvent, onAction = openAction, onMarkUnread, over,
}: EventDetailModalProps) {
  const t = useStrings();
  const last = useLast(event); // still shown while the modal fades away
  const content = (last && describe(last)) ?? { title: t('notifications.untitled') };
  return (
    <Sheet
      open={event !== undefined}
      label={content.title}
      pictured={content.image !== undefined}
      onClose={onClose}
      over={over}
    >
      {last && <EventDetail event={last} content={content} onClose={onClose} />}
      {last && (content.action || onMarkUnread) && (
        <Footer key={last.id} event={last} content={content} onClose={onClose} onAction={onAction} onMarkUnread={onMarkUnread} />
      )}
    </Sheet>
  );
}

type FooterProps = Required<Pick<EventDetailModalProps, 'onClose' | 'onAction'>> & Pick<EventDetailModalProps, 'onMarkUnread'> & {
  event: Notification;
  content: Content;
};

function Footer({ event, content, onClose, onAction, onMarkUnread }: FooterProps) {
  const styles = useStyles();
  const t = useStrings();
  const insets = useInsets();
  const wide = useWide();
  const [failed, setFailed] = useState(false);
  const { action } = content;

  const act = async () => {
    if (!action) return;
    const taken = await Promise.resolve(onAction(action, event)).catch(() => false);
    setFailed(!taken);
    if (taken) onClose();
  };
  const markUnread = () => {
    onMarkUnread?.(event);
    onClose();
  };
  return (
    <View style={[styles.footer, insets.bottom > 0 && styles.footerOverBar]}>
      <View role="status" accessibilityLiveRegion="polite">
        {failed && <Words kind="detail" tone="bad" style={styles.failed}>{t('detail.failed')}</Words>}
      </View>
      <View style={wide ? styles.side : styles.stack}>
        {action && (
          <Button
            grow={!wide}
            label={action.label ?? t('detail.open')}
            hint={action.scheme === 'https' ? `${action.host}. ${t('detail.opensBrowser')}` : undefined}
            onPress={() => void act()}
          />
        )}
        {onMarkUnread && (
          <View style={styles.whole}>
            <Button kind="quiet" icon={Mail} label={t('notifications.markUnread')} onPress={markUnread} />
          </View>
        )}
      </View>
    </View>
  );
}

function useLast<T>(value: T | undefined): T | undefined {
  const [last, setLast] = useState(value);
  if (value !== undefined && value !== last) setLast(value);
  return value ?? last;
}

const useStyles = makeStyles(({ color, space }) => ({
  footer: {
    paddingHorizontal: space.xl, paddingTop: space.l, paddingBottom: space.l,
    borderTopWidth: 1, borderColor: color.rule, backgroundColor: color.raised,
  },
  // The action comes first for the keyboard and the reader, and last for the eye where they are side by side.
  side: { flexDirection: 'row-reverse', justifyContent: 'space-between', alignItems: 'center', gap: space.m, marginStart: -space.m },
  stack: { alignItems: 'center', gap: space.s },
  whole: { flexShrink: 0 },
  footerOverBar: { paddingBottom: space.xs },
  failed: { textAlign: 'center', paddingBottom: space.s },
}));
