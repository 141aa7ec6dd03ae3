/** `thimble serve`: answers over HTTP. */
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { ThimbleError } from '../base/errors.ts'
import { type AppOptions, createApp, type PageFile } from '../serve/app.ts'
import { listening, serverOf } from '../serve/node.ts'
import { describeAll } from '../serve/questions.ts'
import { openSite, sitePage } from '../serve/site.ts'
import { answersOf } from './answer-pool.ts'
import { MEGAPIXELS_OPTION } from './preprocessing.ts'
import { badCall, choice, number, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { RUN_OPTIONS } from './models.ts'
import { defaultEntry, openModel, shippedModels, shippedPath } from './shipped.ts'
import { packageFile, packageVersion } from './package.ts'
import { printable } from '../base/markup.ts'

/** Bytes of bodies that may arrive at the same time. */
const MOST_HELD = 256e6
/** How long requests that are under way may take to end. */
const GRACE_MS = 10_000

/**
 * --model NAME=PATH, a path alone being its own name; the default ones by theirs. Errors: `usage/option`,
 * `usage/model`.
 */
function namesOf(args: Args): Map<string, string> {
  const names = new Map<string, string>()
  for (const given of (args.options.model ?? []) as string[]) {
    const at = given.indexOf('=')
    const [name, path] = at < 0 ? [given, given] : [given.slice(0, at), given.slice(at + 1)]
    if (!name || !path) {
      throw new ThimbleError('usage/option', '--model is not usable', {
        expected: 'NAME=PATH',
        got: JSON.stringify(given),
      })
    }
    if (names.has(name)) throw new ThimbleError('usage/option', `two models are called ${name}`)
    openModel(path)
    names.set(name, path)
  }
  if (names.size) return names
  for (const task of ['classification', 'detection', 'faces']) {
    const entry = defaultEntry(task)
    if (entry && shippedPath(entry) !== undefined) names.set(entry.name, entry.name)
  }
  return names
}

/** The page of examples/web, with the models that are here. */
function page(): (path: string) => PageFile | undefined {
  const models = shippedModels().flatMap((entry) => {
    const path = shippedPath(entry)
    return path === undefined ? [] : [{ entry, path }]
  })
  const site = openSite(fileURLToPath(packageFile('.')), models)
  return site ? sitePage(site) : () => undefined
}

type Log = NonNullable<AppOptions['log']>

function logger(how: 'text' | 'json' | 'none'): Log | undefined {
  if (how === 'none') return undefined
  return (entry) => {
    const time = new Date().toISOString()
    const { method, path, status, ms, error } = entry
    const line =
      how === 'json'
        ? JSON.stringify({ time, ...entry })
        : `${time} ${method} ${printable(path)} ${status} ${ms} ms${error ? ` ${printable(error)}` : ''}`
    process.stderr.write(`${line}\n`)
  }
}

async function run(args: Args): Promise<number> {
  if (args.positionals.length) throw badCall(command, 'serve takes no arguments')
  const host = text(args, 'host') ?? '127.0.0.1'
  const port = whole(args, 'port', 32168, { min: 0, max: 65_535 })
  const threads = whole(args, 'jobs', Math.min(64, availableParallelism()), { min: 1, max: 64 })
  const queue = whole(args, 'queue', 8 * threads, { min: 0, max: 10_000 })
  const timeoutMs = number(args, 'timeout', 30, { min: 0.1, max: 3600 }) * 1000
  const maxBytes = number(args, 'max-megabytes', 20, { min: 0.001, max: 256 }) * 1e6
  const limits = {
    maxBytes,
    maxRequests: threads + queue,
    maxHeldBytes: Math.max(4 * maxBytes, MOST_HELD),
    arriveMs: timeoutMs,
  }
  const log = logger(choice(args, 'log', ['text', 'json', 'none'] as const) ?? 'text')
  const apiKey = text(args, 'api-key') ?? process.env.THIMBLE_API_KEY
  const names = namesOf(args)
  const { model: _, ...others } = args.options
  const answers = answersOf({ positionals: [], options: others }, { threads, queue, timeoutMs })
  try {
    const app = createApp({
      answers,
      models: await describeAll(answers, names),
      version: packageVersion(),
      limits,
      page: page(),
      gauges: () => ({ process_resident_memory_bytes: ['Resident memory.', process.memoryUsage.rss()] }),
      ...(apiKey ? { apiKey } : {}),
      ...(log ? { log } : {}),
    })
    const server = serverOf(app, timeoutMs)
    const got = await listening(server, port, host).catch((error: Error) => {
      throw new ThimbleError('usage/option', `${host}:${port} can't be listened on: ${error.message}`)
    })
    process.stdout.write(`thimble serves on http://${host.includes(':') ? `[${host}]` : host}:${got}\n`)
    await new Promise<void>((resolve) => process.once('SIGINT', resolve).once('SIGTERM', resolve))
    // Who asks for readiness hears no; who is being answered is answered.
    app.stop()
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    const late = setTimeout(() => server.closeAllConnections(), GRACE_MS)
    await closed
    clearTimeout(late)
  } finally {
    await answers.end()
  }
  return 0
}

export const command: Command = {
  name: 'serve',
  summary: 'Answers over HTTP: its own routes, those of DeepStack and CodeProject.AI, and Open Inference Protocol v2.',
  usage: 'serve [--host 127.0.0.1] [--port 32168] [--model NAME=PATH...] [--api-key KEY]',
  options: {
    host: { type: 'string', value: 'HOST', help: 'address to listen on (default: 127.0.0.1, this machine alone)' },
    port: { type: 'string', short: 'p', value: 'PORT', help: 'default: 32168; 0: any free one, which is printed' },
    model: {
      type: 'string',
      short: 'm',
      multiple: true,
      value: 'NAME=PATH',
      help: 'a model; may be given more than once',
    },
    'api-key': { type: 'string', value: 'KEY', help: 'ask for this key (or THIMBLE_API_KEY from the environment)' },
    jobs: { type: 'string', short: 'j', value: 'N', help: 'threads, each with its own models (default: the cores)' },
    queue: { type: 'string', value: 'N', help: 'requests that may wait; more get a 503 (default: 8 a thread)' },
    timeout: { type: 'string', value: 'S', help: 'seconds for a request to arrive and to be answered (default: 30)' },
    'max-megabytes': { type: 'string', value: 'N', help: 'largest body (default: 20)' },
    ...MEGAPIXELS_OPTION,
    log: { type: 'string', value: 'HOW', help: 'text, json or none: a line a request on stderr (default: text)' },
    ...RUN_OPTIONS,
  },
  notes:
    'POST /classify, /detect, /faces, /pose, /segment: an image as the body, or as the field image of a form.\n' +
    'The first model for a task is the one it uses; ?model=NAME names another. GET /healthz, /metrics.',
  run,
}
