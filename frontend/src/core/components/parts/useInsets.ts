import { useContext } from 'react';
import { SafeAreaInsetsContext, type EdgeInsets } from 'react-native-safe-area-context';

const none: EdgeInsets = { top: 0, bottom: 0, left: 0, right: 0 };

/** How far notches and bars reach in, in density-independent pixels; nothing where the app has no SafeAreaProvider. */
export function useInsets(): EdgeInsets {
  return useContext(SafeAreaInsetsContext) ?? none;
}
