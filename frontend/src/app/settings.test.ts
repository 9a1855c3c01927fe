import { openStore } from '../core/ws/testing/fakeMesh';
import { defaults, loadSettings, saveSettings, type Settings } from './settings';

test('settings are what was saved', async () => {
  const store = openStore();
  await expect(loadSettings(store)).resolves.toEqual(defaults);
  const chosen: Settings = { language: 'da', scheme: 'dark', server: 'https://mesh.example' };
  await saveSettings(store, chosen);
  await expect(loadSettings(store)).resolves.toEqual(chosen);
});

test.each([
  ['not json', defaults],
  ['null', defaults],
  ['{"language":"tlh","scheme":7,"server":{}}', defaults],
  ['{"scheme":"dark"}', { ...defaults, scheme: 'dark' }],
])('of %s they are what makes sense', async (text, settings) => {
  await expect(loadSettings(openStore({ 'vibemesh.settings': text }))).resolves.toEqual(settings);
});

test('a store that fails changes nothing', async () => {
  const fail = () => Promise.reject(new Error('full'));
  await expect(loadSettings({ get: fail, set: fail, remove: fail })).resolves.toEqual(defaults);
  await expect(saveSettings({ get: fail, set: fail, remove: fail }, defaults)).resolves.toBeUndefined();
});
