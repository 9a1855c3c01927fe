import { openStore } from '../ws/testing/fakeMesh';
import { createAccounts } from './accounts';
import { mintDevToken, isUserId } from './devToken';
import { AuthError, type Firebase, type Session } from './types';

const server = 'https://mesh.example';

/** Firebase Auth with one account; it remembers who is signed in, as the real one does. */
function fakeFirebase() {
  let user: Session | null = null;
  const listeners = new Set<(session: Session | null) => void>();
  const become = (next: Session | null) => {
    user = next;
    listeners.forEach((fn) => fn(user));
  };
  const session: Session = { kind: 'firebase', user: 'uid-1', name: 'ada@example.com', token: async (fresh) => (fresh ? 'fresh' : 'cached') };
  const firebase: Firebase & { signOut: jest.Mock } = {
    subscribe(fn) {
      listeners.add(fn);
      void Promise.resolve().then(() => listeners.has(fn) && fn(user));
      return () => listeners.delete(fn);
    },
    async signIn(_, password) {
      if (password !== 'right') throw new AuthError('credentials');
      become(session);
    },
    async signUp() {
      become(session);
    },
    signOut: jest.fn(async () => become(null)),
  };
  return { firebase, load: async () => firebase, listeners, end: () => become(null) };
}

async function settle() {
  for (let i = 0; i < 10; i++) await Promise.resolve();
}

