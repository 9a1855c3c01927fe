// Serves a folder of static files on a loopback port.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

const types = {
  '.css': 'text/css', '.html': 'text/html; charset=utf-8', '.ico': 'image/x-icon', '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json', '.map': 'application/json', '.png': 'image/png', '.svg': 'image/svg+xml', '.ttf': 'font/ttf',
};

/** The file for an address: its bytes and type; index.html for the root. */
export async function page(root, pathname) {
  const path = normalize(pathname === '/' ? '/index.html' : decodeURIComponent(pathname)); // '..' cannot lead out of it
  return { body: await readFile(join(root, path)), contentType: types[extname(path)] ?? 'application/octet-stream' };
}

export async function servePages(root) {
  const server = createServer((request, response) => {
    page(root, new URL(request.url, 'http://localhost').pathname).then(
      ({ body, contentType }) => response.writeHead(200, { 'Content-Type': contentType }).end(body),
      () => response.writeHead(404).end(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
