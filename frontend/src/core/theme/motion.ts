import { useSyncExternalStore } from 'react';
import { AccessibilityInfo } from 'react-native';

// One listener for all components: react-native-web tells listeners apart by their source text, so that removing one of
// several equal ones would remove another's.
const listeners = new Set<() => void>();
let reduced = false;
let listening = false;

function set(value: boolean) {
  if (value === reduced) return;
  reduced = value;
  listeners.forEach((listener) => listener());
}

function subscribe(listener: () => void): () => void {
  if (!listening) {
    listening = true;
    AccessibilityInfo.addEventListener('reduceMotionChanged', set);
    // A device that cannot say is taken at its default: with motion.
    AccessibilityInfo.isReduceMotionEnabled().then(set, () => {});
  }
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether the person asked the device for less motion. Follows the setting while the app runs. */
export function useReducedMotion(): boolean {
  return useSyncExternalStore(subscribe, () => reduced, () => false);
}
