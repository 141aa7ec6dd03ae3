/** The application on node:http. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { HttpApp } from './app.ts'

const WITHOUT_BODY = ['GET', 'HEAD']

/** A request as fetch knows it; undefined where it can't be one. */
function requestOf(message: IncomingMessage): Request | undefined {
  const { method = 'GET', url = '/' } = message
  try {
    const headers = new Headers()
    for (const [name, value] of Object.entries(message.headers)) headers.set(name, String(value))
    const body = WITHOUT_BODY.includes(method) ? null : (Readable.toWeb(message) as unknown as BodyInit)
    // The host is the client's word: no route needs it.
    return new Request(new URL(`http://localhost${url.startsWith('/') ? url : `/${url}`}`), {
      method,
      headers,
      body,
      duplex: 'half',
    } as RequestInit)
  } catch {
    return undefined
  }
}

async function reply(app: HttpApp, message: IncomingMessage, out: ServerResponse): Promise<void> {
  message.on('error', () => {})
  out.on('error', () => {})
  const request = requestOf(message)
  if (!request) {
    out.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"the request is damaged"}')
    return
  }
  const response = await app.fetch(request)
  const body = Buffer.from(await response.arrayBuffer())
  if (out.destroyed) return
  out.writeHead(response.status, { ...Object.fromEntries(response.headers), 'content-length': body.length })
  out.end(message.method === 'HEAD' ? undefined : body)
}

/** A server that is not listening yet. `timeoutMs`: for a whole request to arrive. */
export function serverOf(app: HttpApp, timeoutMs: number): Server {
  const server = createServer(
    { requestTimeout: timeoutMs, headersTimeout: Math.min(timeoutMs, 10_000), connectionsCheckingInterval: 1000 },
    (message, out) => {
      reply(app, message, out).catch(() => out.destroy())
    },
  )
  server.maxConnections = 1024
  return server
}

/** Listens; the port that it has got. */
export function listening(server: Server, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address ? address.port : port)
    })
  })
}
