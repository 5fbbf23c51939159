// A room relay on `socket.io` with its own rooms, WebSocket transport only, otherwise as it is out of the box.

import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { listen } from './rooms.mjs';

const server = createServer();
const io = new Server(server, { transports: ['websocket'], maxHttpBufferSize: 65536 });

io.on('connection', (socket) => {
  socket.on('join', async ({ room, name }) => {
    const peers = (await io.in(room).fetchSockets()).map((peer) => ({ peer_id: peer.id, name: peer.data.name }));
    socket.data = { room, name };
    socket.join(room);
    socket.to(room).emit('peer_joined', { peer: { peer_id: socket.id, name } });
    socket.emit('joined', { room, peer_id: socket.id, peers });
  });
  socket.on('signal', ({ to, connection, signal }) => {
    const members = io.sockets.adapter.rooms.get(socket.data.room);
    if (!members?.has(to)) return socket.emit('error', { code: 'unknown_peer', message: 'not here' });
    io.to(to).emit('signal', { from: socket.id, connection, signal });
  });
  socket.on('disconnect', () => {
    if (socket.data.room) io.to(socket.data.room).emit('peer_left', { peer_id: socket.id, reason: 'left' });
  });
});

listen(server);
