// What one device does, the others of the same person show.
import assert from 'node:assert/strict';
import { scenario } from '../support/world.mjs';
import { until } from '../support/until.mjs';

scenario('what is read on one device is read on the other', async (stage) => {
  const ada = await stage.person('ada');
  const phone = await stage.open({ person: ada, viewport: { width: 390, height: 844 } });
  const laptop = await stage.open({ person: ada });
  const before = await laptop.unread();
  await stage.mesh.toast('First', { user: ada.id });
  await stage.mesh.toast({ title: 'Second', description: 'The whole of it.' }, { user: ada.id });
  await phone.badge(before + 2);
  await laptop.badge(before + 2);

  await laptop.row('Second').click();
  const dialog = laptop.page.getByRole('dialog');
  await dialog.getByText('The whole of it.').waitFor();
  await phone.badge(before + 1);
  await laptop.badge(before + 1);

  await dialog.getByRole('button', { name: 'Mark as unread' }).click();
  await phone.badge(before + 2);
  await laptop.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });

  await phone.bell().click();
  await phone.button('Mark all as read').click();
  await phone.badge(0);
  await laptop.badge(0);
});

scenario('a device that is away shows on its return what it missed, once', async (stage) => {
  const ada = await stage.person('ada');
  const phone = await stage.open({ person: ada });
  const laptop = await stage.open({ person: ada });
  await phone.offline(true);
  const titles = Array.from({ length: 12 }, (_, n) => `Missed ${String(n).padStart(2, '0')}`);
  for (const title of titles.slice(0, 6)) await stage.mesh.toast(title, { user: ada.id });
  laptop.failing = true;
  await stage.mesh.kill();
  await stage.mesh.start();
  for (const title of titles.slice(6)) await stage.mesh.toast(title, { user: ada.id });
  await phone.offline(false);
  for (const device of [phone, laptop]) {
    await device.row('Missed 11').waitFor();
    const missed = (await device.titles()).filter((title) => title.startsWith('Missed'));
    assert.deepEqual(missed, titles.toReversed());
    // Each was a toast once, or was counted by the line that stands for many.
    const shown = (await device.shown()).filter((title) => title.startsWith('Missed'));
    assert.equal(new Set(shown).size, shown.length, `shown twice: ${shown}`);
  }
});

scenario('what was marked offline counts afterwards, and offline there is the list that was kept', async (stage) => {
  const ada = await stage.person('ada');
  const phone = await stage.open({ person: ada });
  const laptop = await stage.open({ person: ada });
  const before = await phone.unread();
  await stage.mesh.toast('Kept on the device', { user: ada.id });
  await phone.badge(before + 1);
  await until('it is kept', () => phone.page.evaluate(() => JSON.stringify(globalThis.localStorage).includes('Kept on the device')));

  phone.failing = true;
  phone.gateway.cut(); // the pages themselves come from a server that goes on
  await phone.page.reload();
  await phone.row('Kept on the device').waitFor();
  await phone.badge(before + 1);
  await phone.row('Kept on the device').click();
  await phone.badge(before);
  await laptop.badge(before + 1);
  phone.gateway.mend();
  await laptop.badge(before);
});

scenario('a token is refreshed on the connection that is there', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada, prepare: ({ page }) => page.clock.install() });
  const sockets = device.sockets.length;
  const socket = device.sockets.at(-1);
  const expires = socket.received.find(({ type }) => type === 'hello').expires;
  const now = await device.page.evaluate(() => Date.now());
  // To where the client asks for another token, well before the edge would end the session.
  await device.page.clock.fastForward(Math.max(0, expires * 1000 - now - 30_000));
  await until('another hello on the same socket', () => socket.received.filter(({ type }) => type === 'hello').length === 2);
  assert.equal(socket.sent.filter(({ type }) => type === 'auth').length, 1);
  assert.equal(device.sockets.length, sockets, 'the connection stayed');
  await stage.mesh.toast('After the refresh', { user: ada.id });
  await device.row('After the refresh').waitFor();
});
