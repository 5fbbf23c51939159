// @ts-check
/** What leaves by a sender: how large the picture is, at which rates, and with which codecs. */

import { preferH264 } from './sdp.js';

/** Every peer gets its own copy of the picture, so it is sent at 640x360 and takes no more than this, as the native client's. */
const SEND_HEIGHT = 360;
const SEND_BITRATE_MAX_BPS = 1_500_000;
/** What the sound may take beside less than the usual picture: speech is understood well. */
const NARROW_SOUND_BPS = 12_000;

/** The small picture, as the native client's: a quarter of the points, ten a second. */
const SMALL = { height: 180, framesPerSecond: 10, bitrateBps: 40_000 };

/** How large and how fast the picture goes, or whether at all. @param {RTCRtpSender} sender @param {import('./narrow.js').Picture} picture */
export function limitPicture(sender, picture) {
  return change(sender, (encoding) => {
    encoding.active = picture !== 'none';
    const isSmall = picture === 'small';
    const height = sender.track?.getSettings().height;
    if (height) encoding.scaleResolutionDownBy = Math.max(1, height / (isSmall ? SMALL.height : SEND_HEIGHT));
    encoding.maxBitrate = isSmall ? SMALL.bitrateBps : SEND_BITRATE_MAX_BPS;
    if (isSmall) encoding.maxFramerate = SMALL.framesPerSecond;
    else delete encoding.maxFramerate;
  });
}

/** @param {RTCRtpSender} sender @param {import('./narrow.js').Picture} picture what is sent beside it */
export function limitSound(sender, picture) {
  return change(sender, (encoding) => {
    if (picture === 'usual') delete encoding.maxBitrate;
    else encoding.maxBitrate = NARROW_SOUND_BPS;
  });
}

/** @param {RTCRtpTransceiver} transceiver */
export function preferVideoCodecs(transceiver) {
  const codecs = RTCRtpReceiver.getCapabilities?.('video')?.codecs;
  if (!codecs || !transceiver.setCodecPreferences) return;
  try { transceiver.setCodecPreferences(preferH264(codecs)); } catch (error) { console.warn('codec preferences:', error); }
}

/**
 * Before the first negotiation there is nothing to change.
 * @param {RTCRtpSender} sender @param {(encoding: RTCRtpEncodingParameters) => void} how
 */
async function change(sender, how) {
  const parameters = sender.getParameters();
  const [encoding] = parameters.encodings ?? [];
  if (!encoding) return;
  how(encoding);
  await sender.setParameters(parameters);
}
