// An inbox over a history that a test keeps.
import { createInbox, memoryStore, type ClientOptions, type Inbox, type InboxOptions, type Notification, type ReadState } from '../src/index.js';
import { event, FakeSocket, live, make, pass } from './fake.js';
import { FakeHistory } from './fakeHistory.js';

export const numbers = (inbox: Inbox) => inbox.getState().items.map((n) => parseInt(n.id.split('-')[2] ?? '', 36));
export const unreadOf = (inbox: Inbox) => inbox.getState().items.filter((n) => !n.read).map((n) => parseInt(n.id.split('-')[2] ?? '', 36));
export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
export const down = (from: number, to: number) => range(to, from).reverse();

export function over(server: FakeHistory, options: Partial<ClientOptions> & InboxOptions = {}) {
  const made = make({ unread: true, fetch: server.fetch as typeof fetch, ...options, store: options.store ?? memoryStore() });
  const inbox = createInbox(made.client, { cap: options.cap });
  const arrived: Notification[] = [];
  inbox.onArrival((n) => void arrived.push(n));
  inbox.start();
  return { made, client: made.client, inbox, arrived, server };
}

/** An inbox that is live, over a history of so many events. */
export async function opened(count: number, options: Partial<ClientOptions> & InboxOptions & { state?: ReadState } = {}) {
  const server = new FakeHistory().add(...range(1, count).map((n) => event(n)));
  server.state = options.state ?? {};
  const all = over(server, options);
  const socket = await live(all.made, { unread: server.unread, cursor: `C${count}` });
  socket.say({ type: 'read', cursor: `C${count}`, ...server.state });
  await pass();
  const says = (...events: ReturnType<typeof event>[]) => {
    server.add(...events);
    FakeSocket.last.say(...events);
  };
  const reads = (state: ReadState) => {
    server.state = state;
    FakeSocket.last.say({ type: 'read', cursor: 'R', ...state });
  };
  return { ...all, socket, says, reads };
}
