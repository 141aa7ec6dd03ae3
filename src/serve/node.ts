/** The application on node:http. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { HttpApp } from './app.ts'
import type { BodyReader, Incoming } from './exchange.ts'

const WITHOUT_BODY = ['GET', 'HEAD']

/** The body of a message, as much at a time as is there. */
class MessageReader implements BodyReader {
  private readonly message: IncomingMessage
  private cancelled = false
  private wake = (): void => {}

  constructor(message: IncomingMessage) {
    this.message = message
    const wake = (): void => this.wake()
    for (const event of ['readable', 'end', 'close', 'error']) message.on(event, wake)
  }

  async read(): Promise<{ done: boolean; value?: Uint8Array }> {
    const { message } = this
    for (;;) {
      if (this.cancelled) return { done: true }
      const value = message.read() as Uint8Array | null
      if (value) return { done: false, value }
      if (message.complete) return { done: true }
      if (message.destroyed) throw new Error('the connection ended')
      await new Promise<void>((resolve) => (this.wake = resolve))
    }
  }

  cancel(): Promise<void> {
    this.cancelled = true
    this.wake()
    // Read by nobody: what still arrives is thrown away, until the server's own time for a request is over.
    this.message.removeAllListeners('readable').resume()
    return Promise.resolve()
  }
}

/** A message as the application reads it. The host is the client's word: no route needs it. */
function incoming(message: IncomingMessage): Incoming {
  const { method = 'GET', url = '/' } = message
  return {
    method,
    url: `http://localhost${url.startsWith('/') ? url : `/${url}`}`,
    headers: {
      get: (name) => {
        const value = message.headers[name]
        return value === undefined ? null : String(value)
      },
    },
    body: WITHOUT_BODY.includes(method) ? null : { getReader: () => new MessageReader(message) },
  }
}

async function reply(app: HttpApp, message: IncomingMessage, out: ServerResponse): Promise<void> {
  message.on('error', () => {})
  out.on('error', () => {})
  const { status, headers, body } = await app.answer(incoming(message))
  if (out.destroyed) return
  const length = body === null ? 0 : typeof body === 'string' ? Buffer.byteLength(body) : body.length
  out.writeHead(status, { ...headers, 'content-length': length })
  // A text goes out with the headers, in one piece.
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
