/** Which networks are measured, and their forms on disk. */
import { existsSync, statSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Graph } from '../src/graph/graph.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { inspectModel } from '../src/engine/inspect.ts'
import { isDtype, type Port } from './drive.ts'
import { here, stream, type Tool } from './install.ts'
import type { Form } from './peers.ts'
import { tfjsTwin } from './tfjs-twin.ts'

export interface NetworkFiles {
  name: string
  input: Port
  output: Port
  bytes: number
  /** Names of the operators in it that Thimble does not have. */
  missing: string[]
  /** Absolute paths, or the reason why there is no such form. */
  forms: Record<Form, { path: string; reason?: undefined } | { path?: undefined; reason: string }>
}

/** Measured when no network is named on the command line, as far as they are there. */
const DEFAULT = [
  'tf2_mobilenet_v2_1.0_224_ptq',
  'mobilenet_v2_1.0_224_quant',
  'mobilenet_v1_0.75_192_quant',
  'mobilenet_v1_0.25_128_quant',
  'vww_96_int8',
]
const project = fileURLToPath(new URL('..', import.meta.url))
const twins = `${here}build/twins/`

/** Paths of the networks: those named (a path, or a name in the model folders), or the default ones. */
export async function find(named: string[]): Promise<string[]> {
  const folders = [
    `${project}weights`,
    ...(process.env.THIMBLE_MODELS ? [process.env.THIMBLE_MODELS] : []),
    `${project}../shared/models`,
  ].filter(existsSync)
  const known = (name: string): string | undefined =>
    [name, ...folders.map((f) => `${f}/${name}.tflite`)].find((p) => p.endsWith('.tflite') && existsSync(p))
  if (named.length) {
    return named.map((name) => {
      const path = known(name)
      if (!path) throw new Error(`no network ${name}: neither a .tflite file nor a name in ${folders.join(', ')}`)
      return resolve(path)
    })
  }
  const shipped = existsSync(`${project}weights`)
    ? (await readdir(`${project}weights`)).filter((f) => f.endsWith('.tflite')).map((f) => f.slice(0, -7))
    : []
  const paths = [...DEFAULT, ...shipped].map(known).filter((p): p is string => p !== undefined)
  if (paths.length === 0) {
    throw new Error('no networks found: name .tflite files, or set THIMBLE_MODELS to a folder that holds some')
  }
  return paths.map((p) => resolve(p))
}

function port(graph: Graph, index: number): Port {
  const { dtype, shape, quantization: q } = graph.tensors[index]!
  if (!isDtype(dtype)) throw new Error(`input or output of type ${dtype}`)
  return { dtype, shape: shape.map((d) => Math.max(1, d)), scale: q?.scales[0] ?? 1, zeroPoint: q?.zeroPoints[0] ?? 0 }
}

const newer = (made: string, source: string): boolean =>
  existsSync(made) && statSync(made).mtimeMs >= statSync(source).mtimeMs

/** Makes the twins that are missing and says where every form is. */
export async function prepare(paths: string[], converter: Tool, log: (line: string) => void): Promise<NetworkFiles[]> {
  await mkdir(twins, { recursive: true })
  const stem = (path: string): string => basename(path, '.tflite')
  const stale = paths.filter(
    (p) => !newer(`${twins}${stem(p)}.float.onnx`, p) || !newer(`${twins}${stem(p)}.qdq.onnx`, p),
  )
  const failures = new Map<string, string>()
  if (stale.length && converter.path) {
    log(`ONNX twins of ${stale.map(stem).join(', ')}`)
    await stream(converter.path, ['twins.py', twins, ...stale], (line) => {
      const failed = /^(\S+) failed: (.*)$/.exec(line)
      if (failed) failures.set(failed[1]!, `tf2onnx: ${failed[2]}`)
    })
  }
  return Promise.all(
    paths.map(async (path) => {
      const name = stem(path)
      const bytes = new Uint8Array(await readFile(path))
      const graph = readTflite(bytes)
      const onnx = (form: 'qdq' | 'float'): NetworkFiles['forms'][Form] => {
        const file = `${name}.${form}.onnx`
        return existsSync(twins + file)
          ? { path: twins + file }
          : { reason: failures.get(file) ?? converter.reason ?? 'tf2onnx wrote no twin' }
      }
      return {
        name,
        bytes: bytes.length,
        missing: [...new Set(inspectModel(bytes, {}, name).unsupported.map(({ op }) => op))],
        input: port(graph, graph.inputs[0]!),
        output: port(graph, graph.outputs[0]!),
        forms: {
          tflite: { path },
          qdq: onnx('qdq'),
          float: onnx('float'),
          tfjs: await tfjs(name, graph),
          packed: await packed(name, path),
        },
      }
    }),
  )
}

async function tfjs(name: string, graph: Graph): Promise<NetworkFiles['forms'][Form]> {
  try {
    await writeFile(`${twins}${name}.tfjs`, tfjsTwin(graph))
    return { path: `${twins}${name}.tfjs` }
  } catch (error) {
    return { reason: `no TensorFlow.js twin: ${(error as Error).message}` }
  }
}

/** The self-contained module that `thimble pack` makes. */
async function packed(name: string, path: string): Promise<NetworkFiles['forms'][Form]> {
  const cli = `${project}dist/cli.js`
  if (!existsSync(cli)) return { reason: 'dist/cli.js is not built: npm run build' }
  const out = `${twins}${name}.wasm`
  const lines: string[] = []
  const code = await stream(process.execPath, [cli, 'pack', path, '-o', out], (line) => lines.push(line))
  return code === 0
    ? { path: out }
    : { reason: `thimble pack exited with ${code}${lines.length ? `: ${lines.at(-1)}` : ''}` }
}
