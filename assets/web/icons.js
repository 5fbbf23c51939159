// @ts-check
/** Keeps the icons in the page: they must be there when the server is gone, for a call goes on without it. */

/** Puts every icon that icons.css names into its rule, in place of its address. What cannot be fetched stays as it is. */
export async function keepIcons() {
  const sheet = [...document.styleSheets].find(({ href }) => href?.endsWith('/icons.css'));
  const rules = /** @type {CSSStyleRule[]} */ ([...(sheet?.cssRules ?? [])].filter((rule) => rule instanceof CSSStyleRule));
  await Promise.allSettled(rules.map(async ({ style }) => {
    const address = /^url\("?(\/icons\/[a-z0-9-]+\.svg)"?\)$/.exec(style.getPropertyValue('--icon').trim())?.[1];
    if (!address) return;
    const response = await fetch(address);
    if (!response.ok) return;
    style.setProperty('--icon', `url("data:image/svg+xml,${encodeURIComponent(await response.text())}")`);
  }));
}
