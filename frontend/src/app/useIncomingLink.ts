import { useEffect } from 'react';
import { Linking } from 'react-native';
import { routeOf, type Route } from './navigation/routes';

/**
 * Follows the addresses that the device opens the app by, such as sv://event/7. Anybody can make such an address: the
 * app goes where it says, and does nothing that the person did not ask for.
 */
export function useIncomingLink(follow: (route: Route) => void): void {
  useEffect(() => {
    let here = true;
    const take = (url: string | null) => {
      const route = routeOf(url);
      if (route && here) follow(route);
    };
    Linking.getInitialURL().then(take, () => {}); // nothing opened it, as far as can be known
    const subscription = Linking.addEventListener('url', ({ url }) => take(url));
    return () => {
      here = false;
      subscription.remove();
    };
  }, [follow]);
}
