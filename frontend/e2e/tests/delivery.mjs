import assert from 'node:assert/strict';
import { scenario } from '../support/world.mjs';

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
