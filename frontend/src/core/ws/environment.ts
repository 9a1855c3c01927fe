import { AppState, type AppStateStatus } from 'react-native';
import type { Environment } from './types';

/**
 * On a phone: whether the app is in front. Whether the network is there is found out by trying, which a client does
 * at once when the app comes back to the front. (iOS says 'inactive' while something covers the app for a moment.)
 */
export const platformEnvironment: Environment = {
  subscribe(on) {
    const tell = (state: AppStateStatus) => on({ online: true, active: state !== 'background' });
    tell(AppState.currentState);
    const subscription = AppState.addEventListener('change', tell);
    return () => subscription.remove();
  },
};
