import { useSyncExternalStore } from 'react';
import { AppState } from 'react-native';

function subscribe(listener: () => void): () => void {
  const subscription = AppState.addEventListener('change', listener);
  return () => subscription?.remove(); // undefined where a browser has no visibility state
}

/** Whether the person can see the app: it is in front, or its tab is. */
export function useForeground(): boolean {
  return useSyncExternalStore(subscribe, () => AppState.currentState !== 'background', () => true);
}
