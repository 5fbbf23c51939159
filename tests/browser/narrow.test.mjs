/** Which picture the page sends over a narrow way; `lossy.test.mjs` has a real one. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fixture } from './fixture.mjs';

const shared = fixture();

test('a narrow way gets a small picture, one for sound alone none, and more is tried the later the more often that was in vain', () => shared.withPages(async (open) => {
  const page = await open();
  await page.goto(`${shared.server.url}/healthz`);
  const seen = await page.evaluate(async () => {
    const { Narrow, pathOf } = await import('/narrow.js');
    const way = ({ estimateBps = null, roundTripsMs = [], soundLoss = 0, reportedAtMs, network = 'wifi', restarts = 0 }, atMs) => ({
      atMs, estimateBps, checksMs: roundTripsMs.slice(0, 1), network, restarts,
      reports: [{ atMs: reportedAtMs ?? atMs, roundTripMs: roundTripsMs[1] ?? null, soundLoss }],
    });
    /** When it changes to which picture, of so many looks; `path` says at which look the way is how. */
    const turns = (looks, path) => {
      const narrow = new Narrow();
      const look = (index) => narrow.look(way(path(index, narrow), 1_000 * (index + 1)));
      return Array.from({ length: looks }, (_, index) => (look(index) ? [`${index} ${narrow.picture}`] : [])).flat().join(', ');
    };
    const wide = { estimateBps: 1_000_000, roundTripsMs: [20] };
    const full = { estimateBps: 86_800, roundTripsMs: [320, 320], soundLoss: 0.5 };
    const tight = { ...full, soundLoss: 0.1 };
    const path = (...pairs) => pathOf([
      ['a', { type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.02, ...pairs[0] }], ['b', { type: 'candidate-pair', nominated: false, currentRoundTripTime: 9 }],
      ['c', { type: 'remote-inbound-rtp', kind: 'audio', ...pairs[1] }],
    ], 0);
    return {
      wide: turns(100, () => wide), never: turns(100, () => ({})),
      lossy: turns(100, () => ({ ...full, roundTripsMs: [20, 40] })), fits: turns(200, (index, narrow) => (index === 0 ? wide : narrow.picture === 'usual' ? tight : { ...wide, estimateBps: 90_000 })),
      tooMuch: turns(60, (index, narrow) => (index === 0 || narrow.picture === 'none' ? wide : { ...full, soundLoss: 0.2 })),
      brief: turns(100, (index) => (index % 3 === 0 ? wide : full)),
      unknown: turns(8, (index) => (index === 0 ? wide : index % 2 === 0 ? full : { ...full, estimateBps: null })),
      full: turns(400, (index) => (index < 5 ? wide : full)),
      // The small picture fits, with a queue that stands; the usual one does not.
      stands: turns(300, (index, narrow) => (index < 5 ? wide : narrow.picture === 'usual' ? full : tight)),
      restartedFull: turns(60, (index) => (index < 5 ? wide : { ...full, restarts: index < 10 ? 0 : index < 12 ? 1 : 2 })),
      restartedNone: turns(60, (index) => (index < 5 ? wide : { ...full, restarts: index < 25 ? 0 : index < 27 ? 1 : 2 })),
      restartedWide: turns(60, (index) => (index < 5 ? wide : index < 20 ? full : { ...wide, restarts: 1 })),
      // What came last before ICE began anew is of a full queue; nothing has come since.
      stale: turns(40, (index) => (index < 5 ? wide : index < 20 ? full : { ...full, roundTripsMs: [20, 320], restarts: 1, reportedAtMs: 20_000 })),
      shown: turns(60, (index, narrow) => {
        if (index === 10) narrow.retry();
        return index < 5 ? wide : full;
      }),
      another: turns(60, (index) => (index < 5 ? wide : index < 10 ? full : { ...full, roundTripsMs: [200, 200], network: 'cellular', restarts: 1 })),
      opens: turns(200, (index) => (index < 5 || index > 10 ? wide : full)),
      path: path({ availableOutgoingBitrate: 5, timestamp: 7 }, { roundTripTime: 0.5, fractionLost: 0.25, timestamp: 6 }), unknownPath: path({}, {}),
      restarted: pathOf([
        ['a', { id: 'a', type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.3 }],
        ['b', { id: 'b', type: 'candidate-pair', nominated: true, currentRoundTripTime: 0.02, localCandidateId: 'l' }],
        ['l', { id: 'l', type: 'local-candidate', networkType: 'wifi', candidateType: 'relay' }],
        ['t', { type: 'transport', selectedCandidatePairId: 'b', timestamp: 9 }],
      ], 3),
    };
  });
  assert.deepEqual(seen, {
    wide: '', never: '', lossy: '', brief: '', unknown: '6 small',
    fits: '3 small, 23 usual, 26 small, 66 usual, 69 small, 149 usual, 152 small', tooMuch: '3 small, 11 none, 31 small, 34 none',
    full: '7 small, 15 none, 35 small, 38 none, 78 small, 81 none, 161 small, 164 none, 324 small, 327 none', opens: '7 small, 27 usual',
    stands: '7 small, 27 usual, 30 small, 70 usual, 73 small, 153 usual, 156 small', restartedFull: '7 small, 15 none, 35 small, 38 none',
    restartedNone: '7 small, 15 none, 25 small, 30 none', restartedWide: '7 small, 15 none, 23 small, 31 usual', stale: '7 small, 15 none, 23 small, 31 usual',
    shown: '7 small, 15 none, 35 small, 38 none', another: '7 small, 15 usual',
    path: { atMs: 7, estimateBps: 5, checksMs: [20], reports: [{ atMs: 6, roundTripMs: 500, soundLoss: 0.25 }], network: null, restarts: 0 },
    unknownPath: { atMs: 0, estimateBps: null, checksMs: [20], reports: [{ atMs: Infinity, roundTripMs: null, soundLoss: null }], network: null, restarts: 0 },
    restarted: { atMs: 9, estimateBps: null, checksMs: [20], reports: [], network: 'wifi relay', restarts: 3 },
  });
}));

test('who sends a small picture or none sends less sound, until it may again', () => shared.withPages(async (open) => {
  const page = await open();
  await page.goto(`${shared.server.url}/healthz`);
  const seen = await page.evaluate(async () => {
    const { Connection } = await import('/connection.js');
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: true });
    const [microphone] = stream.getAudioTracks();
    const [camera] = stream.getVideoTracks();
    const handlers = new Proxy({}, { get: () => () => true });
    const config = { id: 'c', selfId: 'a', peerId: 'b', offering: true, iceServers: () => [], relayOnly: false, tracks: { microphone, camera } };
    const connection = new Connection(config, handlers);
    const [sound, picture] = connection.pc.getSenders();
    const seen = [];
    const look = () => {
      const [{ active, maxFramerate, maxBitrate }] = picture.getParameters().encodings;
      seen.push([active && maxBitrate, maxFramerate ?? null, sound.getParameters().encodings[0].maxBitrate ?? null]);
    };
    await connection.setPicture('none');
    look();
    await connection.setTrack('camera', null);
    await connection.setPicture('usual');
    look();
    await connection.setPicture('small');
    await connection.setTrack('camera', camera);
    look();
    await connection.setPicture('usual');
    look();
    connection.close();
    stream.getTracks().forEach((track) => track.stop());
    return seen;
  });
  assert.deepEqual(seen, [[false, null, 12_000], [1_500_000, null, null], [40_000, 10, 12_000], [1_500_000, null, null]]);
}));
