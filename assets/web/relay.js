// @ts-check
/** TURN: what may be said while the address is hidden, and when credentials are renewed. Pure functions. */

/** What a related address is replaced by, as browsers do (RFC 8828 §5.2). */
const NOWHERE = '0.0.0.0';
/** Lifetimes that are believed; a longer one is as good as for ever, and would not fit a timer. */
const LIFETIME_MAX_SECONDS = 30 * 24 * 60 * 60;

/**
 * The candidate without its related address; null for any other kind than `relay`.
 * @param {string} line with or without `a=`
 */
export function hiddenCandidate(line) {
  if (!/ typ relay( |$)/.test(line)) return null;
  return line.replace(/ raddr \S+/g, ` raddr ${NOWHERE}`).replace(/ rport \S+/g, ' rport 0');
}

/**
 * The description with relay candidates only, and without addresses in the lines that ICE makes meaningless.
 * @param {string} sdp
 */
export function hiddenDescription(sdp) {
  return sdp.split('\r\n').flatMap((line) => {
    if (line.startsWith('a=candidate:')) return hiddenCandidate(line) ?? [];
    if (line.startsWith('c=')) return `c=IN IP4 ${NOWHERE}`;
    if (line.startsWith('o=') || line.startsWith('a=rtcp:')) return line.replace(/ IN IP[46] .*$/, ` IN IP4 ${NOWHERE}`);
    return line;
  }).join('\r\n');
}

/** Whether an offer asks for new ICE credentials (RFC 8839 §4.4.1.1.1). @param {string} current @param {string} offer */
export function restartsIce(current, offer) {
  /** @param {string} sdp */
  const credentials = (sdp) => [/^a=ice-ufrag:(.*)$/m, /^a=ice-pwd:(.*)$/m].map((line) => line.exec(sdp)?.[1].trim());
  const [before, after] = [credentials(current), credentials(offer)];
  return [...before, ...after].every(Boolean) && before.join(' ') !== after.join(' ');
}

/** After how many milliseconds credentials of this lifetime are renewed: half of it. Null for those that last for ever. @param {unknown} lifetimeSeconds */
export function renewalDelayMs(lifetimeSeconds) {
  if (typeof lifetimeSeconds !== 'number' || !(lifetimeSeconds >= 0)) return null;
  return Math.min(lifetimeSeconds, LIFETIME_MAX_SECONDS) * 1_000 / 2;
}

/** Whether there is a relay among them. @param {RTCIceServer[]} servers */
export function hasRelay(servers) {
  return servers.some(({ urls }) => [urls].flat().some((url) => /^turns?:/.test(url)));
}
