// Who gets in, who stays in, and what a device keeps of them.
import assert from 'node:assert/strict';
import { scenario } from '../support/world.mjs';

scenario('a wrong password is said so, the right one signs in, and a reload keeps it', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open();
  const { page } = device;
  device.failing = true; // the browser logs the emulator's refusal
  await device.fillIn({ ...ada, password: 'not this one' });
  await page.getByRole('alert').getByText('That address and password do not belong together.').waitFor();
  assert.equal(await page.getByLabel('Password', { exact: true }).getAttribute('aria-invalid'), 'true');
  assert.equal(device.sockets.length, 0);
  device.failing = false;

  device.person = ada;
  await device.signIn();
  await page.getByRole('heading', { name: 'Hello, Ada' }).waitFor();
  await page.getByRole('status').getByText('Connected', { exact: true }).waitFor();
  await page.reload();
  await device.live();
});

scenario('somebody new makes an account, and leaves nothing behind on signing out', async (stage) => {
  const person = { email: `new.${Date.now()}@example.com`, password: 'correct horse' };
  const device = await stage.open();
  const { page } = device;
  await page.getByRole('radio', { name: 'Email' }).click();
  await device.button('I have no account yet').click();
  await page.getByLabel('Email address', { exact: true }).fill(person.email);
  await page.getByLabel('Password', { exact: true }).fill(person.password);
  await device.button('Create account').click();
  await device.live();
  const kept = () => page.evaluate(() => Object.keys(globalThis.localStorage).filter((key) => /cursor|inbox|reads|session/.test(key)));
  assert.ok((await kept()).length > 0);

  await device.button('Settings').click();
  await page.getByText(`Signed in as ${person.email}`).waitFor();
  await device.button('Sign out').click();
  await page.getByRole('radio', { name: 'Email' }).waitFor();
  assert.deepEqual(await kept(), []);
  assert.equal(device.sockets.length, 1);
  await page.reload();
  await page.getByRole('radio', { name: 'Email' }).waitFor();
});

scenario('whom an operator disconnects can connect again', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  await stage.mesh.disconnect(ada.id);
  await device.page.getByText('Session ended', { exact: true }).waitFor();
  await stage.mesh.toast('While disconnected', { user: ada.id });
  await device.button('Connect again').click();
  await device.toast('While disconnected').waitFor();
  assert.equal(device.sockets.length, 2);
});
