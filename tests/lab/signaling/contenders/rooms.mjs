// What both contenders share: rooms of members, and starting and measuring as the benchmark expects it.

import { randomBytes } from 'node:crypto';

/** Rooms by name; each a map of peer id to member, in the order they joined. */
export class Rooms {
  #rooms = new Map();

  /** Lets a member in: its id, and who else is there. */
  enter(name, member) {
    let room = this.#rooms.get(name);
    if (!room) this.#rooms.set(name, (room = new Map()));
    const id = randomBytes(16).toString('hex');
    const peers = [...room].map(([peerId, { name }]) => ({ peer_id: peerId, name }));
    room.set(id, member);
    return { id, peers, room };
  }

  leave(name, id) {
    const room = this.#rooms.get(name);
    if (room?.delete(id) && room.size === 0) this.#rooms.delete(name);
    return room;
  }
}

/** Listens on the port of the first argument and says where. SIGUSR2 collects garbage, where node lets it. */
export function listen(server) {
  process.on('SIGUSR2', () => globalThis.gc?.());
  server.listen({ port: Number(process.argv[2] ?? 0), host: '127.0.0.1', backlog: 4096 }, () => {
    console.log(`listening on http://127.0.0.1:${server.address().port}`);
  });
}
