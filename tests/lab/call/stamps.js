/**
 * In the page, before it starts: the camera becomes the lab's film (film.js) with the time in it (tests/BARCODE.md), and what is shown
 * and heard of the other one is kept where the user would see and hear it. The page itself is the shipped one.
 *
 * `labFilm` is there before: {width, height, seed, recordsSound, keepsPictures}. The film is written picture by picture into a MediaStreamTrackGenerator,
 * without a canvas.
 */
(() => {
  const { width: WIDTH, height: HEIGHT, seed, recordsSound, keepsPictures } = globalThis.labFilm;
  const [FPS, FRAMES] = [30, 60];
  /** Nine hours of pictures, ten minutes of sound, two of whole pictures. What comes after them is left out. */
  const [PICTURES_MAX, SECONDS_MAX, KEPT_MAX] = [1_000_000, 600, 120];
  const edge = (index, width = WIDTH) => Math.floor(index * width / 40);
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

  /** The time in the two topmost rows of blocks, or null; as tests/BARCODE.md says, the middle of each cell. */
  const readStamp = ({ width, data }) => {
    const brightness = (row, column) => {
      const middle = (index) => {
        const [from, to] = [edge(index, width), edge(index + 1, width)];
        return [from + Math.floor((to - from) / 4), to - Math.floor((to - from) / 4)];
      };
      const [[left, right], [top, bottom]] = [middle(column), middle(row)];
      let sum = 0;
      for (let y = top; y < bottom; y += 1) {
        for (let x = left; x < right; x += 1) {
          const pixel = (y * width + x) * 4;
          sum += 0.299 * data[pixel] + 0.587 * data[pixel + 1] + 0.114 * data[pixel + 2];
        }
      }
      return sum / ((right - left) * (bottom - top));
    };
    let [white, black] = [Infinity, -Infinity];
    for (const row of [0, 1]) {
      for (const column of [0, 1, 2, 3, 36, 37, 38, 39]) {
        const value = brightness(row, column);
        if ((row + column) % 2 === (column < 4 ? 0 : 1)) white = Math.min(white, value);
        else black = Math.max(black, value);
      }
    }
    if (white - black < 60) return null;
    const bytes = [0, 1, 2, 3, 4, 5, 6, 7].map((byte) => {
      let value = 0;
      for (let bit = 0; bit < 8; bit += 1) {
        const place = byte * 8 + bit;
        value = value * 2 + (brightness(Math.floor(place / 32), 4 + place % 32) > (white + black) / 2 ? 1 : 0);
      }
      return value;
    });
    if (crc16(bytes.slice(0, 6)) !== bytes[6] * 256 + bytes[7]) return null;
    return bytes.slice(0, 6).reduce((time, byte) => time * 256 + byte, 0) / 10;
  };

  const filmTrack = () => {
    const generator = new MediaStreamTrackGenerator({ kind: 'video' });
    const writer = generator.writable.getWriter();
    const film = globalThis.makeFilm({ width: WIDTH, height: HEIGHT, frames: FRAMES, seed });
    let number = 0;
    const next = () => {
      const picture = film[number % film.length];
      number += 1;
      stamp(picture.subarray(0, WIDTH * HEIGHT), nowMs());
      const frame = new VideoFrame(picture, { format: 'I420', codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: Math.round(performance.now() * 1000) });
      // A picture that finds the one before it still waiting is left out, as a camera's is.
      if (writer.desiredSize === null || writer.desiredSize > 0) writer.write(frame).catch(() => frame.close());
      else frame.close();
    };
    setInterval(next, 1000 / FPS);
    // A generated track does not say its size, which a camera's does. Told this one, the page sends the pictures as large as they are.
    generator.getSettings = () => ({ width: 640, height: 360, frameRate: FPS, deviceId: 'generated' });
    return generator;
  };

  /** What was shown of the other one, and what was said and heard. */
  const lab = { pictures: [], kept: [], spoken: null, heard: null, clickedMs: null };
  globalThis.lab = lab;

  /**
   * Keeps a track's sound, and where each of its blocks of samples came: `[first sample, its count, when]`.
   * @param {MediaStreamTrack} track
   */
  const keepSound = (track) => {
    const kept = { rate: 0, parts: [], blocks: [], samples: 0 };
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    const next = async () => {
      for (;;) {
        const { value: data, done } = await reader.read();
        if (done) return;
        const atMs = nowMs();
        kept.rate = data.sampleRate;
        const part = new Float32Array(data.numberOfFrames);
        data.copyTo(part, { planeIndex: 0, format: 'f32-planar' });
        data.close();
        if (kept.samples > SECONDS_MAX * kept.rate) return;
        kept.blocks.push([kept.samples, part.length, atMs]);
        kept.parts.push(part);
        kept.samples += part.length;
      }
    };
    next().catch((error) => console.warn(`sound is not kept: ${error}`));
    return kept;
  };

  const original = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  let camera = null;
  navigator.mediaDevices.getUserMedia = async ({ video, audio }) => {
    const stream = audio ? await original({ audio }) : new MediaStream();
    if (audio && recordsSound) lab.spoken ??= keepSound(stream.getAudioTracks()[0].clone());
    if (video) {
      camera ??= filmTrack();
      stream.addTrack(camera.clone());
      stream.getVideoTracks()[0].getSettings = camera.getSettings;
    }
    return stream;
  };

  const Connection = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Connection {
    constructor(...options) {
      super(...options);
      this.addEventListener('track', ({ track }) => {
        if (track.kind === 'audio' && recordsSound) lab.heard ??= keepSound(track);
      });
    }
  };

  /** A picture a second, whole, as PNG. @param {HTMLVideoElement} video @param {number} shownMs */
  const keepPicture = (video, shownMs) => {
    if (lab.kept.length >= KEPT_MAX || shownMs - (lab.kept.at(-1)?.shownMs ?? 0) < 1_000) return;
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext('2d').drawImage(video, 0, 0);
    lab.kept.push({ shownMs, png: canvas.convertToBlob({ type: 'image/png' }) });
  };

  /** Reads every picture of an element from its first one on. @param {HTMLVideoElement} video */
  const watch = (video) => {
    const canvas = new OffscreenCanvas(640, 64);
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const look = (_, { expectedDisplayTime }) => {
      const shownMs = performance.timeOrigin + expectedDisplayTime;
      const [width, rows] = [video.videoWidth, Math.ceil(video.videoWidth / 20)];
      if (canvas.width !== width || canvas.height !== rows) [canvas.width, canvas.height] = [width, rows];
      context.drawImage(video, 0, 0);
      if (lab.pictures.length < PICTURES_MAX) lab.pictures.push([shownMs, width >= 160 ? readStamp(context.getImageData(0, 0, width, rows)) : null, width]);
      if (keepsPictures) keepPicture(video, shownMs);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
  const watched = new WeakSet();
  const seek = () => {
    for (const video of document.querySelectorAll('[data-peer] video')) {
      if (watched.has(video) || video.closest('.is-self')) continue;
      watched.add(video);
      watch(video);
    }
  };
  new MutationObserver(seek).observe(document, { childList: true, subtree: true });

  addEventListener('click', ({ timeStamp }) => { lab.clickedMs = performance.timeOrigin + timeStamp; }, { capture: true });

  const base64 = (bytes) => {
    let binary = '';
    for (let start = 0; start < bytes.length; start += 32_768) binary += String.fromCharCode(...bytes.subarray(start, start + 32_768));
    return btoa(binary);
  };

  /** The kept sound as 16 bit in base64, and where its blocks came. @param {'spoken'|'heard'} name */
  globalThis.soundKept = (name) => {
    const kept = lab[name];
    if (!kept || kept.samples === 0) return null;
    const bytes = new Uint8Array(kept.samples * 2);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const part of kept.parts) {
      for (const sample of part) {
        view.setInt16(at, Math.round(Math.max(-1, Math.min(1, sample)) * 32_767), true);
        at += 2;
      }
    }
    return { rate: kept.rate, blocks: kept.blocks, base64: base64(bytes) };
  };

  /** The whole pictures that were kept between two moments, as PNG in base64. @param {number} from @param {number} to */
  globalThis.picturesKept = async (from, to) => {
    const within = lab.kept.filter(({ shownMs }) => shownMs >= from && shownMs < to);
    const files = await Promise.all(within.map(({ png }) => png));
    return Promise.all(files.map(async (file) => base64(new Uint8Array(await file.arrayBuffer()))));
  };

  /** What arrives of the one peer, as getStats counts it. */
  globalThis.inboundFigures = async () => {
    const [peer] = globalThis.parlor.peers.values();
    const figures = {};
    for (const stat of (await peer.connection.pc.getStats()).values()) {
      if (stat.type === 'inbound-rtp' && stat.kind === 'video') Object.assign(figures, { frames: stat.framesDecoded });
      if (stat.type === 'inbound-rtp' && stat.kind === 'audio') Object.assign(figures, { concealed: stat.concealedSamples - (stat.silentConcealedSamples ?? 0), samples: stat.totalSamplesReceived });
    }
    return figures;
  };
})();
