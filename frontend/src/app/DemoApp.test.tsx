import AsyncStorage from '@react-native-async-storage/async-storage';
import { act, fireEvent, render, screen } from '@testing-library/react-native';
import { Linking } from 'react-native';
import { event, installFakeMesh, mesh, settle } from '../core/ws/testing/fakeMesh';
import { DemoApp } from './DemoApp';

// The real one waits for the device to say how far its bars reach in.
jest.mock('react-native-safe-area-context', () => jest.requireActual('react-native-safe-area-context/jest/mock').default);

installFakeMesh();
beforeEach(async () => {
  jest.useFakeTimers();
  await AsyncStorage.clear();
});
afterEach(() => {
  jest.useRealTimers();
  jest.restoreAllMocks();
});

async function press(name: string | RegExp) {
  fireEvent.press(screen.getByRole('button', { name }));
  await settle();
}

async function signIn() {
  render(<DemoApp />);
  await settle();
  fireEvent.changeText(screen.getByLabelText('Your name'), 'ada');
  await press('Sign in');
  await mesh.socket.greets();
}

async function stored() {
  return (await AsyncStorage.getAllKeys()).toSorted();
}

test('a developer signs in, and is remembered', async () => {
  await signIn();
  expect(screen.getByText('Hello, ada')).toBeOnTheScreen();
  expect(screen.getByText('Connected')).toBeOnTheScreen();
  expect(mesh.socket.url).toMatch(/^ws:\/\/127\.0\.0\.1:8080\/api/);
  screen.unmount();
  expect(mesh.open()).toEqual([]);
  render(<DemoApp />);
  await settle();
  expect(screen.getByText('Hello, ada')).toBeOnTheScreen();
});

test('a name that is no user id is not taken', async () => {
  render(<DemoApp />);
  await settle();
  await press('Sign in');
  expect(screen.getByText('A name has 1 to 128 characters.')).toBeOnTheScreen();
  expect(mesh.sockets).toEqual([]);
});

test('what arrives is shown at once, counted, and opened', async () => {
  await signIn();
  await mesh.socket.says(event({ payload: { title: 'Summer meetup', teaser: 'At the lake', description: 'Bring a blanket.' } }));
  await settle();
  expect(screen.getAllByText('Summer meetup').length).toBeGreaterThan(0);
  await press('Notifications, 1 unread');
  fireEvent.press(screen.getAllByRole('button', { name: /Summer meetup/ }).at(-1)!);
  await settle();
  expect(screen.getByText('Bring a blanket.')).toBeOnTheScreen();
  expect(mesh.socket.sent).toContainEqual(expect.objectContaining({ type: 'read' }));
});

test('an event that leads into the app is followed there, and Back does not open it again', async () => {
  await signIn();
  await mesh.socket.says(event({ payload: { title: 'Summer meetup', action_url: 'sv://event/7', action_label: 'Show it' } }));
  await settle();
  fireEvent.press(screen.getAllByRole('button', { name: /Summer meetup/ })[0]!);
  await settle();
  await press('Show it');
  expect(screen.getByText('sv://event/7')).toBeOnTheScreen();
  expect(screen.queryByRole('button', { name: 'Show it' })).toBeNull();
  await press('Back');
  expect(screen.getByText('Hello, ada')).toBeOnTheScreen();
  expect(screen.queryByRole('button', { name: 'Show it' })).toBeNull();
});

test('signing out leaves nothing of the person on the device', async () => {
  await signIn();
  await mesh.socket.says(event());
  await act(async () => jest.advanceTimersByTimeAsync(5_000));
  expect(await stored()).toEqual(expect.arrayContaining(['vibemesh.cursor.ada', 'vibemesh.inbox.ada', 'vibemesh.session']));
  await press('Settings');
  await press('Sign out');
  await act(async () => jest.advanceTimersByTimeAsync(5_000));
  expect(screen.getByRole('button', { name: 'Sign in' })).toBeOnTheScreen();
  expect(await stored()).toEqual([]);
  expect(mesh.open()).toEqual([]);
});

test('another language and another server are chosen in the settings', async () => {
  await signIn();
  await press('Settings');
  fireEvent.press(screen.getByRole('radio', { name: 'Dansk' }));
  await settle();
  expect(screen.getByText('Udseende')).toBeOnTheScreen();
  fireEvent.changeText(screen.getByLabelText('Serverens adresse'), 'ftp://nowhere');
  await press('Gem');
  expect(screen.getByText(/Det er ikke en serveradresse/)).toBeOnTheScreen();
  fireEvent.changeText(screen.getByLabelText('Serverens adresse'), 'mesh.example');
  await press('Gem');
  await settle();
  // Nobody is signed in there: a token is for one server only.
  expect(screen.getByText('Server: https://mesh.example')).toBeOnTheScreen();
  expect(mesh.open()).toEqual([]);
  expect(await stored()).toEqual(['vibemesh.session', 'vibemesh.settings']);
});

test('saving the server that is in use already changes nothing', async () => {
  await signIn();
  await press('Settings');
  fireEvent.changeText(screen.getByLabelText('Address of the server'), '');
  await press('Save');
  expect(mesh.sockets).toHaveLength(1);
  expect(mesh.open()).toHaveLength(1);
});

test('an address of the app is followed, and no other is', async () => {
  const listeners: ((event: { url: string }) => void)[] = [];
  jest.spyOn(Linking, 'addEventListener').mockImplementation((_, on) => {
    listeners.push(on);
    return { remove: () => {} } as unknown as ReturnType<typeof Linking.addEventListener>;
  });
  await signIn();
  await act(async () => listeners.forEach((on) => on({ url: 'https://evil.example/event/7' })));
  expect(screen.getByText('Hello, ada')).toBeOnTheScreen();
  await act(async () => listeners.forEach((on) => on({ url: 'sv://event/7' })));
  expect(screen.getByText('sv://event/7')).toBeOnTheScreen();
  await press('To the start');
  expect(screen.getByText('Hello, ada')).toBeOnTheScreen();
});

test('a test notification goes to the server as a backend would send it', async () => {
  await signIn();
  const answer = { ok: true, status: 201, json: async () => ({}) };
  const posted = jest.spyOn(globalThis, 'fetch').mockImplementation(async () => answer as Response);
  fireEvent.press(screen.getByRole('radio', { name: 'Short' }));
  fireEvent.changeText(screen.getByLabelText('Headline'), 'Hello');
  await press('Send');
  expect(posted).toHaveBeenLastCalledWith('http://127.0.0.1:8080/api/v1/ws/toast', expect.objectContaining({
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-SV-KEY': 'local-development-secret' },
    body: JSON.stringify({ title: 'Hello', to: { user: 'ada' } }),
  }));
  posted.mockImplementation(async () => ({ ok: false, status: 401, json: async () => ({ detail: 'no such secret' }) }) as Response);
  await press('Send');
  expect(screen.getByText('It was not sent: no such secret')).toBeOnTheScreen();
  expect(screen.getByLabelText('Secret of the server')).toBeOnTheScreen();
});
