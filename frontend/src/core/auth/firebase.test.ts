import { initializeApp } from '@firebase/app';
import * as sdk from '@firebase/auth';
import { createAuth } from './createAuth';
import { openFirebase } from './firebase';
import type { Session } from './types';

jest.mock('@firebase/app');
jest.mock('@firebase/auth');
jest.mock('./createAuth');

const auth = { of: 'vibes' } as unknown as sdk.Auth;
const signIn = jest.mocked(sdk.signInWithEmailAndPassword);
const config = { apiKey: 'key', projectId: 'vibes' };

beforeEach(() => {
  jest.resetAllMocks();
  jest.mocked(createAuth).mockReturnValue(auth);
});

test('it opens the project, and an emulator only where one is named', () => {
  openFirebase(config);
  expect(initializeApp).toHaveBeenCalledWith(config, 'vibes');
  expect(sdk.connectAuthEmulator).not.toHaveBeenCalled();
  openFirebase({ ...config, emulator: 'http://127.0.0.1:9099' });
  expect(sdk.connectAuthEmulator).toHaveBeenCalledWith(auth, 'http://127.0.0.1:9099', expect.anything());
});

test('who is signed in has an id, a name, and fresh tokens', async () => {
  const getIdToken = jest.fn(async (fresh?: boolean) => (fresh ? 'fresh' : 'cached'));
  jest.mocked(sdk.onAuthStateChanged).mockImplementation((_, next) => {
    const tell = next as (user: unknown) => void;
    tell({ uid: 'u1', email: 'ada@example.com', getIdToken });
    tell({ uid: 'u2', email: null, getIdToken });
    tell(null);
    return () => {};
  });
  const told: (Session | null)[] = [];
  openFirebase(config).subscribe((session) => told.push(session));
  expect(told).toMatchObject([{ kind: 'firebase', user: 'u1', name: 'ada@example.com' }, { user: 'u2', name: 'u2' }, null]);
  await expect(told[0]?.token(false)).resolves.toBe('cached');
  await expect(told[0]?.token(true)).resolves.toBe('fresh');
});

test.each([
  ['auth/invalid-credential', 'credentials'],
  ['auth/email-already-in-use', 'taken'],
  ['auth/weak-password', 'weak'],
  ['auth/invalid-email', 'email'],
  ['auth/network-request-failed', 'offline'],
  ['auth/too-many-requests', 'throttled'],
  ['auth/something-new', 'unknown'],
])('%s is told as %s', async (code, fault) => {
  const cause = Object.assign(new Error(code), { code });
  signIn.mockRejectedValue(cause);
  await expect(openFirebase(config).signIn('ada@example.com', 'geheim')).rejects.toMatchObject({ name: 'AuthError', fault, cause });
});
