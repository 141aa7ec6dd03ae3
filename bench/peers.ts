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

function nodePeer(
  id: string,
  name: string,
  node: { version: string; path: string },
  runner: string,
  rest: Pick<Peer, 'form' | 'arithmetic'> & Partial<Peer>,
): Peer {
  return {
    id,
    name,
    where: `Node ${node.version}`,
    host: { kind: 'process', command: node.path, args: [built('process'), built(runner)] },
    ...rest,
  }
}

function pagePeer(
  setup: Setup,
  id: string,
  name: string,
  runner: string,
  rest: Pick<Peer, 'form' | 'arithmetic'> & Partial<Peer>,
): Peer {
  return {
    id,
    name,
    where: setup.chromium.path ? `Chromium ${setup.chromium.version.split('.')[0]}` : 'Chromium',
    host: { kind: 'page', runner: `/build/${runner}.js` },
    skip: setup.modules.reason ?? setup.chromium.reason,
    ...rest,
  }
}

function pythonPeer(
  python: Tool,
  id: string,
  name: string,
  script: string,
  rest: Pick<Peer, 'form' | 'arithmetic'> & Partial<Peer>,
): Peer {
  return {
    id,
    name,
    where: 'native, Python',
    host: { kind: 'process', command: python.path ?? '', args: [`${here}runners/${script}`] },
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
  return [
    pythonPeer(setup.python, 'litert', `LiteRT ${versionOf('ai-edge-litert')}`, 'litert.py', int8),
    ...setup.nodes.map((node) => nodePeer(`thimble/node${major(node.version)}`, 'Thimble', node, 'thimble-node', int8)),
    nodePeer(`thimble-fast/node${major(newest.version)}`, 'Thimble, fast', newest, 'thimble-node', {
      ...int8,
      options: { fast: true },
      skip: Number(major(newest.version)) < 26 ? 'needs Node 26 or newer' : undefined,
    }),
    pagePeer(setup, 'thimble/chromium', 'Thimble', 'thimble-browser', int8),
    pagePeer(setup, 'litert-js', `LiteRT.js ${versionOf('@litertjs/core')}`, 'litert-js', int8),
    {
      ...pythonPeer(setup.python, 'thimble/wasmtime', 'Thimble, packed', 'packed_wasmtime.py', {
        form: 'packed',
        arithmetic: 'int8',
      }),
      where: `Wasmtime ${versionOf('wasmtime')}`,
    },
    pagePeer(setup, 'tfjs-tflite', `tfjs-tflite ${versionOf('@tensorflow/tfjs-tflite')}`, 'tfjs-tflite', int8),
    nodePeer('onnxruntime-node', `onnxruntime-node ${ort}`, newest, 'onnxruntime-node', {
      ...twin,
      where: `native, Node ${newest.version}`,
      skip: setup.modules.reason,
    }),
    nodePeer('onnxruntime-node-float', `onnxruntime-node ${ort}`, newest, 'onnxruntime-node', {
      ...float,
      where: `native, Node ${newest.version}`,
      skip: setup.modules.reason,
    }),
    pagePeer(setup, 'onnxruntime-web', `onnxruntime-web ${ort}`, 'onnxruntime-web', twin),
    pagePeer(setup, 'onnxruntime-web-float', `onnxruntime-web ${ort}`, 'onnxruntime-web', float),
    pagePeer(setup, 'tfjs-wasm', `tfjs-backend-wasm ${versionOf('@tensorflow/tfjs-backend-wasm')}`, 'tfjs-wasm', {
      form: 'tfjs',
      arithmetic: 'float32',
    }),
  ]
}
