import { useEffect, useEffectEvent, useRef } from 'react';
import { cancelAnimation, Easing, useSharedValue, withTiming, type SharedValue } from 'react-native-reanimated';

/** After a pause there is always time left to see what has been pointed at, in milliseconds. */
const least = 1500;

export interface Countdown {
  /** Milliseconds until `onEnd`; 0: never. */
  duration: number;
  paused: boolean;
  /** Another value starts over. */
  revision: number;
  onEnd: () => void;
}

/** Calls `onEnd` when the time is over. Returns the share of time that is left, 1 to 0, for a bar. */
export function useCountdown({ duration, paused, revision, onEnd }: Countdown): SharedValue<number> {
  const left = useRef(duration);
  const share = useSharedValue(1);
  const end = useEffectEvent(onEnd);

  useEffect(() => {
    left.current = duration;
    share.set(1);
  }, [duration, revision, share]);

  useEffect(() => {
    if (paused || duration === 0) return;
    const began = Date.now();
    const timer = setTimeout(() => end(), left.current);
    share.set(withTiming(0, { duration: left.current, easing: Easing.linear }));
    return () => {
      clearTimeout(timer);
      cancelAnimation(share);
      left.current = Math.max(least, left.current - (Date.now() - began));
    };
  }, [duration, paused, revision, share]);

  return share;
}
