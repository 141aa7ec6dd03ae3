/**
 * Checkpoints as people save them: wrapped, prefixed, fine-tuned, hostile. Weights are those of the fixtures; fresh
 * files come from a peer.
 */
import { zipSync } from 'fflate'
import { gunzipSync } from 'node:zlib'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { readStateDict, type StateDict, type StateTensor } from '../src/convert/pytorch.ts'
import { graphFromStateDict } from '../src/convert/torch-models.ts'
import { readZip } from '../src/convert/zip.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { floatModel } from '../src/float/execute.ts'
import type { Graph } from '../src/graph/graph.ts'
import { answer, fixtureBytes, relative } from './convert-util.ts'
import { peerPython, runPython } from './peer-python.ts'
import { need, refusal, root } from './util.ts'

const SIZE = 64
const ascii = (s: string): number[] => [...s].map((c) => c.charCodeAt(0))
/** Pickle opcodes: a text, an entry of the dict on the stack, a call of a global without arguments. */
const text = (s: string): number[] => [0x58, s.length & 255, s.length >> 8, 0, 0, ...ascii(s)]
const entry = (key: string, value: number[]): number[] => [...text(key), ...value, 0x73]
const global = (module: string, name: string): number[] => [0x63, ...ascii(`${module}\n${name}\n`)]

/** The fixture with its pickle replaced; `inner` is its state dict's opcodes. */
function rewritten(change: (inner: number[]) => number[]): Uint8Array {
  const files = readZip(fixtureBytes('mobilenet_v3_small.pt'))
  const out: Record<string, Uint8Array> = {}
  for (const [name, bytes] of files) {
    out[name] = name.endsWith('data.pkl')
      ? Uint8Array.from([0x80, 2, ...change([...bytes.subarray(2, -1)]), 0x2e])
      : bytes
  }
  return zipSync(out, { level: 0 })
}

const state = (): StateDict => readStateDict(fixtureBytes('mobilenet_v3_small.pt'))
const want = answer(graphFromStateDict(state(), SIZE))

test('a training checkpoint: the weights among epoch, arguments, metrics and an optimizer', async () => {
  const namespace = [
    ...global('argparse', 'Namespace'),
    0x29,
    0x81,
    0x7d,
    ...entry('data', [...global('pathlib', 'PosixPath'), ...text('/data'), 0x85, 0x52]),
    0x62,
  ]
  const scalar = [
    ...global('numpy._core.multiarray', 'scalar'),
    ...global('numpy', 'dtype'),
    ...text('f8'),
    0x85,
    0x52,
    0x43,
    8,
    0,
    0,
    0,
    0,
    0,
    0,
    240,
    63,
    0x86,
    0x52,
  ]
  const counts = [
    ...global('collections', 'defaultdict'),
    ...global('builtins', 'list'),
    0x85,
    0x52,
    ...entry('a', [0x5d]),
  ]
  const bytes = rewritten((inner) => [
    0x7d,
    ...entry('epoch', [0x4b, 3]),
    ...entry('args', namespace),
    ...entry('best', scalar),
    ...entry('counts', counts),
    ...entry('optimizer', [0x7d]),
    ...entry('dtype', global('torch', 'float32')),
    ...entry('state_dict', inner),
  ])
  assert.equal(answer(await readFloatModel(bytes, { size: SIZE })), want)
})

test('averaged weights are preferred', async () => {
  const bytes = rewritten((inner) => [
    0x7d,
    ...entry('state_dict', [0x7d]),
    ...entry('model', [0x7d, ...entry('x', [0x4b, 1])]),
    ...entry('state_dict_ema', inner),
  ])
  assert.equal(answer(await readFloatModel(bytes, { size: SIZE })), want)
})

test('prefixes of DataParallel, torch.compile, Lightning and wrappers', () => {
  for (const prefix of ['module.', '_orig_mod.', 'model.', 'module.model.', 'backbone.']) {
    const renamed: StateDict = new Map([...state()].map(([name, t]) => [prefix + name, t]))
    renamed.set('n_averaged', { shape: [], data: Float32Array.of(1) })
    assert.equal(answer(graphFromStateDict(renamed, SIZE)), want, prefix)
  }
})

test('one layer in the place of the classifier', () => {
  const s = state()
  const channels = s.get('classifier.0.weight')!.shape[1]!
  for (const name of ['classifier.0.weight', 'classifier.0.bias', 'classifier.3.weight', 'classifier.3.bias']) {
    s.delete(name)
  }
  s.set('classifier.weight', { shape: [4, channels], data: new Float32Array(4 * channels).fill(0.01) })
  s.set('classifier.bias', { shape: [4], data: Float32Array.of(1, 2, 3, 4) })
  const y = answer(graphFromStateDict(s, SIZE))
  assert.is(y.length, 4)
  assert.ok(Math.abs(y[3]! - y[0]! - 3) < 1e-5)
})

