// @ts-check
/** What is said to people, in one place: sentence case, no jargon; what happened, what still works, what to do. Pure. */

/** @typedef {import('./messages.js').Reason} Reason */
/** @typedef {import('./messages.js').MediaState} MediaState */
/** @typedef {'camera'|'microphone'} DeviceKind */
/** Why a device gives nothing; `insecure` is told to the others as `denied`. @typedef {Reason|'insecure'} MediaProblem */

/**
 * Tells the failures of getUserMedia (W3C Media Capture §10.2) apart.
 * @param {unknown} error
 * @param {boolean} secure whether the page is a secure context
 * @returns {MediaProblem}
 */
export function mediaProblem(error, secure) {
  if (!secure) return 'insecure';
  switch (/** @type {{name?: string}|null} */ (error)?.name) {
    case 'NotAllowedError':
    case 'PermissionDeniedError':
    case 'SecurityError': return 'denied';
    case 'NotFoundError':
    case 'DevicesNotFoundError':
    case 'OverconstrainedError': return 'no_device';
    case 'NotReadableError':
    case 'TrackStartError':
    case 'AbortError': return 'busy';
    default: return 'failed';
  }
}

/** Without a camera the sound goes on, and the other way round. @type {Record<DeviceKind, string>} */
const STILL_WORKS = {
  camera: 'The others can still hear and read you.',
  microphone: 'You can still listen and write.',
};

/** @type {Record<MediaProblem, (kind: DeviceKind) => string>} */
const PROBLEM_WORDS = {
  denied: (kind) => `The browser may not use your ${kind}. ${STILL_WORKS[kind]} Allow it beside the address, then turn it on again.`,
  no_device: (kind) => `No ${kind} was found. ${STILL_WORKS[kind]} Plug one in, then turn it on again.`,
  busy: (kind) => `Your ${kind} is in use by another program. ${STILL_WORKS[kind]} Close that program, then turn it on again.`,
  unplugged: (kind) => `Your ${kind} was unplugged. ${STILL_WORKS[kind]} Plug it in again, or choose another.`,
  no_sound_server: () => 'This computer has no sound service running. You can still watch and write.',
  failed: (kind) => `Your ${kind} could not be started. ${STILL_WORKS[kind]} Try again, or choose another.`,
  // It is so for both kinds at once.
  insecure: () => 'This page is not secure, so the browser gives it no camera and no microphone. '
    + 'You can still listen, watch and write. Open it by a link that starts with https:// to be seen and heard.',
};

/** @param {MediaProblem} problem @param {DeviceKind} kind */
export function problemInWords(problem, kind) { return PROBLEM_WORDS[problem](kind); }

/** What is wrong with the devices, each sentence once. @param {Record<DeviceKind, {problem: MediaProblem|null}>} devices */
export function problemsInWords(devices) {
  /** @type {Set<string>} */
  const sentences = new Set();
  for (const kind of /** @type {DeviceKind[]} */ (['camera', 'microphone'])) {
    const { problem } = devices[kind];
    if (problem) sentences.add(problemInWords(problem, kind));
  }
  return [...sentences];
}

/** A reason as the others are told it. @param {MediaProblem|null} problem @returns {Reason|null} */
export function problemOnWire(problem) { return problem === 'insecure' ? 'denied' : problem; }

/** @type {Record<Reason, string>} */
const CAMERA_MARKS = {
  denied: 'camera not allowed', no_device: 'no camera', busy: 'camera in use elsewhere', unplugged: 'camera unplugged',
  no_sound_server: 'camera off', failed: 'camera failed',
};
/** @type {Record<Reason, string>} */
const MICROPHONE_MARKS = {
  denied: 'microphone not allowed', no_device: 'no microphone', busy: 'microphone in use elsewhere',
  unplugged: 'microphone unplugged', no_sound_server: 'no sound', failed: 'microphone failed',
};

/**
 * The mark on a tile without a picture, or null.
 * @param {MediaState|null} media @param {string|null} videoSuspended @param {boolean} hasCommonVideoCodec
 */
export function cameraMark(media, videoSuspended, hasCommonVideoCodec) {
  if (media?.camera === 'off') return media.camera_reason ? CAMERA_MARKS[media.camera_reason] : 'camera off';
  if (!hasCommonVideoCodec || videoSuspended === 'no_common_codec') return 'no picture format in common';
  if (videoSuspended) return 'sound only, slow network';
  return null;
}

/** What the muted mark says, or null when the microphone is on. @param {MediaState|null} media */
export function microphoneMark(media) {
  if (!media || media.microphone === 'on') return null;
  if (media.microphone === 'muted') return 'muted';
  return media.microphone_reason ? MICROPHONE_MARKS[media.microphone_reason] : 'microphone off';
}

/** What a tile says of a picture that is there but thinned out, or null. @param {boolean} videoReduced */
export function pictureInWords(videoReduced) {
  return videoReduced ? 'Slow connection; fewer pictures' : null;
}

/**
 * The state of a connection in words, or null when all is well.
 * @param {{name: string, state: RTCPeerConnectionState|'none', everConnected: boolean, restarts: number, presence: string}} peer
 */
