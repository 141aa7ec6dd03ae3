/**
 * Checkpoints as people save them: wrapped, prefixed, fine-tuned, hostile. Weights are those of the fixtures; fresh
 * files come from a peer.
 */
import { zipSync } from 'fflate'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { readStateDict, type StateDict } from '../src/convert/pytorch.ts'
import { graphFromStateDict } from '../src/convert/torch-models.ts'
import { readZip } from '../src/convert/zip.ts'
import { ThimbleError } from '../src/errors.ts'
import { floatModel } from '../src/float/execute.ts'
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
  const timm: StateDict = new Map([
    ['conv_stem.weight', { shape: [1, 1, 1, 1], data: new Float32Array(1) }],
    ['blocks.0.0.conv_dw.weight', { shape: [1], data: new Float32Array(1) }],
  ])
  assert.match(refusal(() => graphFromStateDict(timm)).message, /timm.*torch\.onnx\.export/)
})

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
  peerPython('torch', 'torchvision', 'timm', 'onnx'),
  'a Python with torch, torchvision, timm and onnx (THIMBLE_PYTHON)',
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
