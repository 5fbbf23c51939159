// @ts-check
/** getStats (W3C webrtc-stats) boiled down to what a person or a test asks for. Pure, but for the meter's memory. */

/**
 * @typedef {{codec: string|null, frames: number, frames_per_second: number, width: number, height: number,
 *   bitrate_bps: number, packets: number, lost: number, bytes: number, freezes: number, key_frames: number}} VideoStats
 */
/** @typedef {{codec: string|null, bitrate_bps: number, packets: number, lost: number, bytes: number, concealed: number, samples: number}} AudioStats */
/**
 * @typedef {{inbound: {video: VideoStats|null, audio: AudioStats|null}, outbound: {video: VideoStats|null, audio: AudioStats|null},
 *   rtt_ms: number|null, loss: number|null, path: 'direct'|'relayed'|null, transport: string|null}} PeerStats
 */

/** Turns growing byte counters into bit rates between two looks. */
export class RateMeter {
  /** @type {Map<string, {bytes: number, timestamp: number, bps: number}>} */ #last = new Map();

  /** @param {string} id @param {number} bytes @param {number} timestamp milliseconds */
  bitrateBps(id, bytes, timestamp) {
    const last = this.#last.get(id);
    if (last && timestamp <= last.timestamp) return last.bps;
    const bps = last ? Math.max(0, Math.round((bytes - last.bytes) * 8_000 / (timestamp - last.timestamp))) : 0;
    this.#last.set(id, { bytes, timestamp, bps });
    return bps;
  }
}

/** Figures that are missing count as nothing. @param {unknown} value */
const number = (value) => (typeof value === 'number' ? value : 0);

/**
 * @param {Iterable<[string, any]>} report an RTCStatsReport
 * @param {RateMeter} meter
 * @returns {PeerStats}
 */
export function summarise(report, meter) {
  /** @type {Map<string, any>} */
  const byId = new Map(report);
  const all = [...byId.values()];
  /** @param {string} type @param {string} kind */
  const find = (type, kind) => all.find((stat) => stat.type === type && stat.kind === kind);
  /** @param {any} stat */
  const codecOf = (stat) => byId.get(stat.codecId)?.mimeType?.split('/')[1] ?? null;
  /** @param {any} stat @param {'Received'|'Sent'} way */
  const shared = (stat, way) => ({
    codec: codecOf(stat), packets: number(stat[`packets${way}`]), bytes: number(stat[`bytes${way}`]),
    bitrate_bps: meter.bitrateBps(stat.id, number(stat[`bytes${way}`]), stat.timestamp),
    lost: number(stat.packetsLost ?? byId.get(stat.remoteId)?.packetsLost),
  });
  /** @param {any} stat @param {'Received'|'Sent'} way @returns {VideoStats|null} */
  const video = (stat, way) => stat && {
    ...shared(stat, way), frames: number(stat.framesDecoded ?? stat.framesEncoded), frames_per_second: number(stat.framesPerSecond),
    width: number(stat.frameWidth), height: number(stat.frameHeight), freezes: number(stat.freezeCount),
    key_frames: number(stat.keyFramesDecoded ?? stat.keyFramesEncoded),
  };
  /** @param {any} stat @param {'Received'|'Sent'} way @returns {AudioStats|null} */
  const audio = (stat, way) => stat && { ...shared(stat, way), concealed: number(stat.concealedSamples), samples: number(stat.totalSamplesReceived) };

  const transport = all.find((stat) => stat.type === 'transport');
  const pair = byId.get(transport?.selectedCandidatePairId) ?? all.find((stat) => stat.type === 'candidate-pair' && stat.nominated);
  const local = byId.get(pair?.localCandidateId);
  const remote = byId.get(pair?.remoteCandidateId);
  const inbound = { video: video(find('inbound-rtp', 'video'), 'Received') ?? null, audio: audio(find('inbound-rtp', 'audio'), 'Received') ?? null };
  const received = number(inbound.video?.packets) + number(inbound.audio?.packets);
  const lost = number(inbound.video?.lost) + number(inbound.audio?.lost);
  return {
    inbound,
    outbound: { video: video(find('outbound-rtp', 'video'), 'Sent') ?? null, audio: audio(find('outbound-rtp', 'audio'), 'Sent') ?? null },
    rtt_ms: typeof pair?.currentRoundTripTime === 'number' ? Math.round(pair.currentRoundTripTime * 1000) : null,
    loss: received + lost > 0 ? Math.max(0, lost) / (received + lost) : null,
    path: pair ? (local?.candidateType === 'relay' || remote?.candidateType === 'relay' ? 'relayed' : 'direct') : null,
    transport: local?.protocol?.toUpperCase() ?? null,
  };
}
