// @ts-check
/** What peers say to each other over data channels (PROTOCOL.md "Between peers"), read with distrust. Pure. */

/** @typedef {'on'|'muted'|'off'} MicrophoneState */
/** @typedef {'on'|'off'} CameraState */
/** @typedef {'no_device'|'busy'|'denied'|'unplugged'|'no_sound_server'|'failed'} Reason */
/**
 * @typedef {{microphone: MicrophoneState, camera: CameraState, microphone_reason: Reason|null,
 *   camera_reason: Reason|null}} MediaState
 */
/**
 * @typedef {{type: 'hello', versions: number[], client: string, boot_id: string|null}
 *   | ({type: 'media_state'} & MediaState)
 *   | {type: 'video_reduced'}
 *   | {type: 'video_suspended', reason: string}
 *   | {type: 'video_resumed'}
 *   | {type: 'bye'}} ControlMessage
 */
/** @typedef {{type: 'message', id: string, text: string, sent_at_ms: number}} ChatMessage */

export const CONTROL_BYTES_MAX = 4_096;
export const CHAT_BYTES_MAX = 20_480;
export const CHAT_CHARACTERS_MAX = 4_000;

const REASONS = new Set(['no_device', 'busy', 'denied', 'unplugged', 'no_sound_server', 'failed']);

/** @param {unknown} data @param {number} bytesMax @returns {Record<string, unknown>|null} */
function readObject(data, bytesMax) {
  // UTF-8 is never shorter than the count of UTF-16 units.
  if (typeof data !== 'string' || data.length > bytesMax) return null;
  if (new TextEncoder().encode(data).length > bytesMax) return null;
  let value;
  try { value = JSON.parse(data); } catch { return null; }
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
}

/** A reason from a newer program is "failed"; none is the user's wish. @param {unknown} value @returns {Reason|null} */
function readReason(value) {
  if (value === null || value === undefined) return null;
  return typeof value === 'string' && REASONS.has(value) ? /** @type {Reason} */ (value) : 'failed';
}

/**
 * One control message, or null for what is malformed, too large or unknown.
 * @param {unknown} data
 * @returns {ControlMessage|null}
 */
export function readControl(data) {
  const value = readObject(data, CONTROL_BYTES_MAX);
  switch (value?.type) {
    case 'hello': return readHello(value);
    case 'media_state': return readMediaState(value);
    case 'video_suspended': return { type: 'video_suspended', reason: value.reason === 'no_common_codec' ? 'no_common_codec' : 'bandwidth' };
    case 'video_reduced': return { type: 'video_reduced' };
    case 'video_resumed': return { type: 'video_resumed' };
    case 'bye': return { type: 'bye' };
    default: return null;
  }
}

/** @param {Record<string, unknown>} value @returns {ControlMessage|null} */
function readHello(value) {
  if (!Array.isArray(value.versions)) return null;
  return {
    type: 'hello',
    versions: value.versions.filter((version) => Number.isInteger(version)),
    client: typeof value.client === 'string' ? value.client.slice(0, 64) : '',
    boot_id: typeof value.boot_id === 'string' ? value.boot_id.slice(0, 64) : null,
  };
}

/** @param {Record<string, unknown>} value @returns {ControlMessage|null} */
function readMediaState(value) {
  const { microphone, camera } = value;
  if (microphone !== 'on' && microphone !== 'muted' && microphone !== 'off') return null;
  if (camera !== 'on' && camera !== 'off') return null;
  return {
    type: 'media_state', microphone, camera,
    microphone_reason: readReason(value.microphone_reason), camera_reason: readReason(value.camera_reason),
  };
}

/**
 * One chat message, or null for what is malformed or too large.
 * @param {unknown} data
 * @returns {ChatMessage|null}
 */
export function readChat(data) {
  const value = readObject(data, CHAT_BYTES_MAX);
  if (value?.type !== 'message' || typeof value.text !== 'string' || typeof value.id !== 'string') return null;
  if (!/^[a-z0-9]{1,32}$/.test(value.id)) return null;
  const length = characterCount(value.text);
  if (length < 1 || length > CHAT_CHARACTERS_MAX) return null;
  const sentAt = typeof value.sent_at_ms === 'number' ? value.sent_at_ms : 0;
  return { type: 'message', id: value.id, text: value.text, sent_at_ms: sentAt };
}

/** Unicode scalar values, as both ends count them. @param {string} text */
export function characterCount(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}
