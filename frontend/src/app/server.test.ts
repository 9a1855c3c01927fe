import { chooseFirebase } from './firebaseConfig';
import { chooseServer, isLocal, parseServer } from './server';

test.each([
  ['https://mesh.example', 'https://mesh.example'],
  ['https://Mesh.Example/', 'https://mesh.example'],
  ['  mesh.example  ', 'https://mesh.example'],
  ['mesh.example:8443', 'https://mesh.example:8443'],
  ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['127.0.0.1:8080', 'http://127.0.0.1:8080'],
  ['localhost', 'http://localhost'],
  ['[::1]:8080', 'http://[::1]:8080'],
  ['', undefined],
  [null, undefined],
  ['mesh.example/path', undefined],
  ['ftp://mesh.example', undefined],
  ['javascript:alert(1)', undefined],
  ['https://good.example@evil.example', undefined],
  ['https://mesh.example?x=1', undefined],
  ['mesh.example:99999', undefined],
  ['two words', undefined],
])('the server of %j is %j', (text, origin) => {
  expect(parseServer(text)).toBe(origin);
});

test('the server is the first that is named', () => {
  const all = { asked: 'asked.example', saved: 'saved.example', built: 'built.example', origin: 'https://page.example' };
  expect(chooseServer(all)).toBe('https://asked.example');
  expect(chooseServer({ ...all, asked: 'no address' })).toBe('https://saved.example');
  expect(chooseServer({ ...all, asked: null, saved: '' })).toBe('https://built.example');
  expect(chooseServer({ ...all, asked: null, saved: '', built: undefined })).toBe('https://page.example');
  expect(chooseServer({ asked: null, saved: '', built: undefined, origin: undefined })).toBe('http://127.0.0.1:8080');
});

test('a local server is one on this machine', () => {
  expect(['http://localhost:8080', 'http://127.0.0.1', 'http://[::1]:8080', 'http://10.0.2.2:8080'].map(isLocal)).toEqual([true, true, true, true]);
  expect(['https://mesh.example', 'https://localhost.evil.example', 'https://127.0.0.1.evil.example'].map(isLocal)).toEqual([false, false, false]);
});

describe('the Firebase project', () => {
  const built = { apiKey: 'key', projectId: 'vibes' };

  test('is the one that the app was built for', () => {
    expect(chooseFirebase(built, new URLSearchParams())).toEqual({ apiKey: 'key', projectId: 'vibes', authDomain: undefined });
    expect(chooseFirebase({}, new URLSearchParams())).toBeNull();
  });

  test('is that of an emulator where the address names one on this machine, and only there', () => {
    expect(chooseFirebase(built, new URLSearchParams('emulator=127.0.0.1:9099&project=demo-x')))
      .toEqual({ apiKey: 'emulator', projectId: 'demo-x', emulator: 'http://127.0.0.1:9099' });
    expect(chooseFirebase(built, new URLSearchParams('emulator=https://evil.example'))).toMatchObject({ projectId: 'vibes' });
    expect(chooseFirebase({}, new URLSearchParams('emulator=evil.example'))).toBeNull();
  });
});
