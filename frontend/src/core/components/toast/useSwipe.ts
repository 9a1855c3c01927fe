import { useMemo } from 'react';
import { Gesture } from 'react-native-gesture-handler';
import { useAnimatedStyle, useSharedValue, withTiming } from 'react-native-reanimated';
import { scheduleOnRN } from 'react-native-worklets';

/** How far a card has to be moved to leave, in density-independent pixels, or how fast, in those a second. */
const farEnough = 96;
const fastEnough = 700;
const away = 480;

/** Moves a card sideways with the finger, and lets it leave. `wasDragged` tells a drag from the click that ends it. */
export function useSwipe(onAway: () => void, testID: string) {
  const x = useSharedValue(0);
  const dragged = useSharedValue(false);

  const gesture = useMemo(
    () => Gesture.Pan()
      .withTestId(testID)
      .activeOffsetX([-10, 10]) // leaves taps and vertical scrolling alone
      .failOffsetY([-24, 24])
      .onStart(() => {
        dragged.set(true);
      })
      .onUpdate((event) => {
        x.set(event.translationX);
      })
      .onEnd((event) => {
        const far = Math.abs(event.translationX) > farEnough || Math.abs(event.velocityX) > fastEnough;
        const side = event.translationX < 0 ? -away : away;
        x.set(withTiming(far ? side : 0, { duration: 180 }));
        if (far) scheduleOnRN(onAway);
      }),
    [onAway, testID, x, dragged],
  );

  const style = useAnimatedStyle(() => ({
    opacity: 1 - Math.min(1, Math.abs(x.get()) / 320) * 0.9,
    transform: [{ translateX: x.get() }],
  }));
  return { gesture, style, touched: () => dragged.set(false), wasDragged: () => dragged.get() };
}
