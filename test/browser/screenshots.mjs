// Makes the pictures of the README: `npm run screenshots` writes them to
// docs/images. The server's own name would be this machine's: it is set.
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { Person } from './person.mjs';
import { Server } from './server.mjs';

const out = fileURLToPath(new URL('../../docs/images/', import.meta.url));
mkdirSync(out, { recursive: true });
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--headless', '--no-sandbox', '--disable-gpu'],
});
for (const [n, colorScheme] of ['light', 'dark'].entries()) {
  const name = ['ada', 'grace'][n];
  const server = new Server(); // each with a log of its own
  await server.start({ WS_NODE: 'edge-1' });
  const person = await Person.arrive(browser, server.url, { colorScheme, viewport: { width: 1280, height: 860 }, deviceScaleFactor: 1 });
  await person.signIn(name);
  const say = (fields, to) => person.publish(fields, to);
  await say({ title: 'Your photo has 10 new likes', teaser: 'Sunrise over the harbour' }, { user: name });
  await person.cut();
  await say({ title: 'Maintenance tonight at 02:00', teaser: 'A few minutes, and nothing is lost.' });
  await say({ title: 'Linus replied to your comment', teaser: '“Meet you at the lake!”' }, { user: name });
  await person.reconnect();
  await person.sees('Linus replied');
  await say({ title: 'Sunset session at the lake', teaser: 'Ada, Grace and 12 others are going.', action_label: 'Count me in', action_url: 'sv://events/42' });
  await person.toast('Sunset session');
  await person.page.evaluate(() => { document.querySelector('#more').open = false; scrollTo(0, 0); });
  await person.page.mouse.move(640, 20);
  for (const title of ['Your photo', 'Maintenance']) { // what is on the screen long enough to be in the way
    await person.page.locator('.toast', { hasText: title }).getByRole('button').click();
  }
  await person.page.locator('.toast', { hasText: 'Maintenance' }).waitFor({ state: 'detached' });
  await person.page.mouse.move(640, 20);
  await person.page.waitForFunction(() => document.getAnimations().every((a) => a.animationName === 'run-out' || a.playState !== 'running' || a.effect.getTiming().iterations === Infinity));
  await person.page.screenshot({ path: `${out}console-${colorScheme}.png` });
  await person.context.close();
  await server.stop();
}
await browser.close();
