/** The Firebase project that `vibemesh run` expects of development tokens. */
export const devProject = 'demo-vibemesh';

const lifetime = 3600; // seconds, as Firebase has it

function base64url(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/**
 * Writes the unsigned token that the Firebase Auth emulator would, for a server with WS_AUTH=dev. It is worth
 * nothing anywhere else. `now` is in milliseconds since 1970.
 */
export function mintDevToken(user: string, now: number, project = devProject): string {
  const seconds = Math.floor(now / 1000);
  const claims = {
    aud: project,
    auth_time: seconds,
    exp: seconds + lifetime,
    firebase: { identities: {}, sign_in_provider: 'custom' },
    iat: seconds,
    iss: `https://securetoken.google.com/${project}`,
    sub: user,
    user_id: user,
  };
  return `${base64url('{"alg":"none","typ":"JWT"}')}.${base64url(JSON.stringify(claims))}.`;
}

/** Whether a user id is one that a token can be for: 1 to 128 bytes of UTF-8. */
export function isUserId(user: string): boolean {
  const size = new TextEncoder().encode(user).length;
  return size >= 1 && size <= 128;
}
