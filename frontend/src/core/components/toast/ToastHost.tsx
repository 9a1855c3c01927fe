import ChevronRight from 'lucide-react-native/icons/chevron-right';
import { useEffect, useId, useMemo, useState, useSyncExternalStore } from 'react';
import { Pressable, View } from 'react-native';
import { GestureHandlerRootView } from 'react-native-gesture-handler';
import { useStrings } from '../../i18n';
import { makeStyles, target, useTheme, useWide } from '../../theme';
import { useInsets } from '../parts/useInsets';
import { focusRing } from '../parts/web';
import { Words } from '../parts/Words';
import { Announcer } from './Announcer';
import { EventToast } from './EventToast';
import { useToastContext } from './ToastContext';
import { behind } from './toastQueue';
import { useCountdown } from './useCountdown';
import { useToastQueue } from './useToastQueue';

export interface ToastHostProps {
  /** How far below the window's top the toasts begin on wide windows, in density-independent pixels: below the header. */
  offset?: number;
}

/** The id of the element that holds the toasts, in a browser. */
export const toastsId = 'vibemesh-toasts';

/**
 * Where toasts appear. ToastProvider renders one over the app and one inside the sheet of an event; an app that opens a
 * `Modal` of its own renders one in there, since nothing outside of a modal can lie above it. Only the topmost shows.
 */
export function ToastHost({ offset = 72 }: ToastHostProps) {
  const host = useId();
  const { hosts } = useToastContext();
  useEffect(() => hosts.add(host), [hosts, host]);
  const top = useSyncExternalStore(hosts.subscribe, hosts.getTop, hosts.getTop);
  return top === host ? <Toasts offset={offset} /> : null;
}

function Toasts({ offset }: Required<ToastHostProps>) {
  const styles = useStyles();
  const t = useStrings();
  const insets = useInsets();
  const wide = useWide();
  const { store, describe, duration, focus, open, showAll } = useToastContext();
  const queue = useToastQueue(store);
  const [held, setHeld] = useState<ReadonlySet<string>>(new Set());
  const room = wide ? 3 : 1;
  useEffect(() => store.dispatch({ type: 'room', room }), [store, room]);

  const toasts = useMemo(
    () => queue.shown.flatMap((toast) => {
      const content = describe(toast.event);
      return content ? [{ ...toast, content }] : [];
    }),
    [queue.shown, describe],
  );
  // Counted over the toasts on the screen: one that leaves under the pointer takes its hold along.
  const paused = toasts.some((toast) => held.has(toast.key));
  const hold = (key: string) => (on: boolean) =>
    setHeld((keys) => new Set(toasts.map((toast) => toast.key).filter((each) => (each === key ? on : keys.has(each)))));
  const dismiss = (key: string) => {
    focus.leave();
    store.dispatch({ type: 'dismiss', key });
  };
  const more = behind(queue);
  const place = wide ? [styles.wide, { top: insets.top + offset }] : [styles.narrow, { top: insets.top + 8 }];

  return (
    <GestureHandlerRootView style={[styles.layer, place]} pointerEvents="box-none">
      <View
        id={toastsId}
        style={[styles.stack, wide && styles.stackWide]}
        role="region"
        aria-label={t('toast.region')}
        pointerEvents="box-none"
        onFocus={focus.enter}
      >
        {toasts.map((toast) => (
          <EventToast
            key={toast.key}
            content={toast.content}
            to={toast.event.to}
            duration={duration}
            revision={toast.revision}
            paused={paused}
            onHold={hold(toast.key)}
            onDismiss={() => dismiss(toast.key)}
            onOpen={() => {
              dismiss(toast.key);
              open(toast.event);
            }}
          />
        ))}
        {more > 0 && (
          <More
            count={more}
            last={toasts.length === 0}
            duration={duration}
            onEnd={() => store.dispatch({ type: 'clear' })}
            onPress={showAll}
          />
        )}
      </View>
      <Announcer toasts={toasts} more={more} />
    </GestureHandlerRootView>
  );
}

interface MoreProps {
  count: number;
  /** No toast is left above it: it leaves, too. */
  last: boolean;
  duration: number;
  onEnd: () => void;
  onPress: (() => void) | undefined;
}

function More({ count, last, duration, onEnd, onPress }: MoreProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const t = useStrings();
  const { focus } = useToastContext();
  useCountdown({ duration, paused: !last, revision: count, onEnd });
  const press = () => {
    focus.leave();
    onEnd();
    onPress?.();
  };
  return (
    <Pressable role="button" aria-label={t('toast.moreLabel', { count })} onPress={press} style={styles.more}>
      <Words kind="caption" tone="accentText">{t('toast.more', { count })}</Words>
      <View aria-hidden><ChevronRight size={16} color={color.accentText} /></View>
    </Pressable>
  );
}

const useStyles = makeStyles((theme) => ({
  layer: { position: 'absolute', flex: 0, zIndex: 1000 },
  narrow: { start: theme.space.m, end: theme.space.m },
  wide: { end: 20, width: 352 }, // beside a sheet of 520 in a window of 1280
  stack: { gap: 10, alignItems: 'center' },
  stackWide: { alignItems: 'flex-end' },
  more: {
    flexDirection: 'row', alignItems: 'center', gap: 4, minHeight: target, paddingStart: theme.space.l, paddingEnd: theme.space.m,
    borderRadius: theme.radius.round, borderWidth: 1, borderColor: theme.color.rule, backgroundColor: theme.color.raised,
    boxShadow: theme.shadow.card, ...focusRing(theme),
  },
}));