test('a network with more layers than its architecture is refused, not cut', () => {
  const extra = state().set('classifier.6.weight', { shape: [2, 3], data: new Float32Array(6) })
  assert.match(
    refusal(() => graphFromStateDict(extra, SIZE)).message,
    /tensor "classifier\.6\.weight".*export it to ONNX/,
  )
  const beside: StateDict = new Map([...state()].map(([name, t]) => [`backbone.${name}`, t]))
  beside.set('head.weight', { shape: [2, 3], data: new Float32Array(6) })
  assert.match(refusal(() => graphFromStateDict(beside, SIZE)).message, /layers beside backbone; tensor "head\.weight"/)
})

/** [0, 1) by element: what timm_states.py calls `uniform`. */
function uniform(tensor: number, count: number): Float64Array {
  const out = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    let h = (Math.imul(i, 2654435761) + tensor * 40503 + 1) >>> 0
    h = Math.imul(h ^ (h >>> 15), 2246822519)
    h = Math.imul(h ^ (h >>> 13), 3266489917)
    out[i] = ((h ^ (h >>> 16)) >>> 0) / 2 ** 32
  }
  return out
}

/** The weights that timm_states.py gives a tensor. */
function filled(name: string, shape: readonly number[], tensor: number): StateTensor {
  const fanIn = shape.slice(1).reduce((a, b) => a * b, 1)
  const of = (u: number): number =>
    shape.length > 1
      ? (2 * u - 1) * Math.sqrt(6 / fanIn)
      : name.endsWith('running_var')
        ? 0.5 + u
        : name.endsWith('weight')
          ? 0.8 + 0.4 * u
          : 0.2 * (u - 0.5)
  return {
    shape: [...shape],
    data: Float32Array.from(
      uniform(
        tensor,
        shape.reduce((a, b) => a * b, 1),
      ),
      of,
    ),
  }
}

const timm = JSON.parse(gunzipSync(fixtureBytes('timm.json.gz')).toString()) as {
  models: Record<string, { size: number; shapes: Record<string, number[]>; logits: number[] }>
}
const timmState = (name: string): StateDict =>
  new Map(Object.entries(timm.models[name]!.shapes).map(([key, shape], j) => [key, filled(key, shape, j)]))

for (const [name, { size, logits }] of Object.entries(timm.models)) {
  test(`timm's ${name}, by its weights alone`, () => {
    const graph = graphFromStateDict(timmState(name), size, `${name}.pth`)
    const x = Float32Array.from(uniform(9999, size * size * 3), (u) => Math.fround(2 * Math.fround(u)) - 1)
    const difference = relative(floatModel(graph).run([x])[0]!, logits)
    assert.ok(difference <= 1e-4, `relative difference ${difference}`)
  })
}

test("timm: what weights don't tell comes from config.json or the file's name, and what is not read is named", async () => {
  const convs = (graph: Graph): number => graph.ops.filter((op) => op.type === 'PAD').length
  const state = timmState('tf_efficientnet_lite0')
  assert.is(convs(graphFromStateDict(state, 48, 'tf_efficientnet_lite0.in1k')), 0)
  assert.ok(convs(graphFromStateDict(state, 48)) > 0)
  const config = new TextEncoder().encode('{"architecture": "tf_efficientnet_lite0", "num_classes": 6}')
  const bytes = safetensors(state)
  const sidecar = (name: string): Uint8Array | undefined => (name === 'config.json' ? config : undefined)
  assert.is(convs(await readFloatModel(bytes, { size: 48, sidecar })), 0)
  assert.ok(convs(await readFloatModel(bytes, { size: 48, sidecar: () => new Uint8Array(3) })) > 0)
  assert.match(
    refusal(() => graphFromStateDict(timmState('mobilenetv4_conv_medium'), 48, 'mobilenetv4_conv_aa_medium')).message,
    /layers that its state dict does not hold.*torch\.onnx\.export/,
  )
  // MnasNet has the names of EfficientNet-Lite, other kernels, and another activation.
  const other = new Map(state)
  other.set('blocks.3.0.conv_dw.weight', { shape: [240, 1, 5, 5], data: new Float32Array(6000) })
  assert.match(refusal(() => graphFromStateDict(other, 48)).message, /7 stages of 1, 2, 2, 3, 3, 4, 1 blocks.*onnx/)
  const hybrid = new Map(timmState('mobilenetv4_conv_medium'))
  for (const name of hybrid.keys()) if (name.startsWith('blocks.2.1.')) hybrid.delete(name)
  hybrid.set('blocks.2.1.attn.query.proj.weight', { shape: [1, 1, 1, 1], data: new Float32Array(1) })
  assert.match(refusal(() => graphFromStateDict(hybrid, 48)).message, /blocks\.2\.1.*attention/)
})

