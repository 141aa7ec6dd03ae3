/**
 * The page of examples/web as files: for `thimble serve`, and to be laid out for a static host. Files are read when
 * asked for.
 */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, posix } from 'node:path'
import type { PageFile } from './app.ts'

/** Media types of the page's files. */
export const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.jpg': 'image/jpeg',
  '.thimble': 'application/octet-stream',
  '.wasm': 'application/wasm',
}

/** A model that the page offers: its entry of the manifest, and where its file is. */
export interface SiteModel {
  entry: { file: string; sha256?: string; packaged?: boolean }
  path: string
}

/** The page's files by their path. */
export interface Site {
  readonly paths: readonly string[]
  get(path: string): Uint8Array | undefined
}

const PHOTOS = ['astronaut.jpg', 'cat.jpg', 'coffee.jpg']

/** The modules that entry points of dist/ import, themselves included, as paths in dist/. */
export function moduleGraph(dist: string, ...entries: string[]): string[] {
  const found = new Set<string>()
  const queue = [...entries]
  for (let file = queue.pop(); file; file = queue.pop()) {
    if (found.has(file)) continue
    found.add(file)
    const text = readFileSync(join(dist, file), 'utf8')
    for (const [, fixed, dynamic] of text.matchAll(
      /^(?:import|export)\b(?:[^;'"]*\bfrom)?\s*["']([^"']+)["']|\bimport\(["']([^"']+)["']\)/gm,
    )) {
      const target = (fixed ?? dynamic)!
      // What a function asks for only in Node is no part of the page.
      if (dynamic?.startsWith('node:')) continue
      if (!target.startsWith('.')) throw new Error(`dist/${file} imports ${target}, which no browser can`)
      queue.push(posix.join(posix.dirname(file), target))
    }
  }
  return [...found].sort()
}

/** What the worker of the page asks of a model's file: a name of its own for each version. */
const versioned = ({ file, sha256 }: SiteModel['entry']): string =>
  `models/${file}${sha256 ? `?${sha256.slice(0, 12)}` : ''}`

/** The service worker with its version and the list of what it keeps from the start. */
function serviceWorker(text: string, version: string, files: readonly string[]): string {
  return text
    .replace(/^const VERSION = .*$/m, `const VERSION = '${version}'`)
    .replace(/^const FILES = .*$/m, `const FILES = ${JSON.stringify(files)}`)
}

/** The page of a package's folder; undefined where it is not part of it. */
export function openSite(root: string, models: readonly SiteModel[]): Site | undefined {
  const [page, dist] = [join(root, 'examples/web'), join(root, 'dist')]
  if (!existsSync(join(page, 'index.html')) || !existsSync(join(dist, 'browser.js'))) return undefined
  const files = new Map<string, string>()
  for (const name of readdirSync(page).sort()) if (TYPES[extname(name)]) files.set(name, join(page, name))
  for (const name of moduleGraph(dist, 'browser.js', 'vision.js')) files.set(`thimble/${name}`, join(dist, name))
  for (const name of PHOTOS) files.set(`samples/${name}`, join(root, 'weights/samples', name))
  const own = [...files.keys()].filter((path) => path !== 'index.html' && path !== 'sw.js')
  for (const { entry, path } of models) files.set(`models/${entry.file}`, path)
  const manifest = Buffer.from(
    `${JSON.stringify(
      models.map(({ entry }) => entry),
      null,
      2,
    )}\n`,
  )
  /** Hashes all but the models, which their entries tell apart. */
  const version = (): string => {
    const hash = createHash('sha256').update(manifest)
    for (const path of ['index.html', 'sw.js', ...own]) hash.update(path).update(readFileSync(files.get(path)!))
    return hash.digest('hex').slice(0, 12)
  }
  // Models of the package are there offline from the start, others once they were used.
  const first = models.filter(({ entry }) => entry.packaged).map(({ entry }) => versioned(entry))
  return {
    paths: [...files.keys(), 'models/manifest.json'],
    get(path) {
      if (path === 'models/manifest.json') return manifest
      const file = files.get(path)
      if (file === undefined) return undefined
      if (path !== 'sw.js') return readFileSync(file)
      const kept = ['./', ...own, 'models/manifest.json', ...first]
      return Buffer.from(serviceWorker(readFileSync(file, 'utf8'), version(), kept))
    },
  }
}

/** A file of the page with its headers. */
export function sitePage(site: Pick<Site, 'get'>): (path: string) => PageFile | undefined {
  return (path) => {
    const body = site.get(path)
    return body && { body, headers: { 'content-type': TYPES[extname(path)]!, 'cache-control': 'no-cache' } }
  }
}
