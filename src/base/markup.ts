/** Text as HTML and SVG hold it, in content and in attributes of either quote. */
export const escapeMarkup = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)

/** A name on one line, whatever bytes it is made of. */
export const printable = (name: string): string => name.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '?')
