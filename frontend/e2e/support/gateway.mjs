// A device's way to the mesh: a TCP relay that, like a load balancer, gives each socket to the next edge, and that
// can be cut. (What Chromium emulates as offline does not end the WebSockets that are open.) Once an edge has ended its
// side it resets the other one, as harshly as a balancer may.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const isUpgrade = /\r\nupgrade: *websocket\r\n/i;

export class Gateway {
  #edges;
  #server;
  #sockets = new Set();
  #passes = () => true;

  /** edges: answers with the ports to try, the best one first; upgrade: it is for a WebSocket. */
  static async open(edges) {
    const gateway = new Gateway();
    gateway.#edges = edges;
    gateway.#server = createServer((socket) => gateway.#accept(socket)).listen(0, '127.0.0.1');
    await once(gateway.#server, 'listening');
    gateway.url = `http://127.0.0.1:${gateway.#server.address().port}`;
    return gateway;
  }

  #accept(socket) {
    this.#keep(socket);
    socket.once('data', (head) => {
      const upgrade = isUpgrade.test(head.toString('latin1'));
      if (!this.#passes(upgrade)) return socket.resetAndDestroy();
      socket.pause();
      this.#relay(socket, head, this.#edges(upgrade));
    });
  }

  #relay(socket, head, [port, ...others]) {
    if (port === undefined || socket.destroyed) return socket.resetAndDestroy();
    const edge = this.#keep(connect(port, '127.0.0.1'));
    let connected = false;
    edge.once('connect', () => {
      connected = true;
      edge.write(head);
      socket.pipe(edge).pipe(socket);
      socket.once('close', () => edge.destroy());
    });
    edge.once('close', () => (connected ? socket.resetAndDestroy() : this.#relay(socket, head, others)));
  }

  #keep(socket) {
    this.#sockets.add(socket);
    return socket.setNoDelay().on('error', () => {}).once('close', () => this.#sockets.delete(socket));
  }

  /** Ends what is open, and lets nothing through. */
  cut() {
    this.#passes = () => false;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend() {
    this.#passes = () => true;
  }

  /** Lets WebSockets through, and no other requests. */
  mendSockets() {
    this.#passes = (upgrade) => upgrade;
  }

  close() {
    this.cut();
    this.#server.close();
  }
}
