/** Plain text for terminals: tables, bars, numbers. */

/** Columns padded to their widest cell; `right` holds the indices of right-aligned ones. No space at line ends. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = [], gap = 2): string {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, width(cell))
    })
  }
  return rows
    .map((row) =>
      row
        .map((cell, i) => {
          const space = ' '.repeat(widths[i]! - width(cell))
          return right.includes(i) ? space + cell : cell + space
        })
        .join(' '.repeat(gap))
        .trimEnd(),
    )
    .join('\n')
}

/** Code points, near enough to columns for labels and file names. */
const width = (text: string): number => [...text].length

/** Cut to `max` columns, with an ellipsis in the place of what is missing. */
export function cut(text: string, max: number): string {
  const points = [...text]
  return points.length <= max ? text : `${points.slice(0, Math.max(0, max - 1)).join('')}…`
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉']

/** A bar for a fraction of 0 to 1, `columns` wide when full. */
export function bar(fraction: number, columns: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, fraction)) * columns * 8)
  return '█'.repeat(eighths >> 3) + EIGHTHS[eighths & 7]
}

/** 1234567 as `1,234,567`. */
export const grouped = (n: number): string =>
  Math.round(n)
    .toString()
    .replace(/\B(?=(\d{3})+(?!\d))/g, ',')

/** Milliseconds with a sensible number of digits. */
export const ms = (n: number): string => (n < 10 ? n.toFixed(2) : n < 100 ? n.toFixed(1) : n.toFixed(0))

/** 300774272 as `300.8 M`. */
export function count(n: number): string {
  if (n >= 1e9) return `${(n / 1e9).toFixed(2)} G`
  if (n >= 1e6) return `${(n / 1e6).toFixed(1)} M`
  if (n >= 1e4) return `${(n / 1e3).toFixed(1)} k`
  return String(Math.round(n))
}

/** Bytes as `1,505,280 bytes (1.44 MiB)`. */
export function bytes(n: number): string {
  const human =
    n >= 1024 * 1024 ? ` (${(n / 1024 / 1024).toFixed(2)} MiB)` : n >= 1024 ? ` (${(n / 1024).toFixed(1)} KiB)` : ''
  return `${grouped(n)} bytes${human}`
}

/** Width of the terminal that stdout goes to; 100 when it is none. */
export const columns = (): number => Math.min(200, Math.max(60, process.stdout.columns || 100))
