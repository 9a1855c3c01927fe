// Pictures of the app, for whoever has not started it. E2E_PICTURES names the folder; without it they are made and dropped.
import assert from 'node:assert/strict';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { settle } from '../support/in-page.mjs';
import { folder } from '../support/processes.mjs';
import { until } from '../support/until.mjs';
import { scenario } from '../support/world.mjs';

const lake = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 450"><defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="#fbc2a4"/>
<stop offset="1" stop-color="#f7e3c8"/></linearGradient><linearGradient id="w" x2="0" y2="1"><stop stop-color="#7aa6c8"/><stop offset="1" stop-color="#34607f"/></linearGradient></defs>
<path fill="url(#s)" d="M0 0h800v450H0z"/><circle cx="560" cy="170" r="56" fill="#fff3d6"/><path fill="#8f7a9c" d="M0 240 170 120l130 110 120-80 180 130 200-90v90H0z"/>
<path fill="#5d5878" d="M0 280l120-60 190 60 150-40 340 60H0z"/><path fill="url(#w)" d="M0 290h800v160H0z"/></svg>`;

const meetup = {
  title: 'Summer meetup', teaser: 'Saturday at ten, at the lake', image_url: 'https://pictures.example/lake.svg', action_label: 'See the event', action_url: 'sv://event/7',
  description: 'We meet at ten by the boathouse and walk around the lake together. Bring a towel and good shoes; there is coffee for everybody.\n\nIf it rains we stay under the big roof.',
};
const earlier = [
  { title: 'Noah wrote in Choir', teaser: 'Can somebody bring the sheet music on Thursday?' },
  { title: 'Your table is ready', teaser: 'Until 20:15' },
  { title: 'Ida and 3 others are coming', teaser: 'Board games at Mikkel’s' },
  { title: 'Welcome to SocialVibes', teaser: 'Say hello to the people around you' },
];

const sizes = { phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, desktop: { viewport: { width: 1280, height: 800 } } };

for (const colorScheme of ['light', 'dark']) {
  for (const [size, screen] of Object.entries(sizes)) {
    scenario(`pictures, ${size}, ${colorScheme}`, async (stage) => {
      const ada = await stage.person('ada');
      const dir = process.env.E2E_PICTURES ?? folder('pictures');
      mkdirSync(dir, { recursive: true });
      const device = await stage.open({ colorScheme, ...screen });
      const { page } = device;
      const picture = async (name) => {
        await until(`${name} is at rest`, async () => (await page.evaluate(settle)) === 0);
        const path = join(dir, `${name}-${size}-${colorScheme}.png`);
        await page.screenshot({ path });
        assert.ok(statSync(path).size > 5000, `${path} shows something`);
      };
      await page.route('https://pictures.example/**', (route) => route.fulfill({ contentType: 'image/svg+xml', body: lake }));
      await picture('sign-in');
      device.person = ada;
      await device.signIn();
      await device.bell().click();
      for (const toast of earlier.toReversed()) await stage.mesh.toast(toast, { user: ada.id });
      await device.row('Noah wrote').waitFor();
      await device.dismissAll();
      await page.mouse.move(0, 0); // a toast under the pointer would stay
      await stage.mesh.toast({ title: 'Grace liked your photo' }, { user: ada.id });
      await stage.mesh.toast(meetup, { user: ada.id });
      await device.toast('Grace liked your photo').waitFor();
      await device.row('Summer meetup').waitFor();
      await picture('history');
      await device.row('Summer meetup').click();
      await page.getByRole('dialog').getByText('by the boathouse').waitFor();
      await device.dismissAll();
      await picture('detail');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      await device.button('Settings').click();
      await page.getByRole('heading', { name: 'Settings' }).waitFor();
      await picture('settings');
    });
  }
}
