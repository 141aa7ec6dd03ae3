/**
 * A static file server on loopback for the pages: cross-origin isolated (a fine clock), and it counts what a page
 * downloads.
 */
import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { gzipSync } from 'node:zlib'

const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
}

export interface Download {
  wasmBytes: number
  wasmGzipBytes: number
  jsBytes: number
  jsGzipBytes: number
  files: string[]
}

export class FileServer {
  readonly url: string
  private readonly server: Server
  private readonly requested = new Map<string, string>()

  private constructor(server: Server, url: string, requested: Map<string, string>) {
    this.server = server
    this.url = url
    this.requested = requested
  }

  /** Serves each `roots` entry, URL prefix to folder (or to one file). */
  static async start(roots: Record<string, string>): Promise<FileServer> {
    const requested = new Map<string, string>()
    const resolve = (path: string): string | undefined => {
      if (roots[path]) return roots[path]
      const prefix = Object.keys(roots).find((p) => p.endsWith('/') && path.startsWith(p))
      return prefix && normalize(join(roots[prefix]!, path.slice(prefix.length)))
    }
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<unknown> => {
      const path = decodeURIComponent(new URL(request.url!, 'http://localhost').pathname)
      response.setHeader('Cross-Origin-Opener-Policy', 'same-origin')
      response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp')
      response.setHeader('Cache-Control', 'no-store')
      if (path === '/page.html') {
        return response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>bench</title>')
      }
      const file = resolve(path)
      const known = file ? await stat(file).catch(() => undefined) : undefined
      if (!known?.isFile()) return response.writeHead(404).end()
      requested.set(path, file!)
      response.setHeader('Content-Type', TYPES[extname(file!)] ?? 'application/octet-stream')
      response.setHeader('Content-Length', known.size)
      return createReadStream(file!).pipe(response)
    }
    const server = createServer((request, response) => void answer(request, response))
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return new FileServer(server, `http://127.0.0.1:${(server.address() as { port: number }).port}`, requested)
  }

  /** Bytes of code fetched since the last call, without the harness's own driver and the networks. */
  async download(): Promise<Download> {
    const total: Download = { wasmBytes: 0, wasmGzipBytes: 0, jsBytes: 0, jsGzipBytes: 0, files: [] }
    for (const [path, file] of this.requested) {
      if (path === '/build/drive.js' || path.startsWith('/network/')) continue
      const bytes = await readFile(file)
      const kind = extname(file) === '.wasm' ? 'wasm' : 'js'
      total[`${kind}Bytes`] += bytes.length
      total[`${kind}GzipBytes`] += gzipSync(bytes, { level: 9 }).length
      total.files.push(path)
    }
    this.requested.clear()
    return total
  }

  close(): void {
    this.server.close()
  }
}
