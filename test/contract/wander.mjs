// Clients that hold sessions with several edges in turn, cut off after some
// frames each time, and print as JSON lines what they saw. Usage:
//   node wander.mjs '{"edges":["host:port"],"users":["a"],"sessions":2,"end":"title of the last message"}'
import { RawSession, devToken } from './rawsocket.mjs';

const { edges, users, sessions, end } = JSON.parse(process.argv[2]);
const deadline = setTimeout(() => { console.error('not finished after 120 s'); process.exit(1); }, 120_000);

let ready = 0;
let finished = 0;
const total = users.length * sessions;

function wander(user, number) {
  const seen = { user, titles: [], gaps: 0, moves: 0 };
  let cursor = '';
  let turn = number;
  const connect = () => {
    const [host, port] = edges[turn++ % edges.length].split(':');
    let left = 5 + ((turn * 7 + number) % 40);
    const query = `token=${devToken(user)}${cursor ? `&cursor=${cursor}` : ''}`;
    new RawSession({
      host, port: Number(port), query,
      onFrame(frame, session) {
        if (session.closed) return;
        const first = cursor === '';
        cursor = frame.cursor ?? cursor;
        if (frame.type === 'gap') seen.gaps++;
        if (frame.type === 'toast') seen.titles.push(frame.payload.title);
        if (first && ++ready === total) console.log(JSON.stringify({ ready }));
        if (frame.type === 'toast' && frame.payload.title === end) {
          session.cut();
          console.log(JSON.stringify(seen));
          if (++finished === total) clearTimeout(deadline);
          return;
        }
        if (--left === 0) {
          seen.moves++;
          session.cut();
          connect();
        }
      },
      onClose(code, reason) {
        console.error(`${user}: closed with ${code} ${reason}`);
        setTimeout(connect, 50);
      },
    });
  };
  connect();
}

for (const user of users) for (let i = 0; i < sessions; i++) wander(user, i);
