// Pictures of the app, for whoever has not started it. E2E_PICTURES names the folder; without it they are made and dropped.
import assert from 'node:assert/strict';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { settle } from '../support/in-page.mjs';
import { folder } from '../support/processes.mjs';
import { until } from '../support/until.mjs';
import { scenario, world } from '../support/world.mjs';

const lake = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 450"><defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="#fbc2a4"/>
<stop offset="1" stop-color="#f7e3c8"/></linearGradient><linearGradient id="w" x2="0" y2="1"><stop stop-color="#7aa6c8"/><stop offset="1" stop-color="#34607f"/></linearGradient></defs>
<path fill="url(#s)" d="M0 0h800v450H0z"/><circle cx="560" cy="170" r="56" fill="#fff3d6"/><path fill="#8f7a9c" d="M0 240 170 120l130 110 120-80 180 130 200-90v120H0z"/>
<path fill="#5d5878" d="M0 280l120-60 190 60 150-40 340 60v20H0z"/><path fill="url(#w)" d="M0 290h800v160H0z"/></svg>`;

const table = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><path fill="#2f5d50" d="M0 0h80v80H0z"/><circle cx="40" cy="40" r="24" fill="#f4efe6"/>
<circle cx="40" cy="40" r="16" fill="#e4dccb"/><path d="M9 22v36M71 22v36" stroke="#f4efe6" stroke-width="4" stroke-linecap="round"/></svg>`;

const pictures = { 'https://pictures.example/lake.svg': lake, 'https://pictures.example/table.svg': table };

const minute = 60_000;
const hour = 60 * minute;

// Newest first; `ago` in milliseconds.
const earlier = [
  { ago: 4 * minute, title: 'Noah wrote in Choir', teaser: 'Can somebody bring the sheet music on Thursday?' },
  { ago: 38 * minute, title: 'Your table is ready', teaser: 'Until 20:15, by the window', image_url: 'https://pictures.example/table.svg' },
  { ago: 3 * hour, read: true, everybody: true, title: 'Maintenance tonight at 02:00', teaser: 'A few minutes, and nothing is lost' },
  { ago: 26 * hour, read: true, title: 'Ida and 3 others are coming', teaser: 'Board games at Mikkel’s' },
  { ago: 27 * hour, read: true, title: 'Welcome to SocialVibes', teaser: 'Say hello to the people around you' },
];

const meetup = {
  title: 'Summer meetup', teaser: 'Saturday at ten, at the lake', image_url: 'https://pictures.example/lake.svg', action_label: 'See the event', action_url: 'sv://event/7',
  description: 'We meet at ten by the boathouse and walk around the lake together. Bring a towel and good shoes; there is coffee for everybody.\n\nIf it rains we stay under the big roof.',
};

/** Publishes what happened earlier; for this person only, since the others look at the same log. */
async function past(mesh, person) {
  for (const { ago, read, everybody, ...toast } of earlier.toReversed()) {
    const { id } = await mesh.toast(toast, { user: person.id });
    if (read) await mesh.read(person.token, [id]);
  }
}

/** Has the page's history be of some days, since nobody waits so long for a picture. */
async function age(page) {
  const now = Date.now();
  await page.route(/\/api\/v1\/ws\/history/, async (route) => {
    const response = await route.fetch();
    const { events, ...rest } = await response.json();
    const aged = events.map((event) => {
      const as = earlier.find(({ title }) => title === event.payload.title);
      return as ? { ...event, ts: now - as.ago, to: as.everybody ? 'broadcast' : event.to } : event;
    });
    await route.fulfill({ response, json: { events: aged, ...rest } });
  });
  await page.route('https://pictures.example/**', (route) => route.fulfill({ contentType: 'image/svg+xml', body: pictures[route.request().url()] }));
}

// After two in the afternoon, wherever that is now, so that nobody is up at night in the pictures.
const afternoon = 14 - new Date().getUTCHours();
const timezoneId = `Etc/GMT${afternoon > 0 ? '-' : '+'}${Math.abs(afternoon)}`;

const sizes = { phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 }, desktop: { viewport: { width: 1280, height: 800 } } };
let mesh; // a log that no other test writes to

for (const colorScheme of ['light', 'dark']) {
  for (const [size, screen] of Object.entries(sizes)) {
    scenario(`pictures, ${size}, ${colorScheme}`, async (stage) => {
      stage.mesh = mesh ??= await world.startMesh(1);
      const ada = await stage.person('ada', `ada@${size}.${colorScheme}.example`);
      await past(mesh, ada);
      const dir = process.env.E2E_PICTURES ?? folder('pictures');
      mkdirSync(dir, { recursive: true });
      const device = await stage.open({ colorScheme, timezoneId, ...screen, prepare: ({ page }) => age(page) });
      const { page } = device;
      const picture = async (name) => {
        await until(`${name} is at rest`, async () => (await page.evaluate(settle)) === 0);
        const path = join(dir, `${name}-${size}-${colorScheme}.png`);
        await page.screenshot({ path });
        assert.ok(statSync(path).size > 5000, `${path} shows something`);
      };
      await page.getByRole('heading', { name: 'Vibemesh' }).waitFor();
      await picture('sign-in');

      device.person = ada;
      await device.signIn();
      await page.getByText('Noah wrote in Choir').first().waitFor();
      await stage.mesh.toast({ title: 'Grace liked your photo', teaser: 'Sunrise over the harbour' }, { user: ada.id });
      await device.toast('Grace liked your photo').waitFor();
      await page.mouse.move(0, 400);
      await picture('home');
      await device.dismissAll();

      await device.bell().click();
      await page.mouse.move(0, 400); // a toast under the pointer would stay
      await stage.mesh.toast(meetup, { user: ada.id });
      await device.toast('Summer meetup').waitFor();
      await device.row('Summer meetup').waitFor();
      await picture('history');

      await device.dismissAll();
      await device.row('Summer meetup').click();
      await page.getByRole('dialog').getByText('by the boathouse').waitFor();
      await picture('detail');
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });

      await device.button('Settings').click();
      await page.getByRole('heading', { name: 'Settings' }).waitFor();
      await page.mouse.move(0, 400);
      await picture('settings');
    });
  }
}
