import { useMemo, type ReactNode } from 'react';
import { Modal, useWindowDimensions, View } from 'react-native';
import { Gesture, GestureDetector, GestureHandlerRootView } from 'react-native-gesture-handler';
import Animated, { FadeInDown, SlideInDown, useAnimatedStyle, useSharedValue, withTiming } from 'react-native-reanimated';
import { scheduleOnRN } from 'react-native-worklets';
import { makeStyles, useReducedMotion, useWide } from '../../theme';
import { useInsets } from './useInsets';

export interface SheetProps {
  open: boolean;
  /** What the dialog is called. */
  label: string;
  onClose: () => void;
  /** A picture fills the top: the handle has to show on it. */
  pictured?: boolean;
  /** Lies over the sheet, such as a host of toasts: nothing outside of a modal can. */
  over?: ReactNode;
  children: ReactNode;
}

/** How far the handle has to be pulled down for the sheet to close, in density-independent pixels, or how fast. */
const farEnough = 110;
const fastEnough = 800;

/**
 * A dialog: a card in the middle of wide windows, a sheet at the bottom of narrow ones. Escape, Android's back, the scrim
 * and pulling the handle close it. In a browser it keeps the focus inside, and gives it back to what opened it.
 */
export function Sheet({ open, label, onClose, pictured = false, over, children }: SheetProps) {
  const styles = useStyles();
  const still = useReducedMotion();
  const wide = useWide();
  const insets = useInsets();
  const { height } = useWindowDimensions();
  const pull = usePull(onClose);
  const room = wide ? Math.min(760, height - 96) : height - insets.top - 40;

  return (
    <Modal
      visible={open}
      transparent
      animationType={still ? 'none' : 'fade'}
      onRequestClose={onClose}
      statusBarTranslucent
      navigationBarTranslucent
      aria-label={label}
    >
      <GestureHandlerRootView style={[styles.window, wide ? styles.middle : styles.bottom]}>
        <Animated.View
          entering={still ? undefined : wide ? FadeInDown.duration(220) : SlideInDown.duration(280)}
          style={[styles.place, wide && styles.placeWide, { maxHeight: room }]}
        >
          <Animated.View
            style={[styles.sheet, wide ? styles.card : styles.drawer, !wide && { paddingBottom: insets.bottom }, pull.style]}
            accessibilityViewIsModal
            onAccessibilityEscape={onClose}
          >
            {children}
            {!wide && (
              <GestureDetector gesture={pull.gesture}>
                <View style={styles.grip} testID="sheet-grip">
                  <View style={[styles.handle, pictured && styles.handleOnPicture]} />
                </View>
              </GestureDetector>
            )}
          </Animated.View>
        </Animated.View>
        {/* No Pressable: a browser would give it the focus, which belongs to the sheet. Escape does the same by keyboard. */}
        <View style={styles.scrim} testID="sheet-scrim" aria-hidden onStartShouldSetResponder={always} onResponderRelease={onClose} />
        {over}
      </GestureHandlerRootView>
    </Modal>
  );
}

const always = () => true;

function usePull(onClose: () => void) {
  const y = useSharedValue(0);
  const gesture = useMemo(
    () => Gesture.Pan()
      .withTestId('sheet-pull')
      .onUpdate((event) => {
        y.set(Math.max(0, event.translationY));
      })
      .onEnd((event) => {
        if (event.translationY > farEnough || event.velocityY > fastEnough) scheduleOnRN(onClose);
        y.set(withTiming(0, { duration: 200 }));
      }),
    [onClose, y],
  );
  return { gesture, style: useAnimatedStyle(() => ({ transform: [{ translateY: y.get() }] })) };
}

const useStyles = makeStyles(({ color, radius, shadow, space }) => ({
  window: { flex: 1, alignItems: 'center' },
  middle: { justifyContent: 'center', padding: space.xl },
  bottom: { justifyContent: 'flex-end' },
  scrim: { position: 'absolute', top: 0, bottom: 0, start: 0, end: 0, backgroundColor: color.scrim },
  place: { width: '100%', zIndex: 1 },
  placeWide: { maxWidth: 520 },
  sheet: { flexShrink: 1, overflow: 'hidden', backgroundColor: color.raised, boxShadow: shadow.float },
  card: { borderRadius: radius.xl, borderWidth: 1, borderColor: color.rule },
  drawer: { borderTopStartRadius: radius.xl, borderTopEndRadius: radius.xl },
  grip: { position: 'absolute', top: 0, start: 72, end: 72, height: 44, alignItems: 'center' },
  handle: { width: 36, height: 4, marginTop: 8, borderRadius: 2, backgroundColor: color.ruleStrong, opacity: 0.6 },
  handleOnPicture: { backgroundColor: color.picture, opacity: 0.9, boxShadow: '0 0 4px rgba(0, 0, 0, 0.5)' },
}));
