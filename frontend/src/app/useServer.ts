import { useState } from 'react';
import { dropQuery, origin, query } from './page';
import { chooseServer } from './server';
import type { Settings } from './settings';

export interface ServerChoice {
  /** The origin to talk to. */
  server: string;
  /** What it is when the person names none. */
  ownServer: string;
  /** Takes an origin; empty: the app's own. It counts from now on, over the one that the page was opened with. */
  choose: (server: string) => void;
}

/** Which server the app talks to. */
export function useServer(settings: Settings, change: (change: Partial<Settings>) => void): ServerChoice {
  const [asked, setAsked] = useState(() => query().get('server'));
  const built = process.env.EXPO_PUBLIC_SERVER;
  return {
    server: chooseServer({ asked, saved: settings.server, built, origin }),
    ownServer: chooseServer({ asked: null, saved: null, built, origin }),
    choose(server) {
      dropQuery('server');
      setAsked(null);
      change({ server });
    },
  };
}
