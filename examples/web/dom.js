/** Elements by id, figures in words, and the one line that says what went wrong. */

export const $ = (id) => document.getElementById(id)
export const ms = (n) => (n < 9.95 ? n.toFixed(1) : Math.round(n).toString())
export const megabytes = (n) => `${(n / 1e6).toFixed(n < 1e6 ? 2 : 1)} MB`

/** Says it where it can be seen, on a phone too. */
export function problem(text) {
  const line = String(text?.message ?? text)
  $('problem').textContent = line.charAt(0).toUpperCase() + line.slice(1) + (/[.!?]$/.test(line) ? '' : '.')
  $('problem').hidden = false
  $('problem').scrollIntoView({ block: 'nearest' })
}

export const noProblem = () => {
  $('problem').hidden = true
}