test('a development token is what sv-cli writes', () => {
  // sv-cli token --user ada
  const claims = 'eyJhdWQiOiJkZW1vLXZpYmVtZXNoIiwiYXV0aF90aW1lIjoxNzk1NDc3NzM2LCJleHAiOjE3OTU0ODEzMzYsImZpcmViYXNlIjp7ImlkZW50aXRpZXMiOnt9LCJzaWdu'
    + 'X2luX3Byb3ZpZGVyIjoiY3VzdG9tIn0sImlhdCI6MTc5NTQ3NzczNiwiaXNzIjoiaHR0cHM6Ly9zZWN1cmV0b2tlbi5nb29nbGUuY29tL2RlbW8tdmliZW1lc2giLCJzdWIiOiJh'
    + 'ZGEiLCJ1c2VyX2lkIjoiYWRhIn0';
  expect(mintDevToken('ada', 1_795_477_736_999)).toBe(`eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.${claims}.`);
  const [, body = ''] = mintDevToken('Åse 🦊', 0).split('.');
  const bytes = Uint8Array.from(atob(body.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
  expect(JSON.parse(new TextDecoder().decode(bytes))).toMatchObject({ sub: 'Åse 🦊', exp: 3600 });
});

test('a user id has 1 to 128 bytes', () => {
  expect([isUserId(''), isUserId('a'), isUserId('a'.repeat(128)), isUserId('å'.repeat(65))]).toEqual([false, true, true, false]);
});

describe('with a name only', () => {
  test('somebody signs in, is remembered, and signs out', async () => {
    const store = openStore();
    const first = createAccounts({ server, store });
    first.open();
    await settle();
    expect(first.getState()).toEqual({ status: 'signed-out', session: null });
    await first.signInDev('ada');
    expect(first.getState()).toMatchObject({ status: 'signed-in', session: { kind: 'dev', user: 'ada', name: 'ada' } });

    const second = createAccounts({ server, store });
    const changed = jest.fn();
    second.subscribe(changed);
    second.open();
    expect(second.getState().status).toBe('loading');
    await settle();
    expect(second.getState().session?.user).toBe('ada');
    expect(changed).toHaveBeenCalledTimes(1);
    await second.signOut();
    expect(second.getState().status).toBe('signed-out');
    expect(store.content).toEqual({});
  });

  test('a token that was refused just now is not replaced, an older one is', async () => {
    jest.useFakeTimers();
    const accounts = createAccounts({ server, store: openStore() });
    await accounts.signInDev('ada');
    const token = (fresh: boolean) => accounts.getState().session?.token(fresh);
    const first = await token(false);
    jest.advanceTimersByTime(30_000);
    expect(await token(true)).toBe(first);
    jest.advanceTimersByTime(31_000);
    expect(await token(false)).toBe(first);
    const second = await token(true);
    expect(second).not.toBe(first);
    jest.advanceTimersByTime(51 * 60_000);
    expect(await token(false)).not.toBe(second);
    jest.useRealTimers();
  });

  test('nobody is signed in at another server', async () => {
    const store = openStore();
    await createAccounts({ server, store }).signInDev('ada');
    const other = createAccounts({ server: 'https://evil.example', store });
    other.open();
    await settle();
    expect(other.getState().status).toBe('signed-out');
  });

  test.each(['not json', 'null', '[]', '{"kind":"dev"}', `{"kind":"dev","server":"${server}","user":7}`, `{"kind":"x","server":"${server}"}`])(
    'what the store holds may be anything: %s', async (text) => {
      const accounts = createAccounts({ server, store: openStore({ 'vibemesh.session': text }) });
      accounts.open();
      await settle();
      expect(accounts.getState().status).toBe('signed-out');
    },
  );

  test('a store that fails keeps nobody out', async () => {
    const broken = { get: () => Promise.reject(new Error('broken')), set: () => Promise.reject(new Error('full')), remove: () => Promise.reject(new Error('broken')) };
    const accounts = createAccounts({ server, store: broken });
    accounts.open();
    await settle();
    expect(accounts.getState().status).toBe('signed-out');
    await accounts.signInDev('ada');
    expect(accounts.getState().session?.user).toBe('ada');
    await accounts.signOut();
    expect(accounts.getState().status).toBe('signed-out');
  });
});

describe('with Firebase', () => {
  test('somebody signs in, is remembered, and signs out there, too', async () => {
    const { firebase, load } = fakeFirebase();
    const store = openStore();
    const first = createAccounts({ server, store, firebase: load });
    first.open();
    await settle();
    await first.signIn('ada@example.com', 'right');
    await settle();
    expect(first.getState()).toMatchObject({ status: 'signed-in', session: { kind: 'firebase', user: 'uid-1' } });
    await expect(first.getState().session?.token(true)).resolves.toBe('fresh');

    const second = createAccounts({ server, store, firebase: load });
    second.open();
    await settle();
    expect(second.getState().session?.name).toBe('ada@example.com');
    await second.signOut();
    expect(firebase.signOut).toHaveBeenCalledTimes(1);
    expect(store.content).toEqual({});
  });

  test('a refusal is thrown and signs nobody in', async () => {
    const accounts = createAccounts({ server, store: openStore(), firebase: fakeFirebase().load });
    accounts.open();
    await settle();
    await expect(accounts.signIn('ada@example.com', 'wrong')).rejects.toMatchObject({ fault: 'credentials' });
    expect(accounts.getState().status).toBe('signed-out');
  });

  test('whom Firebase signs out is signed out here', async () => {
    const { load, end } = fakeFirebase();
    const accounts = createAccounts({ server, store: openStore(), firebase: load });
    accounts.open();
    await settle();
    await accounts.signUp('ada@example.com', 'right');
    await settle();
    expect(accounts.getState().status).toBe('signed-in');
    end();
    expect(accounts.getState().status).toBe('signed-out');
  });

  test('it is not loaded for who does not use it, and not followed after the end', async () => {
    const { load, listeners } = fakeFirebase();
    const loaded = jest.fn(load);
    const store = openStore();
    const accounts = createAccounts({ server, store, firebase: loaded });
    const close = accounts.open();
    await settle();
    await accounts.signInDev('ada');
    expect(loaded).not.toHaveBeenCalled();
    await accounts.signIn('ada@example.com', 'right');
    expect(listeners.size).toBe(1);
    close();
    expect(listeners.size).toBe(0);
  });

  test('nobody can sign in where no project is configured', async () => {
    await expect(createAccounts({ server, store: openStore() }).signIn('ada@example.com', 'right')).rejects.toThrow('no Firebase project');
  });
});
