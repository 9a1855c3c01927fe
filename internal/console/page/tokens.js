// Tokens, as far as a page has to do with them.
import { clock } from './connection.js';

function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

// mintDev writes what the Firebase Auth emulator would: unsigned, for development.
export function mintDev(uid, config) {
  const now = Math.floor(clock.server(Date.now()) / 1000);
  const claims = {
    iss: `https://securetoken.google.com/${config.project}`, aud: config.project, sub: uid, user_id: uid,
    iat: now, auth_time: now, exp: now + 3600, firebase: { identities: {}, sign_in_provider: 'custom' },
    [config.publish_claim || 'publisher']: true,
  };
  return `${base64url('{"alg":"none","typ":"JWT"}')}.${base64url(JSON.stringify(claims))}.`;
}

// subject reads whom a token is for, to show it; the server is who checks it.
export function subject(token) {
  try {
    const bytes = Uint8Array.from(atob(token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    const { sub } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === 'string' ? sub : '';
  } catch { return ''; }
}
