import { act, render, renderHook } from '@testing-library/react-native';
import { StrictMode, type ReactNode } from 'react';
import { AppState } from 'react-native';
import { event, mesh, openStore, settle, installFakeMesh } from './testing/fakeMesh';
import type { MeshOptions, MeshSession } from './types';
import { useInbox, useWS, useWSEvent, WebSocketProvider } from './WebSocketProvider';

installFakeMesh();
beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const url = 'https://mesh.example';
const ada: MeshSession = { user: 'ada', token: async () => 'token-of-ada' };

function wrapper(session: MeshSession | null, options: Partial<MeshOptions> = {}) {
  const store = options.store ?? openStore();
  return function Wrapper({ children }: { children: ReactNode }) {
    return <WebSocketProvider url={url} session={session} store={store} {...options}>{children}</WebSocketProvider>;
  };
}

async function live<T>(hook: () => T, options: Partial<MeshOptions> = {}) {
  const rendered = renderHook(hook, { wrapper: wrapper(ada, options) });
  await settle();
  await mesh.socket.greets();
  return rendered;
}

describe('useWS', () => {
  test('tells how the connection is', async () => {
    const { result, unmount } = renderHook(() => useWS(), { wrapper: wrapper(ada) });
    expect(result.current.state).toBe('connecting');
    await settle();
    expect(mesh.socket.url).toMatch(/^wss:\/\/mesh\.example\/api\/v1\/ws\?/);
    expect(mesh.socket.token).toBe('token-of-ada');
    await mesh.socket.greets();
    expect(result.current.state).toBe('live');
    await mesh.socket.ends(4403);
    expect(result.current).toMatchObject({ state: 'refused', closeCode: 4403 });
    act(() => result.current.reconnect());
    await settle();
    await mesh.socket.greets();
    expect(result.current.state).toBe('live');
    unmount();
    expect(mesh.open()).toEqual([]);
  });

  test('has no connection for nobody', async () => {
    const { result } = renderHook(() => ({ ws: useWS(), inbox: useInbox() }), { wrapper: wrapper(null) });
    await settle();
    expect(mesh.sockets).toEqual([]);
    expect(result.current.ws).toMatchObject({ state: 'stopped', client: null });
    expect(result.current.ws.signal('chess', 'typing')).toBe(false);
    expect(result.current.inbox.items).toEqual([]);
    await expect(result.current.inbox.refresh()).resolves.toBeUndefined();
  });

  test('is an error without a provider', () => {
    const said = jest.spyOn(console, 'error').mockImplementation(() => {});
    expect(() => renderHook(() => useWS())).toThrow('WebSocketProvider');
    said.mockRestore();
  });

  test('opens one socket when React mounts everything twice', async () => {
    const Inside = () => <>{useWS().state}</>;
    const Wrapper = wrapper(ada);
    const { toJSON, unmount } = render(<StrictMode><Wrapper><Inside /></Wrapper></StrictMode>);
    await settle();
    await mesh.socket.greets();
    await settle();
    expect(mesh.sockets).toHaveLength(1);
    expect(toJSON()).toBe('live');
    unmount();
    expect(mesh.open()).toEqual([]);
  });
});

describe('the token', () => {
  test('is asked for anew when it was refused', async () => {
    const token = jest.fn(async (fresh: boolean) => (fresh ? 'second' : 'first'));
    const { result } = renderHook(() => useWS(), { wrapper: wrapper({ user: 'ada', token }) });
    await settle();
    expect(mesh.socket.token).toBe('first');
    await mesh.socket.ends(4401);
    await act(async () => jest.advanceTimersByTimeAsync(30_000));
    expect(token).toHaveBeenLastCalledWith(true);
    expect(mesh.socket.token).toBe('second');
    await mesh.socket.greets();
    expect(result.current.state).toBe('live');
  });

  test('is not tried again when no other one is to be had', async () => {
    const { result } = renderHook(() => useWS(), { wrapper: wrapper(ada) });
    await settle();
    await mesh.socket.ends(4401);
    await act(async () => jest.advanceTimersByTimeAsync(60_000));
    expect(result.current).toMatchObject({ state: 'refused', closeCode: 4401 });
    expect(mesh.sockets).toHaveLength(1);
  });

  test('is renewed on the connection before it ends', async () => {
    const token = jest.fn(async (fresh: boolean) => (fresh ? 'second' : 'first'));
    renderHook(() => useWS(), { wrapper: wrapper({ user: 'ada', token }) });
    await settle();
    await mesh.socket.greets({ expires: Math.floor(Date.now() / 1000) + 300, ping: 3600 });
    await act(async () => jest.advanceTimersByTimeAsync(300_000));
    expect(mesh.sockets).toHaveLength(1);
    expect(mesh.socket.sent).toContainEqual({ type: 'auth', token: 'second' });
  });
});

