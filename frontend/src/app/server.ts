/** Where the server's address can come from. */
export interface ServerSources {
  /** `?server=` of the page. */
  asked: string | null | undefined;
  /** What the person wrote in the settings. */
  saved: string | null | undefined;
  /** EXPO_PUBLIC_SERVER, when the app was built. */
  built: string | undefined;
  /** The origin that the page came from; none on a phone. */
  origin: string | undefined;
}

const onThisMachine = 'http://127.0.0.1:8080';

/** The origin of the server to use: the first of the sources that names one. */
export function chooseServer({ asked, saved, built, origin }: ServerSources): string {
  return parseServer(asked) ?? parseServer(saved) ?? parseServer(built) ?? origin ?? onThisMachine;
}

/** The origin that a person means, such as https://mesh.example for `mesh.example/`; undefined when it is none. */
export function parseServer(text: string | null | undefined): string | undefined {
  const trimmed = text?.trim();
  if (!trimmed) return undefined;
  const written = /^[a-z][a-z0-9+.-]*:\/\//i.test(trimmed) ? trimmed : `${isLocalHost(trimmed) ? 'http' : 'https'}://${trimmed}`;
  const parts = /^(https?):\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?\/?$/i.exec(written);
  if (!parts || Number(parts[3]?.slice(1) ?? 0) > 65535) return undefined;
  return `${parts[1]}://${parts[2]}${parts[3] ?? ''}`.toLowerCase();
}

/** Whether a server is a developer's own: on this machine, or on the one that runs an Android emulator. */
export function isLocal(server: string): boolean {
  return isLocalHost(server.replace(/^https?:\/\//, ''));
}

function isLocalHost(address: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\]|10\.0\.2\.2)(:\d{1,5})?\/?$/i.test(address);
}
