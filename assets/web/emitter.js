// @ts-check
/** The smallest observable thing: callbacks that are told when something changed. */
export class Changes {
  /** @type {Set<() => void>} */ #listeners = new Set();

  /** @param {() => void} listener @returns {() => void} stops listening */
  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  notify() { for (const listener of this.#listeners) listener(); }
}
