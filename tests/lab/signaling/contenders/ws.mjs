// A room relay on `ws`, speaking as much of the Parlor protocol as a call needs.

import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { Rooms, listen } from './rooms.mjs';

const rooms = new Rooms();
const server = createServer();
const sockets = new WebSocketServer({ server, path: '/ws', maxPayload: 65536 });

sockets.on('connection', (socket) => {
  socket._socket.setNoDelay(true);
  let seat = null;
  const say = (to, message) => to.send(JSON.stringify(message));
  const others = (room, message) => {
    for (const [id, member] of room) if (id !== seat.id) say(member.socket, message);
  };
  socket.on('message', (data) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return say(socket, { type: 'error', code: 'malformed', message: 'not JSON' });
    }
    switch (message.type) {
      case 'hello':
        return say(socket, { type: 'welcome', version: 1, server: 'ws' });
      case 'join': {
        const { id, peers, room } = rooms.enter(message.room, { socket, name: message.name });
        seat = { id, room, name: message.room };
        others(room, { type: 'peer_joined', peer: { peer_id: id, name: message.name } });
        return say(socket, { type: 'joined', room: message.room, peer_id: id, peers });
      }
      case 'signal': {
        const to = seat?.room.get(message.to);
        if (!to) return say(socket, { type: 'error', code: 'unknown_peer', message: 'not here' });
        return say(to.socket, {
          type: 'signal', from: seat.id, connection: message.connection, signal: message.signal,
        });
      }
      default:
        return say(socket, { type: 'error', code: 'unknown_message', message: 'unknown' });
    }
  });
  socket.on('close', () => {
    if (!seat) return;
    const room = rooms.leave(seat.name, seat.id);
    if (room) others(room, { type: 'peer_left', peer_id: seat.id, reason: 'left' });
  });
  socket.on('error', () => socket.terminate());
});

// As the other servers do: a ping every five seconds, and an end to who did not answer three of them.
setInterval(() => {
  for (const socket of sockets.clients) socket.ping();
}, 5_000);

listen(server);
