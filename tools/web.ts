/**
 * The browser example as a static site: collects its files, fills in the service worker's list, serves them or writes
 * them to a folder for any static host.
 *
 * Usage: tsx tools/web.ts [--port 8080] [--out FOLDER]
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { dirname, extname, join, posix } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json; charset=utf-8',
  '.jpg': 'image/jpeg',
  '.png': 'image/png',
  '.thimble': 'application/octet-stream',
  '.wasm': 'application/wasm',
}

/** The modules that `entry` of dist/ imports, itself included. */
export function moduleGraph(entry: string): string[] {
  const found = new Set<string>()
  const queue = [entry]
  for (let file = queue.pop(); file; file = queue.pop()) {
    if (found.has(file)) continue
    found.add(file)
    const text = readFileSync(join(root, 'dist', file), 'utf8')
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

/** Every file of the site by its path. */
export function webFiles(): Map<string, Buffer> {
  if (!existsSync(join(root, 'dist/browser.js'))) throw new Error('dist/ is missing: npm run build')
  const files = new Map<string, Buffer>()
  const add = (path: string, file: string): void => {
    files.set(path, readFileSync(join(root, file)))
  }
  for (const name of readdirSync(join(root, 'examples/web')).sort()) {
    if (TYPES[extname(name)]) add(name, `examples/web/${name}`)
  }
  const modules = new Set(['browser.js', 'vision.js'].flatMap(moduleGraph))
  for (const name of [...modules].sort()) add(`thimble/${name}`, `dist/${name}`)
  const manifest = (
    JSON.parse(readFileSync(join(root, 'weights/manifest.json'), 'utf8')) as {
      file: string
      sha256: string
      packaged?: boolean
    }[]
  ).filter(({ file }) => existsSync(join(root, 'weights', file)))
  files.set('models/manifest.json', Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`))
  for (const { file } of manifest) add(`models/${file}`, `weights/${file}`)
  for (const name of ['astronaut.jpg', 'cat.jpg', 'coffee.jpg']) add(`samples/${name}`, `weights/samples/${name}`)
  const hash = createHash('sha256')
  for (const [path, bytes] of files) hash.update(path).update(bytes)
  // The page's first models are there offline from the start, others once they were used; by the addresses it asks for.
  const later = new Set(manifest.filter((m) => !m.packaged).map(({ file }) => `models/${file}`))
  const asked = new Map(manifest.map(({ file, sha256 }) => [`models/${file}`, `?${sha256.slice(0, 12)}`]))
  const kept = [...files.keys()].filter((path) => path !== 'index.html' && path !== 'sw.js' && !later.has(path))
  const list = ['./', ...kept.map((path) => path + (asked.get(path) ?? ''))]
  const worker = files
    .get('sw.js')!
    .toString()
    .replace(/^const VERSION = .*$/m, `const VERSION = '${hash.digest('hex').slice(0, 12)}'`)
    .replace(/^const FILES = .*$/m, `const FILES = ${JSON.stringify(list)}`)
  files.set('sw.js', Buffer.from(worker))
  return files
}

export function serve(files: Map<string, Buffer>, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1) || 'index.html'
    const bytes = files.get(path)
    if (!bytes || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(bytes ? 405 : 404, { 'content-type': 'text/plain' }).end(bytes ? 'GET only\n' : 'not found\n')
      return
    }
    response.writeHead(200, {
      'content-type': TYPES[extname(path)]!,
      'content-length': bytes.length,
      'cache-control': 'no-cache',
      'x-content-type-options': 'nosniff',
    })
    response.end(request.method === 'HEAD' ? undefined : bytes)
  })
  return new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server)))
}

async function main(args: string[]): Promise<void> {
  const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined)
  const files = webFiles()
  const out = option('--out')
  if (out) {
    for (const [path, bytes] of files) {
      mkdirSync(dirname(join(out, path)), { recursive: true })
      writeFileSync(join(out, path), bytes)
    }
    console.log(`${files.size} files in ${out}`)
    return
  }
  const port = Number(option('--port') ?? 8080)
  await serve(files, port)
  console.log(`http://localhost:${port}`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2))
