// A token ends; the session does not.
import assert from 'node:assert/strict';
import WebSocket from 'ws';
import { scenario } from '../support/world.mjs';
import { until } from '../support/until.mjs';

/** How long an edge takes a token after its end, in seconds, as the Firebase SDK does. */
const tolerance = 300;

/** The same token, which an edge takes for so many seconds from now on. The emulator's are not signed. */
function ending(token, seconds) {
  const [header, claims, signature] = token.split('.');
  const changed = { ...JSON.parse(Buffer.from(claims, 'base64url')), exp: Math.floor(Date.now() / 1000) + seconds - tolerance };
  return [header, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
}

/** Resolves to the close code of a session that does nothing about its token. */
function idle(url, token) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/api/v1/ws`, ['vibemesh.v1', `bearer.${token}`]);
  return new Promise((resolve, reject) => socket.on('close', resolve).on('error', reject));
}

scenario('a session outlives its first token on the socket that is there', async (stage) => {
  const ada = await stage.person('ada');
  let first, control;
  const prepare = ({ page, gateway }) => page.route(/accounts:signInWithPassword/, async (route) => {
    const response = await route.fetch();
    const account = await response.json();
    first = ending(account.idToken, 8);
    control = idle(gateway.url, first); // whose end tells that the token's time is over
    await route.fulfill({ response, json: { ...account, idToken: first } });
  });
  const device = await stage.open({ person: ada, prepare });
  const [socket] = device.sockets;
  assert.equal(await control, 4401);

  const hellos = socket.received.filter(({ type }) => type === 'hello');
  assert.equal(hellos.length, 2);
  assert.ok(hellos[1].expires > hellos[0].expires + 3000, `it ends an hour later: ${hellos.map(({ expires }) => expires)}`);
  const sent = socket.sent.filter(({ type }) => type === 'auth').map(({ token }) => token);
  assert.equal(sent.length, 1);
  assert.notEqual(sent[0], first);
  await stage.mesh.toast('After its end', { user: ada.id });
  await device.toast('After its end').waitFor();
  assert.ok(socket.received.some(({ payload }) => payload?.title === 'After its end'));
  assert.deepEqual([device.sockets.length, socket.closed], [1, false], 'one socket, from the beginning to the end');
});

scenario('a page refreshes its token by its own clock, a minute ahead', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada, prepare: ({ page }) => page.clock.install() });
  const [socket] = device.sockets;
  const hellos = () => socket.received.filter(({ type }) => type === 'hello');
  const left = hellos()[0].expires - (await device.page.evaluate(() => Date.now() / 1000));
  assert.ok(left > 3600, `the token is good for ${left} s`);
  await device.page.clock.fastForward((left - 65) * 1000);
  assert.equal(socket.sent.filter(({ type }) => type === 'auth').length, 0, 'not before');
  await device.page.clock.fastForward(10_000);
  await until('another hello on the same socket', () => hellos().length === 2);
  await stage.mesh.toast('Still here', { user: ada.id });
  await device.row('Still here').waitFor();
  assert.deepEqual([device.sockets.length, socket.closed], [1, false]);
});
