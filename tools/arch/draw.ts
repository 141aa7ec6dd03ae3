/**
 * docs/architecture.svg: the rooms of src/ by floor, and who imports whom, read from the code. A line's width says how
 * many imports there are; `base` and `graph` are imported by nearly every room, their lines are left out.
 *
 * Usage: npm run arch
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { importsOf, placeOf, sources, type Import } from './imports.ts'
import { FLOORS, type Room } from './layers.ts'

/** Pixels. */
const BOX = { width: 216, height: 52 }
const PAGE = { width: 1080, floor: 92, margin: 20 }

/** Rooms below everything. */
const FOUNDATION = new Set(['base', 'graph'])

const LINES = ['#2563eb', '#c2410c', '#15803d', '#7c3aed', '#b91c1c', '#0f766e', '#a16207', '#be185d']

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

interface Placed {
  room: Room
  x: number
  y: number
  color: string
}

/** Rooms by name; the ground is at the bottom, odd floors are shifted so that lines do not hide each other. */
function placed(): Map<string, Placed> {
  const found = new Map<string, Placed>()
  FLOORS.forEach((rooms, floor) => {
    const gap = (PAGE.width - rooms.length * BOX.width) / (rooms.length + 1)
    const shift = rooms.length === 1 && rooms[0] && !FOUNDATION.has(rooms[0].name) ? (floor % 2 ? -170 : 170) : 0
    rooms.forEach((room, i) => {
      const x = gap + i * (BOX.width + gap) + shift
      const y = PAGE.margin + (FLOORS.length - 1 - floor) * PAGE.floor
      found.set(room.name, { room, x, y, color: LINES[found.size % LINES.length]! })
    })
  })
  return found
}

/** Numbers of imports from room to room, most first. */
export function roads(imports: readonly Import[]): { from: string; to: string; count: number }[] {
  const counts = new Map<string, number>()
  for (const { from, to } of imports) {
    const [a, b] = [placeOf(from)?.room.name, placeOf(to)?.room.name]
    if (a && b && a !== b) counts.set(`${a} ${b}`, (counts.get(`${a} ${b}`) ?? 0) + 1)
  }
  return [...counts]
    .map(([names, count]) => ({ from: names.split(' ')[0]!, to: names.split(' ')[1]!, count }))
    .sort((a, b) => b.count - a.count || (a.from + a.to < b.from + b.to ? -1 : 1))
}

function box({ room, x, y, color }: Placed, files: number): string {
  const middle = x + BOX.width / 2
  // What everything stands on is wide.
  const width = FOUNDATION.has(room.name) ? PAGE.width - 4 * PAGE.margin : BOX.width
  const left = middle - width / 2
  return (
    `<rect x="${left}" y="${y}" width="${width}" height="${BOX.height}" rx="8" fill="#fff" stroke="${color}" stroke-width="2"/>` +
    `<text x="${middle}" y="${y + 22}" font-size="15" font-weight="600">${escaped(room.name)} · ${files}</text>` +
    `<text x="${middle}" y="${y + 40}" font-size="12" fill="#475569">${escaped(room.does)}</text>`
  )
}

/** A curve from the lower edge of one room to the upper edge of another. */
function line(a: Placed, b: Placed, count: number): string {
  const [x0, y0, x1, y1] = [a.x + BOX.width / 2, a.y + BOX.height, b.x + BOX.width / 2, b.y]
  const bend = Math.min(80, (y1 - y0) / 2)
  const width = (1 + Math.log2(count) / 2).toFixed(1)
  return (
    `<path d="M${x0} ${y0}C${x0} ${y0 + bend} ${x1} ${y1 - bend} ${x1} ${y1}" fill="none" stroke="${a.color}" ` +
    `stroke-width="${width}" opacity="0.5"><title>${a.room.name} imports ${b.room.name}: ${count}</title></path>`
  )
}

/** The picture of the sources below `src`. */
export function architecture(src: string): string {
  const rooms = placed()
  const files = sources(src).map((file) => placeOf(file)?.room.name)
  const shown = roads(importsOf(src)).filter(({ to }) => !FOUNDATION.has(to))
  const lines = shown.map(({ from, to, count }) => line(rooms.get(from)!, rooms.get(to)!, count))
  const boxes = [...rooms.values()].map((p) => box(p, files.filter((name) => name === p.room.name).length))
  const height = FLOORS.length * PAGE.floor + PAGE.margin
  const note =
    'Lines: imports, downwards only; those of base and graph, which all rooms know, are left out. Numbers: files.'
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${PAGE.width} ${height}" font-family="system-ui, sans-serif" text-anchor="middle">\n` +
    `<rect width="${PAGE.width}" height="${height}" fill="#f8fafc"/>\n` +
    `${lines.join('\n')}\n${boxes.join('\n')}\n` +
    `<text x="${PAGE.width / 2}" y="${height - 12}" font-size="12" fill="#475569">${note}</text>\n</svg>\n`
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))
  writeFileSync(path('docs/architecture.svg'), architecture(path('src')))
}
