import type { Audience } from '@socialvibes/vibemesh-client';
import X from 'lucide-react-native/icons/x';
import { useState } from 'react';
import { Pressable, View } from 'react-native';
import { GestureDetector } from 'react-native-gesture-handler';
import Animated, { FadeInUp, FadeOut, LinearTransition, useAnimatedStyle } from 'react-native-reanimated';
import { useStrings } from '../../i18n';
import { makeStyles, useReducedMotion } from '../../theme';
import type { Content } from '../content';
import { IconButton } from '../parts/IconButton';
import { sentences } from '../parts/sentences';
import { Thumbnail } from '../parts/Thumbnail';
import { useForeground } from '../parts/useForeground';
import { focusRing, onEscape } from '../parts/web';
import { Words } from '../parts/Words';
import { useCountdown } from './useCountdown';
import { useSwipe } from './useSwipe';

/** How long a toast stays, in milliseconds. */
export const toastDuration = 7000;

export interface EventToastProps {
  content: Content;
  /** Whom the event is for: chooses the sign of one without a picture. */
  to?: Audience;
  onOpen: () => void;
  /** The person sent it away, or its time is over. */
  onDismiss: () => void;
  /** Milliseconds until it leaves by itself; 0: it stays. Time stands still while it is touched, pointed at or focused. */
  duration?: number;
  /** Time stands still for another reason. */
  paused?: boolean;
  /** Another value starts the time over: the event was replaced by a newer one. */
  revision?: number;
  /** Whether the person is touching, pointing at or focusing it. */
  onHold?: (held: boolean) => void;
}

/** One event as a small banner. */
export function EventToast({
  content, to = 'user', onOpen, onDismiss, duration = toastDuration, paused = false, revision = 0, onHold,
}: EventToastProps) {
  const styles = useStyles();
  const t = useStrings();
  const still = useReducedMotion();
  const foreground = useForeground();
  const { held, handlers } = useHold(onHold);
  const share = useCountdown({ duration, revision, paused: paused || held || !foreground, onEnd: onDismiss });
  const swipe = useSwipe(onDismiss, 'toast-swipe');
  const bar = useAnimatedStyle(() => ({ width: `${share.get() * 100}%` }));

  return (
    <Animated.View
      entering={still ? undefined : FadeInUp.duration(220)}
      exiting={still ? undefined : FadeOut.duration(140)}
      layout={still ? undefined : LinearTransition.duration(200)}
      style={styles.place}
    >
      <GestureDetector gesture={swipe.gesture}>
        <Animated.View style={[styles.card, swipe.style]} {...handlers} {...onEscape(onDismiss)}>
          <Pressable
            role="button"
            aria-label={sentences(content.title, content.teaser)}
            accessibilityHint={t('item.details')}
            onPressIn={swipe.touched}
            onPress={() => !swipe.wasDragged() && onOpen()}
            style={styles.body}
          >
            <Thumbnail image={content.image} to={to} />
            <View style={styles.words}>
              <Words kind="item" lines={2} followed>{content.title}</Words>
              {content.teaser && <Words kind="detail" tone="muted" lines={2}>{content.teaser}</Words>}
            </View>
          </Pressable>
          <IconButton icon={X} size={18} label={t('toast.dismiss')} onPress={onDismiss} style={styles.close} />
          {duration > 0 && !still && <Animated.View style={[styles.bar, bar]} aria-hidden />}
        </Animated.View>
      </GestureDetector>
    </Animated.View>
  );
}

// Touch, pointer and focus each hold; the toast is held while any of them does.
function useHold(onHold: EventToastProps['onHold']) {
  const [reasons, setReasons] = useState<readonly string[]>([]);
  const change = (reason: string, on: boolean) => () => {
    const next = on ? [...new Set([...reasons, reason])] : reasons.filter((other) => other !== reason);
    setReasons(next);
    if (next.length > 0 !== reasons.length > 0) onHold?.(next.length > 0);
  };
  const handlers = {
    onPointerEnter: change('pointer', true),
    onPointerLeave: change('pointer', false),
    onTouchStart: change('touch', true),
    onTouchEnd: change('touch', false),
    onTouchCancel: change('touch', false),
    onFocus: change('focus', true),
    onBlur: change('focus', false),
  };
  return { held: reasons.length > 0, handlers };
}

const useStyles = makeStyles((theme) => ({
  place: { width: '100%' },
  card: {
    flexDirection: 'row', alignItems: 'flex-start', overflow: 'hidden', borderRadius: theme.radius.l,
    backgroundColor: theme.color.raised, borderWidth: 1, borderColor: theme.color.rule, boxShadow: theme.shadow.float,
  },
  body: {
    flex: 1, flexDirection: 'row', alignItems: 'center', gap: theme.space.m, minHeight: 72, paddingVertical: 14, paddingStart: 14,
    borderRadius: theme.radius.l, ...focusRing(theme, -3),
  },
  words: { flex: 1, gap: 1 },
  close: { marginTop: 6, marginEnd: 6 },
  bar: { position: 'absolute', bottom: 0, start: 0, height: 2, backgroundColor: theme.color.accent, opacity: 0.8 },
}));
