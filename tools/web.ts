/**
 * The browser example as a static site: serves its files, or writes them to a folder for any static host.
 *
 * Usage: tsx tools/web.ts [--port 8080] [--out FOLDER]
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { openSite, type Site, sitePage, type SiteModel } from '../src/serve/site.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The site, with every model of weights/ that is there. */
export function webSite(): Site {
  const entries = JSON.parse(readFileSync(join(root, 'weights/manifest.json'), 'utf8')) as SiteModel['entry'][]
  const models = entries.map((entry) => ({ entry, path: join(root, 'weights', entry.file) }))
  const site = openSite(
    root,
    models.filter(({ path }) => existsSync(path)),
  )
  if (!site) throw new Error('dist/ is missing: npm run build')
  return site
}

/** Serves files by their paths. */
export function serve(site: Pick<Site, 'get'>, port: number): Promise<Server> {
  const page = sitePage(site)
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(1) || 'index.html'
    const file = page(path)
    if (!file || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response.writeHead(file ? 405 : 404, { 'content-type': 'text/plain' }).end(file ? 'GET only\n' : 'not found\n')
      return
    }
    response.writeHead(200, {
      ...file.headers,
      'content-length': file.body.length,
      'x-content-type-options': 'nosniff',
    })
    response.end(request.method === 'HEAD' ? undefined : file.body)
  })
  return new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', () => resolve(server)))
}

async function main(args: string[]): Promise<void> {
  const option = (name: string): string | undefined => (args.includes(name) ? args[args.indexOf(name) + 1] : undefined)
  const site = webSite()
  const out = option('--out')
  if (out) {
    for (const path of site.paths) {
      mkdirSync(dirname(join(out, path)), { recursive: true })
      writeFileSync(join(out, path), site.get(path)!)
    }
    console.log(`${site.paths.length} files in ${out}`)
    return
  }
  const port = Number(option('--port') ?? 8080)
  await serve(site, port)
  console.log(`http://localhost:${port}`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) await main(process.argv.slice(2))