describe('useWSEvent', () => {
  test('hands over each event of its type once, to the newest handler', async () => {
    const [first, second] = [jest.fn(), jest.fn()];
    let handler = first;
    const { rerender, unmount } = await live(() => useWSEvent('toast', handler));
    const toast = event();
    await mesh.socket.says(toast, toast, event({ type: 'order.shipped', payload: { order: 7 } }));
    expect(first.mock.calls).toEqual([[expect.objectContaining({ id: toast.id, payload: toast.payload })]]);
    handler = second;
    rerender({});
    const { socket } = mesh;
    await socket.says(event());
    expect(first).toHaveBeenCalledTimes(1);
    expect(second).toHaveBeenCalledTimes(1);
    unmount();
    await socket.says(event());
    expect(second).toHaveBeenCalledTimes(1);
  });

  test('knows the payload of a type that has a schema, and takes any other as an object', async () => {
    const seen: unknown[] = [];
    await live(() => {
      useWSEvent('toast', ({ payload }) => seen.push(payload.title.toUpperCase()));
      useWSEvent('order.shipped', ({ payload }) => seen.push(payload.order));
    });
    await mesh.socket.says(event({ payload: { title: 'hello' } }), event({ type: 'order.shipped', payload: { order: 7 } }));
    expect(seen).toEqual(['HELLO', 7]);
  });
});

describe('useInbox', () => {
  test('shows what arrives, and tells the mesh what was read', async () => {
    const arrived = jest.fn();
    const { result } = await live(() => useInbox());
    act(() => void result.current.onArrival(arrived));
    const toast = event();
    await mesh.socket.says({ type: 'read', cursor: 'c0' }, toast);
    await act(async () => jest.advanceTimersByTimeAsync(1_000));
    expect(result.current).toMatchObject({ unread: 1, connection: 'live', items: [{ id: toast.id, read: false }] });
    expect(arrived).toHaveBeenCalledTimes(1);
    act(() => result.current.markRead(toast.id));
    expect(result.current).toMatchObject({ unread: 0, items: [{ read: true }] });
    await settle();
    expect(mesh.socket.sent).toContainEqual(expect.objectContaining({ type: 'read', read: [toast.id] }));
  });
});

describe('signing out', () => {
  test('forgets what the device keeps of the person, and of nobody else', async () => {
    const kept = { 'vibemesh.cursor.grace': 'c9', 'vibemesh.inbox.grace': '{"v":1}', 'vibemesh.settings': '{}' };
    const store = openStore({ ...kept });
    const { result, rerender } = await live(() => ({ ws: useWS(), inbox: useInbox() }), { store });
    await mesh.socket.says(event(), event());
    await act(async () => jest.advanceTimersByTimeAsync(5_000));
    expect(Object.keys(store.content).length).toBeGreaterThan(Object.keys(kept).length);
    const { socket } = mesh;
    await act(async () => {
      const done = result.current.ws.forget();
      await jest.advanceTimersByTimeAsync(5_000);
      await done;
    });
    expect(socket.closed).toBe(1000);
    await socket.says(event());
    rerender({});
    await act(async () => jest.advanceTimersByTimeAsync(5_000));
    expect(store.content).toEqual(kept);
  });

  test('of one and in of another is another connection', async () => {
    const store = openStore();
    const show = (session: MeshSession | null) => (
      <WebSocketProvider url={url} session={session} store={store}><Items /></WebSocketProvider>
    );
    const { rerender, toJSON } = render(show(ada));
    await settle();
    await mesh.socket.greets();
    await mesh.socket.says(event());
    await settle();
    expect(toJSON()).toBe('1');
    rerender(show(null));
    expect(mesh.open()).toEqual([]);
    expect(toJSON()).toBe('0');
    rerender(show({ user: 'grace', token: async () => 'token-of-grace' }));
    await settle();
    expect(mesh.socket.token).toBe('token-of-grace');
    expect(mesh.socket.url).not.toContain('cursor=');
    expect(toJSON()).toBe('0');
  });
});

function Items() {
  return <>{String(useInbox().items.length)}</>;
}

describe('topics', () => {
  test('are named when connecting, and joined and left on the connection that is there', async () => {
    const Wrapper = ({ topics }: { topics: string[] }) => (
      <WebSocketProvider url={url} session={ada} store={store} topics={topics}>{null}</WebSocketProvider>
    );
    const store = openStore();
    const { rerender } = render(<Wrapper topics={['chess']} />);
    await settle();
    expect(new URL(mesh.socket.url).searchParams.get('topics')).toBe('chess');
    await mesh.socket.greets();
    await mesh.socket.says({ type: 'subscribed', topics: ['chess'], cursor: 'c0' });
    rerender(<Wrapper topics={['chess']} />);
    await settle();
    expect(mesh.socket.sent).toEqual([]);
    rerender(<Wrapper topics={['go']} />);
    await settle();
    expect(mesh.socket.sent).toEqual(expect.arrayContaining([{ type: 'subscribe', topic: 'go' }, { type: 'unsubscribe', topic: 'chess' }]));
    expect(mesh.sockets).toHaveLength(1);
  });
});

test('a phone that is put away does not connect again until it is taken up', async () => {
  const changes: ((state: string) => void)[] = [];
  const remove = jest.fn();
  const listen = jest.spyOn(AppState, 'addEventListener').mockImplementation((_, on) => {
    changes.push(on as (state: string) => void);
    return { remove } as unknown as ReturnType<typeof AppState.addEventListener>;
  });
  const { unmount } = await live(() => useWS());
  act(() => changes.forEach((on) => on('background')));
  await mesh.socket.ends(1006);
  await act(async () => jest.advanceTimersByTimeAsync(120_000));
  expect(mesh.sockets).toHaveLength(1);
  act(() => changes.forEach((on) => on('active')));
  await act(async () => jest.advanceTimersByTimeAsync(2_000));
  expect(mesh.sockets).toHaveLength(2);
  unmount();
  expect(remove).toHaveBeenCalledTimes(changes.length);
  listen.mockRestore();
});
