/** Who runs: each peer's library, where it runs, which form of a network it takes. */
import { here, versionOf, type Setup, type Tool } from './install.ts'

/** Forms of one network: the `.tflite` file itself, its ONNX twins, its TensorFlow.js twin, Thimble's packed module. */
export type Form = 'tflite' | 'qdq' | 'float' | 'tfjs' | 'packed'

export interface Peer {
  id: string
  name: string
  where: string
  form: Form
  arithmetic: 'int8' | 'float32'
  host: { kind: 'process'; command: string; args: string[] } | { kind: 'page'; runner: string }
  options?: Record<string, unknown>
  /** Why it can't run at all on this machine. */
  skip?: string | undefined
}

/** What the bundler makes of each runner in runners/. */
export const NODE_RUNNERS = ['process', 'thimble-node', 'onnxruntime-node']
export const PAGE_RUNNERS = ['thimble-browser', 'litert-js', 'tfjs-tflite', 'onnxruntime-web', 'tfjs-wasm']

const built = (runner: string): string => `${here}build/${runner}.js`

/** A peer by what it has of its own: `runner` is the file in runners/ that drives it. */
type Described = Pick<Peer, 'id' | 'name' | 'form' | 'arithmetic'> & Partial<Peer> & { runner: string }

function nodePeer(node: { version: string; path: string }, { runner, ...rest }: Described): Peer {
  return {
    where: `Node ${node.version}`,
    host: { kind: 'process', command: node.path, args: [built('process'), built(runner)] },
    ...rest,
  }
}

function pagePeer(setup: Setup, { runner, ...rest }: Described): Peer {
  return {
    where: setup.chromium.path ? `Chromium ${setup.chromium.version.split('.')[0]}` : 'Chromium',
    host: { kind: 'page', runner: `/build/${runner}.js` },
    skip: setup.modules.reason ?? setup.chromium.reason,
    ...rest,
  }
}

function pythonPeer(python: Tool, { runner, ...rest }: Described): Peer {
  return {
    where: 'native, Python',
    host: { kind: 'process', command: python.path ?? '', args: [`${here}runners/${runner}`] },
    skip: python.reason,
    ...rest,
  }
}

/**
 * All peers in the order in which they take turns. `reference` peers first: native LiteRT is what outputs are compared
 * with.
 */
export function peers(setup: Setup): Peer[] {
  const newest = setup.nodes.at(-1)!
  const int8 = { form: 'tflite', arithmetic: 'int8' } as const
  const twin = { form: 'qdq', arithmetic: 'int8' } as const
  const float = { form: 'float', arithmetic: 'float32' } as const
  const ort = versionOf('onnxruntime-web')
  const major = (version: string): string => version.split('.')[0]!
  const native = {
    name: `onnxruntime-node ${ort}`,
    where: `native, Node ${newest.version}`,
    runner: 'onnxruntime-node',
    skip: setup.modules.reason,
  }
  const web = { name: `onnxruntime-web ${ort}`, runner: 'onnxruntime-web' }
  return [
    pythonPeer(setup.python, {
      id: 'litert',
      name: `LiteRT ${versionOf('ai-edge-litert')}`,
      runner: 'litert.py',
      ...int8,
    }),
    ...setup.nodes.map((node) =>
      nodePeer(node, {
        id: `thimble/node${major(node.version)}`,
        name: 'Thimble',
        runner: 'thimble-node',
        ...int8,
      }),
    ),
    nodePeer(newest, {
      id: `thimble-fast/node${major(newest.version)}`,
      name: 'Thimble, fast',
      runner: 'thimble-node',
      ...int8,
      options: { fast: true },
      skip: Number(major(newest.version)) < 26 ? 'needs Node 26 or newer' : undefined,
    }),
    pagePeer(setup, { id: 'thimble/chromium', name: 'Thimble', runner: 'thimble-browser', ...int8 }),
    pagePeer(setup, {
      id: 'litert-js',
      name: `LiteRT.js ${versionOf('@litertjs/core')}`,
      runner: 'litert-js',
      ...int8,
    }),
    pythonPeer(setup.python, {
      id: 'thimble/wasmtime',
      name: 'Thimble, packed',
      where: `Wasmtime ${versionOf('wasmtime')}`,
      runner: 'packed_wasmtime.py',
      form: 'packed',
      arithmetic: 'int8',
    }),
    pagePeer(setup, {
      id: 'tfjs-tflite',
      name: `tfjs-tflite ${versionOf('@tensorflow/tfjs-tflite')}`,
      runner: 'tfjs-tflite',
      ...int8,
    }),
    nodePeer(newest, { id: 'onnxruntime-node', ...native, ...twin }),
    nodePeer(newest, { id: 'onnxruntime-node-float', ...native, ...float }),
    pagePeer(setup, { id: 'onnxruntime-web', ...web, ...twin }),
    pagePeer(setup, { id: 'onnxruntime-web-float', ...web, ...float }),
    pagePeer(setup, {
      id: 'tfjs-wasm',
      name: `tfjs-backend-wasm ${versionOf('@tensorflow/tfjs-backend-wasm')}`,
      runner: 'tfjs-wasm',
      form: 'tfjs',
      arithmetic: 'float32',
    }),
  ]
}
