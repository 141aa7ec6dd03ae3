/** Features of folders of photos, taken once: what the seeds and methods have in common. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { imagesIn } from '../../src/cli/files.ts'
import { settle } from '../../src/fold/index.ts'
import { readModel } from '../../src/formats/index.ts'
import { crc32 } from '../../src/base/scan.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { defaultPreprocess } from '../../src/image/defaults.ts'
import { cutHead } from '../../src/learn/cut.ts'
import { int8Features } from '../../src/learn/join.ts'
import { Viewer, VIEWS } from '../../src/learn/views.ts'
import { loadGraph } from '../../src/engine/load-graph.ts'

export interface Embedded {
  name: string
  /** The base cut before its head. */
  base: Graph
  classes: string[]
  /** Class of each photo. */
  labels: number[]
  /** Int8 features of a photo's views. */
  photos: Int8Array[]
  features: number
}

/** Most photos of a class that are looked at, spread evenly over the names in order. */
const MOST = 60

function photosOf(folder: string, most: number): { label: string; paths: string[] }[] {
  return readdirSync(folder)
    .filter((name) => !name.startsWith('.') && statSync(join(folder, name)).isDirectory())
    .sort()
    .map((label) => {
      const all = imagesIn(join(folder, label))
      const step = Math.max(1, all.length / most)
      return { label, paths: Array.from({ length: Math.min(most, all.length) }, (_, i) => all[Math.floor(i * step)]!) }
    })
    .filter(({ paths }) => paths.length > 1)
}

/**
 * `classes`: first and last, counted from 1 in the order of their names. `cache`: a folder where features are kept by
 * base, photos and sizes.
 */
export async function embed(
  baseFile: string,
  folder: string,
  {
    most = MOST,
    classes: [from, to] = [1, Infinity],
    cache,
  }: { most?: number; classes?: [number, number]; cache: string },
): Promise<Embedded> {
  const bytes = readFileSync(baseFile)
  const source = settle(readModel(bytes, baseFile))
  const base = cutHead(source)
  const found = photosOf(folder, most).slice(from - 1, to)
  const list = found.flatMap(({ paths }) => paths.map((path) => [path, statSync(path).size]))
  const key = crc32(new TextEncoder().encode(`${crc32(bytes)} ${VIEWS} ${JSON.stringify(list)}`)).toString(16)
  const kept = join(cache, `${basename(resolve(folder))}-${key}.bin`)
  const labels = found.flatMap(({ paths }, c) => paths.map(() => c))
  const name = basename(resolve(folder))
  const split = (all: Int8Array): Int8Array[] => {
    const each = all.length / labels.length
    return labels.map((_, i) => all.subarray(i * each, (i + 1) * each))
  }
  const shape = { name, base, classes: found.map((f) => f.label), labels }
  if (existsSync(kept)) {
    const file = readFileSync(kept)
    const photos = split(new Int8Array(file.buffer, file.byteOffset, file.length))
    return { ...shape, photos, features: photos[0]!.length / VIEWS }
  }
  const engine = await loadGraph(base)
  const { preprocess } = defaultPreprocess(engine.inputs[0]!, source.metadata)
  const viewer = new Viewer(engine.inputs[0]!, preprocess)
  const { offset } = int8Features(base)
  const rows: Int8Array[] = []
  const start = performance.now()
  for (const { paths } of found) {
    for (const path of paths) {
      for (const tensor of viewer.views(decodeImage(readFileSync(path)))) {
        rows.push(Int8Array.from(engine.run(tensor)[0] as Int8Array, (v) => v - offset))
      }
    }
  }
  engine.dispose()
  const all = new Int8Array(rows.length * rows[0]!.length)
  rows.forEach((row, i) => all.set(row, i * row.length))
  mkdirSync(cache, { recursive: true })
  writeFileSync(kept, all)
  process.stderr.write(
    `${name} on ${basename(baseFile)}: ${labels.length} photos, ${((performance.now() - start) / 1000).toFixed(0)} s\n`,
  )
  return { ...shape, photos: split(all), features: rows[0]!.length }
}