test('a TorchScript archive is refused with what to do', async () => {
  const files = {
    'm/constants.pkl': new Uint8Array([0x80, 2, 0x29, 0x2e]),
    'm/data.pkl': new Uint8Array([0x80, 2, 0x29, 0x2e]),
    'm/code/__torch__.py': new Uint8Array(4),
    'm/version': new Uint8Array([0x33, 0x0a]),
  }
  const error = await readFloatModel(zipSync(files, { level: 0 })).then(
    () => undefined,
    (e: unknown) => e,
  )
  assert.instance(error, ThimbleError)
  assert.match(
    (error as ThimbleError).message,
    /TorchScript archive: its network is a program.*torch\.onnx\.export\(.*torch\.save\(model\.state_dict\(\)/,
  )
})

/** A state dict in the hub's format. */
function safetensors(state: StateDict): Uint8Array {
  const header: Record<string, object> = {}
  let at = 0
  for (const [name, { shape, data }] of state) {
    header[name] = { dtype: 'F32', shape, data_offsets: [at, at + data.byteLength] }
    at += data.byteLength
  }
  const text = new TextEncoder().encode(JSON.stringify(header))
  const out = new Uint8Array(8 + text.length + at)
  new DataView(out.buffer).setUint32(0, text.length, true)
  out.set(text, 8)
  let to = 8 + text.length
  for (const { data } of state.values()) {
    out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), to)
    to += data.byteLength
  }
  return out
}

test('code in a pickle is refused by name and never run', async () => {
  const witness = join(mkdtempSync(join(tmpdir(), 'pickle-')), 'ran')
  const command = text(`touch ${witness}`)
  const attacks: [string, number[]][] = [
    ['posix.system', [...global('posix', 'system'), ...command, 0x85, 0x52]],
    ['os.system', [...global('os', 'system'), ...command, 0x85, 0x52]],
    ['builtins.eval', [...global('builtins', 'eval'), ...text('1'), 0x85, 0x52]],
    ['builtins.getattr', [...text('builtins'), ...text('getattr'), 0x93, 0x29, 0x52]],
    ['torch.hub.load', [...global('torch.hub', 'load'), 0x29, 0x81]],
    ['__main__.Model', [...global('__main__', 'Model'), 0x29, 0x81, 0x7d, 0x62]],
    ['__proto__.constructor', global('__proto__', 'constructor')],
  ]
  for (const [name, attack] of attacks) {
    for (const bytes of [
      rewritten((inner) => [0x7d, ...entry('x', attack), ...entry('state_dict', inner)]),
      rewritten((inner) => [...attack, 0x30, ...inner]),
    ]) {
      const error = await readFloatModel(bytes, { size: SIZE }).then(
        () => undefined,
        (e: unknown) => e,
      )
      assert.ok(
        error instanceof ThimbleError && error.code === 'format/pickle' && error.message.includes(`"${name}"`),
        `${name}: ${String(error)}`,
      )
    }
  }
  assert.throws(() => readFileSync(witness))
  rmSync(join(witness, '..'), { recursive: true })
})

need(
  test,
  'fresh files of torch, torchvision and timm',
  {
    resource: peerPython('torch', 'torchvision', 'timm', 'onnx'),
    missing: 'a Python with torch, torchvision, timm and onnx (THIMBLE_PYTHON)',
  },
  async (python) => {
    const folder = mkdtempSync(join(tmpdir(), 'torch-'))
    const seed = Math.floor(Math.random() * 1e6)
    try {
      const names = JSON.parse(
        runPython(python, `${root}test/peers/torch_files.py`, folder, String(seed)).trim().split('\n').at(-1)!,
      ) as string[]
      assert.is(names.length, 7)
      for (const name of names) {
        const read = (end: string): Float32Array =>
          new Float32Array(new Uint8Array(readFileSync(join(folder, name + end))).buffer)
        const [y] = floatModel(await readFloatModel(join(folder, name), { size: SIZE })).run([read('.in')])
        const difference = relative(y!, read('.out'))
        assert.ok(difference <= 1e-4, `${name}, seed ${seed}: relative difference ${difference}`)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

test.run()
