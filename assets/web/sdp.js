// @ts-check
/** What is read out of session descriptions (RFC 8866). Pure functions; nothing is ever rewritten. */

/** @typedef {import('./protocol.js').StreamDescription} StreamDescription */
/** @typedef {{kind: string, mid: string, port: number, codecs: string[]}} MediaSection */

/** Formats that carry or repair another one's packets. */
const REPAIR_CODECS = new Set(['rtx', 'red', 'ulpfec', 'flexfec-03']);

/**
 * The media sections of a description, in order.
 * @param {string} sdp
 * @returns {MediaSection[]}
 */
export function mediaSections(sdp) {
  return sdp.split(/\r?\n(?=m=)/).slice(1).map((section) => {
    const [, kind = '', port = '0'] = /^m=(\S+) (\d+)/.exec(section) ?? [];
    const mid = /^a=mid:(\S+)/m.exec(section)?.[1] ?? '';
    const codecs = Array.from(section.matchAll(/^a=rtpmap:\d+ ([^/\s]+)/gm), (match) => match[1].toLowerCase());
    return { kind, mid, port: Number(port), codecs };
  });
}

/**
 * Whether both descriptions of a negotiated connection hold a video codec in common. A rejected section (port 0,
 * RFC 9429 §5.3.1) has none.
 * @param {string} localSdp @param {string} remoteSdp
 */
export function hasCommonVideoCodec(localSdp, remoteSdp) {
  /** @param {string} sdp */
  const codecs = (sdp) => {
    const section = mediaSections(sdp).find(({ kind }) => kind === 'video');
    return new Set(section && section.port !== 0 ? section.codecs.filter((codec) => !REPAIR_CODECS.has(codec)) : []);
  };
  const remote = codecs(remoteSdp);
  return [...codecs(localSdp)].some((codec) => remote.has(codec));
}

/**
 * Which source each media section of a remote description shows. Sections without a name of their own are told by
 * order: the first audio is the microphone, the first video the camera.
 * @param {string} sdp
 * @param {unknown} streams as received
 * @param {string} owner whose streams alone are believed
 * @returns {Map<string, string>} source by mid
 */
export function sourcesByMid(sdp, streams, owner) {
  const sources = new Map();
  const sections = mediaSections(sdp);
  for (const [kind, source] of [['audio', 'microphone'], ['video', 'camera']]) {
    const section = sections.find((candidate) => candidate.kind === kind);
    if (section) sources.set(section.mid, source);
  }
  for (const stream of Array.isArray(streams) ? streams.slice(0, 32) : []) {
    if (typeof stream?.mid === 'string' && typeof stream.source === 'string' && stream.owner === owner) {
      sources.set(stream.mid, stream.source);
    }
  }
  return sources;
}

/**
 * H264 first, constrained baseline with packetization mode 1 before its siblings, then everything else in the
 * browser's order: what the native client speaks comes first, and two browsers still find something without it.
 * @template {{mimeType: string, sdpFmtpLine?: string}} C
 * @param {readonly C[]} codecs
 * @returns {C[]}
 */
export function preferH264(codecs) {
  /** @param {C} codec */
  const rank = ({ mimeType, sdpFmtpLine = '' }) => {
    if (mimeType.toLowerCase() !== 'video/h264') return 2;
    return /packetization-mode=1/.test(sdpFmtpLine) && /profile-level-id=42e0/i.test(sdpFmtpLine) ? 0 : 1;
  };
  return codecs.map((codec, index) => ({ codec, index }))
    .sort((a, b) => rank(a.codec) - rank(b.codec) || a.index - b.index)
    .map(({ codec }) => codec);
}
