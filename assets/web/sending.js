// @ts-check
/** What leaves by a sender: how large the picture is, at which rates, and with which codecs. */

import { preferH264 } from './sdp.js';

/** Every peer gets its own copy of the picture, so it is sent at 640x360, as the native client does. */
const SEND_HEIGHT = 360;
const SEND_BITRATE_MAX_BPS = 1_200_000;
/** What the sound may take where it is all that goes: speech is understood well. */
const NARROW_SOUND_BPS = 12_000;

/** How large and how fast the picture goes; not at all where the way is too narrow for it. @param {RTCRtpSender} sender @param {boolean} isNarrow */
export function limitPicture(sender, isNarrow) {
  return change(sender, (encoding) => {
    encoding.active = !isNarrow;
    const height = sender.track?.getSettings().height;
    if (!height) return;
    encoding.scaleResolutionDownBy = Math.max(1, height / SEND_HEIGHT);
    encoding.maxBitrate = SEND_BITRATE_MAX_BPS;
  });
}

/** @param {RTCRtpSender} sender @param {boolean} isNarrow */
export function limitSound(sender, isNarrow) {
  return change(sender, (encoding) => {
    if (isNarrow) encoding.maxBitrate = NARROW_SOUND_BPS;
    else delete encoding.maxBitrate;
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
