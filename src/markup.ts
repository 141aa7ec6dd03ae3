/** Text as HTML and SVG hold it, in content and in attributes of either quote. */
export const escapeMarkup = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
