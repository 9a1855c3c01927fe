import { createClient, createInbox } from '@socialvibes/vibemesh-client';
import { useEffect, useMemo } from 'react';
import { asyncStore } from './asyncStore';
import { platformEnvironment } from './environment';
import type { Mesh, MeshOptions, MeshSession } from './types';

const none: readonly string[] = [];

/**
 * Holds a connection for whoever is signed in, for as long as the component is there, and none for nobody. It
 * begins anew when the session, url, signals, store or environment is another; topics are joined and left on the
 * connection that is there.
 */
export function useWebSocket(session: MeshSession | null, options: MeshOptions): Mesh | null {
  const { url, topics = none, signals, store = asyncStore, environment = platformEnvironment } = options;
  const mesh = useMemo(() => {
    if (!session) return null;
    const { user } = session;
    const client = createClient({ url, user, token: (fresh) => session.token(fresh), signals, unread: true, store, environment });
    return { client, inbox: createInbox(client) };
  }, [session, url, signals, store, environment]);

  // Before the start, so that the first connect already names them. A list is compared by what it says, for it is
  // easily written anew with each rendering.
  const names = JSON.stringify(topics);
  useEffect(() => {
    const joined = JSON.parse(names) as string[];
    for (const topic of joined) mesh?.client.join(topic);
    return () => {
      for (const topic of joined) mesh?.client.leave(topic);
    };
  }, [mesh, names]);

  useEffect(() => {
    mesh?.inbox.start();
    mesh?.client.start();
    return () => {
      mesh?.inbox.stop();
      mesh?.client.stop();
    };
  }, [mesh]);

  return mesh;
}
