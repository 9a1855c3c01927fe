// Who gets what, and what one device of a person does for the others.
import assert from 'node:assert/strict';
import { scenario } from '../support/world.mjs';

const phoneSize = { width: 390, height: 844 };

scenario('a toast reaches both devices of its person, and nobody else', async (stage) => {
  const [ada, grace] = [await stage.person('ada'), await stage.person('grace')];
  const phone = await stage.open({ person: ada });
  const laptop = await stage.open({ person: ada });
  const other = await stage.open({ person: grace });
  const edges = new Set(stage.devices.map(({ hello }) => hello.node));
  assert.equal(edges.size, 3, `each device is at an edge of its own: ${[...edges]}`);
  const before = await Promise.all(stage.devices.map((device) => device.unread()));

  await stage.mesh.toast({ title: 'Your table is ready', teaser: 'Until 20:15' }, { user: ada.id });
  for (const device of [phone, laptop]) {
    await device.toast('Your table is ready').waitFor();
    await device.row('Your table is ready').waitFor();
    await device.badge(before[0] + 1);
  }
  // Stored later: once the other one has this, what was sent before cannot come any more.
  await stage.mesh.toast('For Grace', { user: grace.id });
  await other.toast('For Grace').waitFor();
  assert.deepEqual(await other.shown(), ['For Grace']);
  assert.equal(await other.row('Your table is ready').count(), 0);
  await other.badge(before[2] + 1);
});

scenario('a broadcast reaches everybody', async (stage) => {
  const people = await Promise.all(['ada', 'grace', 'linus'].map((name) => stage.person(name)));
  const before = [];
  for (const person of people) before.push(await (await stage.open({ person })).unread());
  await stage.mesh.toast('Doors open at noon');
  for (const [n, device] of stage.devices.entries()) {
    await device.toast('Doors open at noon').waitFor();
    await device.badge(before[n] + 1);
    assert.deepEqual(await device.shown(), ['Doors open at noon']);
  }
});

scenario('what is read on one device is read on the other', async (stage) => {
  const ada = await stage.person('ada');
  const phone = await stage.open({ person: ada, viewport: phoneSize });
  const laptop = await stage.open({ person: ada });
  const before = await laptop.unread();
  await stage.mesh.toast('First', { user: ada.id });
  await stage.mesh.toast({ title: 'Second', description: 'The whole of it.' }, { user: ada.id });
  await phone.badge(before + 2);
  await laptop.badge(before + 2);
  assert.ok((await phone.page.title()).startsWith(`(${before + 2}) `));

  await laptop.row('Second').click();
  const dialog = laptop.page.getByRole('dialog');
  await dialog.getByText('The whole of it.').waitFor();
  await phone.badge(before + 1);
  await laptop.badge(before + 1);
  await dialog.getByRole('button', { name: 'Mark as unread' }).click();
  await dialog.waitFor({ state: 'detached' });
  await phone.badge(before + 2);

  await phone.dismissAll(); // they lie over the bell
  await phone.bell().click();
  await phone.button('Mark all as read').click();
  await phone.badge(0);
  await laptop.badge(0);
  await laptop.page.reload();
  await laptop.live();
  await laptop.badge(0);
});

scenario('a newer event of the same key takes the place of the older one', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const before = await device.unread();
  for (const minutes of [5, 3, 1]) await stage.mesh.toast({ title: `Taxi in ${minutes} minutes`, collapse: 'taxi:17' }, { user: ada.id });
  await device.toast('Taxi in 1 minutes').waitFor();
  await device.badge(before + 1);
  assert.deepEqual(await device.titles('Taxi', 1), ['Taxi in 1 minutes']);
});

scenario('the app sends itself something to try', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  await device.page.getByLabel('Headline', { exact: true }).fill('From the panel');
  await device.button('Send').click();
  await device.toast('From the panel').waitFor();
  await device.row('From the panel').getByText('Saturday at the lake').waitFor();
});
