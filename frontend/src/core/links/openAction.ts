import { Linking } from 'react-native';
import type { Action } from './resolveAction';

/** Opens an action that passed `resolveAction`. Resolves to whether something took it; never rejects. */
export async function openAction(action: Action): Promise<boolean> {
  try {
    await Linking.openURL(action.url);
    return true;
  } catch {
    return false; // no app for the scheme, or a browser that blocks new windows
  }
}
