/**
 * In the page, before it starts: the camera becomes a generated moving picture with the time in it (tests/BARCODE.md), and what
 * is shown of others is read back where the user would see it.
 *
 * The picture is written frame by frame into a MediaStreamTrackGenerator, without a canvas: textured, and moving so that it
 * cannot be compressed away.
 */
(() => {
  const [WIDTH, HEIGHT, FPS] = [640, 360, 30];
  const edge = (index) => Math.floor(index * WIDTH / 40);
  const nowMs = () => performance.timeOrigin + performance.now();

  /** CRC-16/CCITT-FALSE. */
  const crc16 = (bytes) => bytes.reduce((sum, byte) => {
    let crc = sum ^ byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1 & 0xffff;
    return crc;
  }, 0xffff);

  const stamp = (luma, timeMs) => {
    const tenths = Math.round(timeMs * 10);
    const bytes = [5, 4, 3, 2, 1, 0].map((place) => Math.floor(tenths / 256 ** place) % 256);
    const crc = crc16(bytes);
    bytes.push(crc >> 8, crc & 0xff);
    for (const row of [0, 1]) {
      for (let column = 0; column < 40; column += 1) {
        const place = row * 32 + column - 4;
        let isWhite = (bytes[place >> 3] >> (7 - place % 8) & 1) === 1;
        if (column < 4) isWhite = (row + column) % 2 === 0;
        if (column >= 36) isWhite = (row + column) % 2 === 1;
        for (let line = edge(row); line < edge(row + 1); line += 1) luma.fill(isWhite ? 235 : 16, line * WIDTH + edge(column), line * WIDTH + edge(column + 1));
      }
    }
  };

  /** The time in the two topmost rows of blocks, or null. */
  const readStamp = ({ width, data }) => {
    const at = (index) => Math.floor(index * width / 40);
    const brightness = (row, column) => {
      const [x, y] = [Math.floor((at(column) + at(column + 1)) / 2), Math.floor((at(row) + at(row + 1)) / 2)];
      const pixel = (y * width + x) * 4;
      return 0.299 * data[pixel] + 0.587 * data[pixel + 1] + 0.114 * data[pixel + 2];
    };
    const threshold = (brightness(0, 0) + brightness(0, 1)) / 2;
    const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map((byte) => {
      let value = 0;
      for (let bit = 0; bit < 8; bit += 1) {
        const place = byte * 8 + bit;
        value = value * 2 + (brightness(Math.floor(place / 32), 4 + place % 32) > threshold ? 1 : 0);
      }
      return value;
    });
    if (crc16(bytes.slice(0, 6)) !== bytes[6] * 256 + bytes[7]) return null;
    return bytes.slice(0, 6).reduce((time, byte) => time * 256 + byte, 0) / 10;
  };

  const generatedTrack = () => {
    const generator = new MediaStreamTrackGenerator({ kind: 'video' });
    const writer = generator.writable.getWriter();
    const texture = new Uint8Array(WIDTH * HEIGHT * 2);
    let seed = 1;
    for (let index = 0; index < texture.length; index += 1) {
      seed = Math.imul(seed, 1_103_515_245) + 12_345 >>> 0;
      texture[index] = 96 + (Math.floor(index % WIDTH / 8) * 7 & 63) + (seed >>> 28);
    }
    const picture = new Uint8Array(WIDTH * HEIGHT * 3 / 2).fill(128);
    const luma = picture.subarray(0, WIDTH * HEIGHT);
    let frames = 0;
    const next = () => {
      const start = (frames * 3 + frames * WIDTH * 2) % (WIDTH * HEIGHT);
      frames += 1;
      luma.set(texture.subarray(start, start + WIDTH * HEIGHT));
      stamp(luma, nowMs());
      const frame = new VideoFrame(picture, { format: 'I420', codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: Math.round(performance.now() * 1000) });
      // A frame that finds the one before it still waiting is left out, as a camera's is.
      if (writer.desiredSize === null || writer.desiredSize > 0) writer.write(frame).catch(() => frame.close());
      else frame.close();
    };
    setInterval(next, 1000 / FPS);
    // A generated track does not say its size, which a camera's does.
    generator.getSettings = () => ({ width: WIDTH, height: HEIGHT, frameRate: FPS, deviceId: 'generated' });
    return generator;
  };

  const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let camera = null;
  navigator.mediaDevices.getUserMedia = async ({ video, audio }) => {
    const stream = audio ? await original({ audio }) : new MediaStream();
    if (video) {
      camera ??= generatedTrack();
      stream.addTrack(camera.clone());
      stream.getVideoTracks()[0].getSettings = camera.getSettings;
    }
    return stream;
  };

  /** Reads every picture of the one peer from now on: when each was shown, and how old it was. */
  globalThis.watchPictures = () => {
    const [peer] = globalThis.parlor.peers.values();
    const video = document.querySelector(`[data-peer="${peer.id}"] video`);
    const canvas = new OffscreenCanvas(640, 64);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const seen = { shownMs: [], agesMs: [], unread: 0 };
    globalThis.pictures = seen;
    const look = (_, { expectedDisplayTime }) => {
      const shownMs = performance.timeOrigin + expectedDisplayTime;
      seen.shownMs.push(shownMs);
      const rows = Math.min(64, Math.ceil(video.videoWidth / 20));
      if (canvas.width !== video.videoWidth) canvas.width = video.videoWidth;
      context.drawImage(video, 0, 0);
      const time = readStamp(context.getImageData(0, 0, video.videoWidth, rows));
      if (time === null) seen.unread += 1;
      else seen.agesMs.push(shownMs - time);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };

  /** What arrives of the one peer, as getStats counts it. */
  globalThis.inboundFigures = async () => {
    const [peer] = globalThis.parlor.peers.values();
    const figures = {};
    for (const stat of (await peer.connection.pc.getStats()).values()) {
      if (stat.type === 'inbound-rtp' && stat.kind === 'video') Object.assign(figures, { frames: stat.framesDecoded, frozenMs: stat.totalFreezesDuration * 1000, freezes: stat.freezeCount, width: stat.frameWidth });
      if (stat.type === 'inbound-rtp' && stat.kind === 'audio') Object.assign(figures, { concealed: stat.concealedSamples - (stat.silentConcealedSamples ?? 0), samples: stat.totalSamplesReceived });
    }
    return figures;
  };
})();
