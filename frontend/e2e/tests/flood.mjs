// Many toasts at once.
import assert from 'node:assert/strict';
import { watchFrames } from '../support/in-page.mjs';
import { scenario } from '../support/world.mjs';

/** The longest time between two frames that a person does not take for a page that hangs, in milliseconds. */
const bearable = 500;

/** Other work on this machine can stop a page for a moment. What the page does itself, it does each time. */
const attempts = 3;

scenario('a hundred toasts in a second do not freeze the page, and none is lost', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const before = await device.unread();
  const gaps = [];
  const published = [];
  await device.page.evaluate(watchFrames);
  do {
    const burst = Array.from({ length: 100 }, (_, n) => `Burst ${gaps.length} ${String(n).padStart(2, '0')}`);
    await device.page.evaluate(() => { globalThis.e2e.longest = 0; });
    await Promise.all(burst.map((title) => stage.mesh.toast({ title, teaser: 'One of a hundred' }, { user: ada.id })));
    published.push(...burst);
    await device.badge(before + published.length);
    gaps.push(Math.round(await device.page.evaluate(() => globalThis.e2e.longest)));
  } while (gaps.at(-1) >= bearable && gaps.length < attempts);
  stage.note(`longest time between two frames: ${gaps} ms`);
  assert.ok(gaps.at(-1) < bearable, `the page stood still, at the longest, for ${gaps} ms`);

  await device.page.getByRole('button', { name: /^And \d+ more/ }).click();
  await device.page.getByRole('button', { name: 'Mark all as read' }).waitFor();
  const listed = await device.titles('Burst', published.length);
  assert.deepEqual(listed.toSorted(), published.toSorted());
  await device.button('Mark all as read').click();
  await device.badge(0);
});
