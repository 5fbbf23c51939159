/**
 * In the page, before it starts: the camera becomes the lab's film (film.js) with the time in it (tests/BARCODE.md), and what is shown
 * and heard of the other one is kept where the user would see and hear it. The page itself is the shipped one.
 *
 * There before: `labFilm` {width, height, seed, recordsSound, keepsPictures}, `makeFilm` (film.js), `stampBarcode` and `readBarcode` (tests/browser/barcode.js). The film is written picture by picture into a MediaStreamTrackGenerator,
 * without a canvas.
 */
(() => {
  const { width: WIDTH, height: HEIGHT, seed, recordsSound, keepsPictures } = globalThis.labFilm;
  const [FPS, FRAMES] = [30, 60];
  /** Nine hours of pictures, ten minutes of sound, two of whole pictures. What comes after them is left out. */
  const [PICTURES_MAX, SECONDS_MAX, KEPT_MAX] = [1_000_000, 600, 120];
  const nowMs = () => performance.timeOrigin + performance.now();

  const filmTrack = () => {
    const generator = new MediaStreamTrackGenerator({ kind: 'video' });
    const writer = generator.writable.getWriter();
    const film = globalThis.makeFilm({ width: WIDTH, height: HEIGHT, frames: FRAMES, seed });
    let number = 0;
    const next = () => {
      const picture = film[number % film.length];
      number += 1;
      globalThis.stampBarcode(picture.subarray(0, WIDTH * HEIGHT), WIDTH, nowMs());
      const frame = new VideoFrame(picture, { format: 'I420', codedWidth: WIDTH, codedHeight: HEIGHT, timestamp: Math.round(performance.now() * 1000) });
      // A picture that finds the one before it still waiting is left out, as a camera's is.
      if (writer.desiredSize === null || writer.desiredSize > 0) {
        globalThis.lab.captured += 1;
        writer.write(frame).catch(() => frame.close());
      } else frame.close();
    };
    setInterval(next, 1000 / FPS);
    // A generated track does not say its size, which a camera's does. Told this one, the page sends the pictures as large as they are.
    generator.getSettings = () => ({ width: 640, height: 360, frameRate: FPS, deviceId: 'generated' });
    return generator;
  };

  /** What was shown of the other one, and what was said and heard. */
  const lab = { captured: 0, pictures: [], kept: [], spoken: null, heard: null, clickedMs: null };
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

  const readStamp = (context, width, height) => {
    // Nothing is copied of a picture that is too narrow to carry one.
    if (width < 160) return null;
    return globalThis.readBarcode({ width, height, rgba: context.getImageData(0, 0, width, height).data });
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
      if (lab.pictures.length < PICTURES_MAX) lab.pictures.push([shownMs, readStamp(context, width, rows), width]);
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
    const figures = { captured: lab.captured };
    for (const stat of (await peer.connection.pc.getStats()).values()) {
      if (stat.type === 'inbound-rtp' && stat.kind === 'video') Object.assign(figures, { frames: stat.framesDecoded });
      if (stat.type === 'inbound-rtp' && stat.kind === 'audio') Object.assign(figures, { concealed: stat.concealedSamples, samples: stat.totalSamplesReceived });
    }
    return figures;
  };
})();
