import { createClient, createInbox, localStore, browserEnvironment, type Notification } from '@socialvibes/vibemesh-client';

/** Follows one person's notifications; `render` is called whenever the list or the badge changes. */
export function follow(uid: string, token: (fresh: boolean) => Promise<string>, render: (items: readonly Notification[], unread: number) => void) {
  const client = createClient({
    url: 'https://mesh.example.com', user: uid, token, unread: true, store: localStore(), environment: browserEnvironment(),
  });
  const inbox = createInbox(client);
  inbox.subscribe(() => render(inbox.getState().items, inbox.getState().unread));
  inbox.onArrival((notification) => console.log('a toast:', notification.payload));
  inbox.start();
  client.start();
  return { inbox, client };
}
