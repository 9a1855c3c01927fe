// What breaks, and what nobody notices of it.
import assert from 'node:assert/strict';
import { until } from '../support/until.mjs';
import { scenario } from '../support/world.mjs';

const phoneSize = { width: 390, height: 844 };

scenario('every edge and NATS are killed: all that was published is shown, once', async (stage) => {
  const [ada, grace] = [await stage.person('ada'), await stage.person('grace')];
  const phone = await stage.open({ person: ada, viewport: phoneSize });
  const laptop = await stage.open({ person: ada });
  const other = await stage.open({ person: grace });
  const before = await laptop.unread();
  for (const device of stage.devices) device.failing = true;

  await phone.offline(true);
  await phone.page.getByText('Offline', { exact: true }).first().waitFor();
  for (const title of ['Missed 1', 'Missed 2']) await stage.mesh.toast(title, { user: ada.id });
  await laptop.toast('Missed 2').waitFor();
  await stage.mesh.toast('Missed 3', { user: ada.id }); // on its way, perhaps, when all ends
  await stage.mesh.kill();
  await laptop.page.getByText('Reconnecting', { exact: true }).first().waitFor();
  for (const device of [laptop, other]) device.gateway.cut(); // they come back after what follows
  await stage.mesh.start();
  for (const title of ['Missed 4', 'Missed 5', 'Missed 6']) await stage.mesh.toast(title, { user: ada.id });
  await stage.mesh.toast('For Grace', { user: grace.id });
  // What the list has from the history already, when the session comes back, is no toast any more.
  for (const device of [laptop, other]) device.gateway.mendSockets();
  for (const device of [laptop, other]) await device.live();
  for (const device of [laptop, other]) device.gateway.mend();
  await phone.offline(false);

  const missed = [1, 2, 3, 4, 5, 6].map((n) => `Missed ${n}`);
  for (const device of [phone, laptop]) {
    await device.live();
    await device.badge(before + missed.length);
    await device.dismissAll();
  }
  assert.deepEqual((await laptop.shown()).toSorted(), missed, 'each was a toast, once');
  // A phone has room for one: three wait, the others are counted.
  const shown = await phone.shown();
  assert.ok(shown.length >= 4, `shown: ${shown}`);
  assert.deepEqual(shown.toSorted(), missed.filter((title) => shown.includes(title)), 'none was a toast twice');

  await phone.bell().click();
  for (const device of [phone, laptop]) {
    assert.deepEqual(await device.titles('Missed', missed.length), missed.toReversed());
  }
  await other.row('For Grace').waitFor();
  await until('it is a toast, too', async () => (await other.shown()).length > 0);
  assert.deepEqual(await other.shown(), ['For Grace']);

  // What was shown is not shown again, whatever the page remembers.
  await laptop.page.reload();
  await laptop.live();
  await stage.mesh.toast('Afterwards', { user: ada.id });
  await laptop.toast('Afterwards').waitFor();
  assert.deepEqual(await laptop.shown(), ['Afterwards']);
  await laptop.badge(before + missed.length + 1);
}, { timeout: 120_000 });

scenario('one edge is killed: its device goes on at another', async (stage) => {
  const ada = await stage.person('ada');
  const devices = [await stage.open({ person: ada }), await stage.open({ person: ada })];
  const device = devices.find(({ hello }) => hello.node !== 'edge-1'); // that one holds NATS as well
  const { node } = device.hello;
  for (const each of devices) each.failing = true;
  await stage.mesh.kill(node);
  await stage.mesh.toast('Meanwhile', { user: ada.id });
  await until('it is at another edge', () => device.hello && device.hello.node !== node);
  await device.row('Meanwhile').waitFor();
  assert.deepEqual(await device.titles('Meanwhile', 1), ['Meanwhile']);
  await stage.mesh.revive(node);
});

scenario('without a network the app starts with what it has kept', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const before = await device.unread();
  for (const title of ['Kept 1', 'Kept 2']) await stage.mesh.toast(title, { user: ada.id });
  await device.badge(before + 2);
  const dialog = device.page.getByRole('dialog');
  await device.row('Kept 1').click(); // one of them is read
  await device.button('Close', dialog).click();
  await dialog.waitFor({ state: 'detached' });
  await device.badge(before + 1);
  await device.kept('Kept 2');

  await stage.servePagesTo(device); // as an installed app has them
  await device.offline(true);
  const sockets = device.sockets.length;
  await device.page.reload();
  await device.row('Kept 2').waitFor();
  await device.page.getByText('You are offline. This is what was saved on this device.').waitFor();
  await device.badge(before + 1);
  assert.deepEqual(await device.titles('Kept', 2), ['Kept 2', 'Kept 1']);
  assert.equal(device.sockets.slice(sockets).some(({ received }) => received.length > 0), false);
  assert.deepEqual(await device.shown(), []);

  await device.row('Kept 2').click(); // read while offline: the others learn of it later
  await device.badge(before);
  const other = await stage.open({ person: ada });
  await other.badge(before + 1);
  await device.offline(false);
  await device.live();
  await other.badge(before);
  await device.badge(before);
});