export function connectionInWords({ name, state, everConnected, restarts, presence }) {
  if (state === 'connected') return null;
  if (presence !== 'present') return 'Reconnecting…';
  if (restarts >= 2) return `${name} can’t be reached directly; trying another way`;
  return everConnected ? 'Reconnecting…' : 'Connecting…';
}

/** What a chat line says of those it did not reach, or null. @param {string[]} undelivered @param {boolean} heard */
export function deliveryInWords(undelivered, heard) {
  if (!heard) return 'Not delivered: nobody is connected yet.';
  if (undelivered.length === 0) return null;
  return `Not delivered to ${listInWords(undelivered)}: not connected yet.`;
}

/** @param {string[]} names */
function listInWords(names) {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/**
 * What stands between the page and the server in words, or null when nothing does.
 * @param {{code: string, message: string}|null} problem @param {number} others people in the call beside oneself
 */
export function signalingInWords(problem, others) {
  if (!problem) return null;
  const isUnreachable = problem.code === 'unreachable';
  const what = isUnreachable ? 'The server can’t be reached; trying again.' : `${problem.message} Trying again.`;
  if (others === 0) return what;
  return `${what} The call goes on${isUnreachable ? ', but nobody new can join' : ''}.`;
}

/** What stands where the others will be. @param {boolean} isJoined @param {boolean} hasProblem whether the server is away */
export function aloneInWords(isJoined, hasProblem) {
  if (!isJoined) return 'Joining…';
  return hasProblem ? 'Nobody else is here, and nobody can join for now' : 'Waiting for others…';
}

/** What it means when a room does not let someone in; the desktop's words too. @type {Record<string, {title: string, text: string, again: boolean}>} */
export const REFUSALS = {
  access_required: { title: 'You need an invitation', text: 'This server lets in only whoever was invited. Open the link that you were sent, or ask for one.', again: false },
  access_invalid: { title: 'This invitation can’t be used', text: 'It is damaged, or was made for another server. Ask for a new link.', again: false },
  access_expired: { title: 'This invitation is not valid now', text: 'Its time is over, or has not come yet. Ask for a new link.', again: true },
  access_wrong_room: { title: 'This invitation is for another room', text: 'Open the link just as it was sent to you, or ask for a new one.', again: false },
  password_required: { title: 'This room has a password', text: 'Ask whoever invited you for it.', again: true },
  password_wrong: { title: 'This is not the password', text: 'Check it and try again. Small and capital letters matter.', again: true },
  too_many_guesses: { title: 'Too many wrong passwords', text: 'For a few minutes no other is taken, not even the right one. Then try again.', again: true },
  room_locked: { title: 'This room is locked', text: 'Nobody new can come in. Ask someone inside to unlock it, then try again.', again: true },
  removed: { title: 'You were removed', text: 'Whoever moderates this call ended your part in it.', again: false },
};

/** @typedef {import('./protocol.js').RoomPolicy} RoomPolicy */

/** What changed in a room, each a sentence without its end. @param {RoomPolicy} policy @param {RoomPolicy} before */
export function policyNews(policy, before) {
  /** @type {[keyof RoomPolicy, string, string][]} */
  const changes = [
    ['locked', 'The room is locked: nobody new can come in', 'The room is unlocked: new people can come in'],
    ['has_password', 'The room has a password now: newcomers are asked for it', 'The room has no password any more'],
    ['may_moderate', 'You moderate: you can lock the room, set a password and remove people', 'You no longer moderate the room'],
  ];
  return changes.filter(([what]) => policy[what] !== before[what]).map(([what, begun, over]) => (policy[what] ? begun : over));
}

/** What holds in the room, for those who can't change it. @param {RoomPolicy} policy */
export function standingWords({ locked, has_password: hasPassword }) {
  const open = hasPassword ? 'Newcomers are asked for the room’s password.' : 'Whoever has the link can come in.';
  return [locked ? 'The room is locked: nobody new can come in.' : open, 'Whoever moderates the room can change this, and remove people.'];
}

/** What removing someone does. @param {RoomPolicy} policy */
export function removalWords({ locked, has_password: hasPassword }) {
  const what = 'They are out of the call at once.';
  if (locked) return `${what} The room is locked, so they can’t come back.`;
  if (hasPassword) return `${what} If they know the password they can come back as someone new: change it, or lock the room.`;
  return `${what} If they have the link they can come back as someone new: lock the room to keep them out.`;
}

/** What is above the reason a call ended for. @param {string|null} code @param {boolean} wasJoined */
export function endedTitle(code, wasJoined) {
  if (code === 'unreachable') return 'The server can’t be reached';
  return wasJoined ? 'The call ended' : 'You could not join';
}

/** A call's length. @param {number} seconds */
export function durationInWords(seconds) {
  const pad = (/** @type {number} */ value) => String(value).padStart(2, '0');
  const [hours, minutes, rest] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60];
  return hours > 0 ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
}

/** Who is here, and whether anybody else may come. @param {number} count with oneself @param {boolean} isLocked */
export function roomInWords(count, isLocked) { return `${count === 1 ? '1 person' : `${count} people`}${isLocked ? ', room locked' : ''}`; }

/** @param {number} bps */
export function bitrateInWords(bps) {
  return bps >= 1_000_000 ? `${(bps / 1_000_000).toFixed(1)} Mbit/s` : `${Math.round(bps / 1_000)} kbit/s`;
}
