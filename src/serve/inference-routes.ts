/** The routes of the Open Inference Protocol, version 2. */
import type { TypedArray } from '../graph/types.ts'
import type { Incoming } from './exchange.ts'
import { readInfer, tensorOf, writeInfer } from './inference.ts'
import { namedModel, type NamedModel, type TensorAnswer } from './questions.ts'
import { allow, Refusal } from './refusal.ts'

/** What the routes need of the application. */
export interface InferenceHost {
  version: string
  models: ReadonlyMap<string, NamedModel>
  ready: boolean
  /** Errors: 401. */
  checkKey(): void
  /** Reads the body. */
  body(): Promise<Uint8Array>
  /** One request with a body, within the limits. */
  admitted(work: () => Promise<ProtocolAnswer>): Promise<ProtocolAnswer>
  infer(model: string, inputs: TypedArray[]): Promise<TensorAnswer>
}

/** A body that is ready where it has headers, else what JSON is made of. */
export interface ProtocolAnswer {
  body: unknown
  status?: number
  headers?: Record<string, string>
}

const MODEL_ROUTE = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer))?$/

/** Errors: 401, 404 for routes, models and versions that are none, 405, and those of the question. */
export async function openInference(request: Incoming, path: string, host: InferenceHost): Promise<ProtocolAnswer> {
  const { models, ready, version } = host
  if (path === '/v2') return { body: { name: 'thimble', version, extensions: ['binary_tensor_data'] } }
  if (path === '/v2/health/live') return { body: { live: true } }
  if (path === '/v2/health/ready') return { body: { ready }, status: ready ? 200 : 503 }
  host.checkKey()
  if (path === '/v2/repository/index') {
    return { body: [...models.keys()].map((name) => ({ name, version: '1', state: 'READY' })) }
  }
  const [, encoded, asked, what] = MODEL_ROUTE.exec(path) ?? []
  if (encoded === undefined) throw new Refusal(404, 'not-found', 'no such route')
  const name = decodeURIComponent(encoded)
  const model = namedModel(models, name, asked)
  if (what === 'ready') return { body: { name, ready: true } }
  if (what === 'infer') {
    allow(request, 'POST')
    return host.admitted(() => infer(request, host, { name, ...model }))
  }
  const { inputs, outputs } = model.about
  const tensors = { inputs: inputs.map(tensorOf), outputs: outputs.map(tensorOf) }
  return { body: { name, versions: ['1'], platform: 'thimble', ...tensors } }
}

/** Tensors in, tensors out, as JSON or behind it. */
async function infer(
  request: Incoming,
  host: InferenceHost,
  { name, model, about }: { name: string } & NamedModel,
): Promise<ProtocolAnswer> {
  const header = request.headers.get('inference-header-content-length')
  const length = header === null ? undefined : /^\d{1,12}$/.test(header) ? Number(header) : NaN
  const asked = readInfer(await host.body(), length, about)
  const { outputs } = await host.infer(model, asked.inputs)
  const { body, headerLength } = writeInfer(name, asked, outputs, about.outputs)
  if (headerLength === undefined) return { body, headers: { 'content-type': 'application/json' } }
  return {
    body,
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(headerLength),
    },
  }
}
