// @ts-check
/** Making elements. Text is always a text node: nothing in this page writes HTML. */

/** @typedef {Node|string|null|false|undefined} Child */

/**
 * An element with properties and children. `class`, `role`, `for`, `aria-*` and `data-*` become attributes, the rest
 * are properties.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === 'class' || name === 'role' || name === 'for' || name.startsWith('aria-') || name.startsWith('data-')) element.setAttribute(name, String(value));
    else Object.assign(element, { [name]: value });
  }
  element.append(...children.filter((child) => typeof child === 'string' || child instanceof Node));
  return element;
}

/** A Lucide icon, drawn in the colour of the text around it. @param {string} name */
export function icon(name) {
  return h('span', { class: `icon icon-${name}`, 'aria-hidden': 'true' });
}

/** Shows another icon in its place. @param {HTMLElement} element @param {string} name */
export function setIcon(element, name) {
  const wanted = `icon icon-${name}`;
  if (element.className !== wanted) element.className = wanted;
}

/** Sets text only where it differs, so that readers of the page are not told twice. @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {HTMLElement} element @param {boolean} shown */
export function setShown(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/** A button that changes its face: icon, label and whether it marks something "off". */
export class IconButton {
  /** @param {{icon: string, label: string, key?: string, class?: string, onclick: () => void}} config */
  constructor(config) {
    this.face = icon(config.icon);
    this.key = config.key;
    this.element = h('button', { class: `round ${config.class ?? ''}`.trim(), type: 'button', onclick: config.onclick }, this.face);
    this.#label(config.label);
  }

  /** @param {{icon: string, label: string, isOff?: boolean}} face */
  update(face) {
    setIcon(this.face, face.icon);
    this.#label(face.label);
    this.element.classList.toggle('is-off', face.isOff ?? false);
  }

  /** @param {string} label */
  #label(label) {
    if (this.element.getAttribute('aria-label') === label) return;
    this.element.setAttribute('aria-label', label);
    this.element.title = this.key ? `${label} (${this.key})` : label;
    if (this.key) this.element.setAttribute('aria-keyshortcuts', this.key);
  }
}
