/**
 * Architectures: the papers' counts, the worked example, random int8 networks with LiteRT's bytes, budgets and the
 * command.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { archChart } from '../src/arch/chart.ts'
import {
  ARCHITECTURES,
  buildArch,
  countArch,
  published,
  separableExample,
  type ArchName,
  type ArchSpec,
} from '../src/arch/index.ts'
import { GOOGLENET_STEM } from '../src/arch/published.ts'
import { BUDGET_GRID, countRow, fits, pick, type ArchRow } from '../src/arch/measure.ts'
import { byteSize } from '../src/cli/arch.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { floatModel } from '../src/float/execute.ts'
import { checkGraph } from '../src/formats/check.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadModel } from '../src/node.ts'
import { answers, caseGraph, caseInput, caseName, CASES, sha256 } from './arch-cases.ts'
import { relative } from './convert-util.ts'
import { LITERT_MISSING, litertPython, runPython } from './peer-python.ts'
import { need, root } from './util.ts'

/** [spec, multiply-adds and parameters in M as printed, which of them follow from the architecture]. */
const PAPER: [ArchSpec, number | undefined, number | undefined, 'both' | 'params' | 'neither'][] = [
  [{ name: 'mobilenet_v1' }, 569, 4.2, 'both'],
  [{ name: 'mobilenet_v1', alpha: 0.75 }, 325, 2.6, 'both'],
  [{ name: 'mobilenet_v1', alpha: 0.5 }, 149, 1.3, 'both'],
  [{ name: 'mobilenet_v1', alpha: 0.25 }, 41, 0.5, 'both'],
  [{ name: 'mobilenet_v1', size: 192 }, 418, 4.2, 'both'],
  [{ name: 'mobilenet_v1', size: 160 }, 290, 4.2, 'both'],
  [{ name: 'mobilenet_v1', size: 128 }, 186, 4.2, 'both'],
  [{ name: 'mobilenet_v1_full' }, 4866, 29.3, 'both'],
  [{ name: 'mobilenet_v2' }, 300, 3.4, 'both'],
  [{ name: 'mobilenet_v3_small' }, 56, 2.5, 'both'],
  [{ name: 'mobilenet_v3_large' }, 219, 5.4, 'params'],
  [{ name: 'mobilenet_v3_large', alpha: 0.75 }, 155, 4, 'both'],
  [{ name: 'googlenet' }, 1550, 6.8, 'params'],
  [{ name: 'vgg16' }, 15300, 138, 'both'],
  [{ name: 'inception_v3' }, undefined, 23.2, 'neither'],
  [{ name: 'efficientnet_lite0' }, 407, 4.7, 'params'],
]
for (const [spec, macs, params, follow] of PAPER) {
  test(`published figures of ${spec.name} ${spec.alpha ?? 1} ${spec.size ?? ''}`, () => {
    const p = published(spec)!
    assert.equal([p.macs, p.params], [macs, params])
    const follows = { ...(macs !== undefined ? { macs: follow === 'both' } : {}), params: follow !== 'neither' }
    assert.equal(p.follows, follows, 'the counts, rounded as the paper rounds')
    for (const kind of ['macs', 'params'] as const) {
      if (p.follows[kind] === false) assert.match(p.notes[kind]!, /^does not follow from /)
    }
  })
}

test('the arithmetic of figures that do not follow', () => {
  const googlenet = published({ name: 'googlenet' })!.notes.macs!
  for (const number of ['1502 M', '34.0 M', '118.0 M', '1498.7 M', '1582.7 M']) {
    assert.ok(googlenet.includes(number), number)
  }
  // 3 channels times 8 filters of 7x7, then 24 to 64, at 112x112.
  assert.is(GOOGLENET_STEM.separable, (1176 + 1536) * 12544)
  const inception = (classes: number): number => countArch(buildArch({ name: 'inception_v3', classes }, 'shape')).params
  assert.is((inception(120) / 1e6).toFixed(2), '22.01')
  assert.is((inception(699) / 1e6).toFixed(1), '23.2')
  assert.is(inception(1000), 23817352)
})

test('published top-1: 16 of MobileNet V1, and none for other numbers of classes', () => {
  for (const s of BUDGET_GRID) assert.ok(published(s)!.top1! > 40)
  assert.is(published({ name: 'mobilenet_v1', classes: 10 }), undefined)
})

test('exact counts, so that a change of an architecture shows', () => {
  const exact = (spec: ArchSpec): [number, number] => {
    const c = countArch(buildArch(spec, 'shape'))
    return [c.macs, c.params]
  }
  assert.equal(exact({ name: 'mobilenet_v1' }), [568740352, 4221032])
  assert.equal(exact({ name: 'mobilenet_v2' }), [300774272, 3487816])
  assert.equal(exact({ name: 'vgg16' }), [15470264320, 138357544])
  // As timm's mobilenetv3 of these widths, batch norm folded.
  assert.is(exact({ name: 'mobilenet_v3_large', alpha: 0.75 })[1], 3983984)
  assert.is(exact({ name: 'mobilenet_v3_small', alpha: 0.75 })[1], 2037032)
})

test('the worked example', () => {
  const { full, separable } = separableExample()
  assert.is(full, 1228800)
  assert.is(separable, 53952)
})

const litert = answers()
for (const spec of CASES) {
  test(`${caseName(spec)} gives LiteRT's bytes`, async () => {
    for (const plan of ['speed', 'size'] as const) {
      // Once as built, once through the exported file.
      const model =
        plan === 'speed'
          ? await loadGraph(caseGraph(spec), { plan })
          : await loadModel(writeTflite(caseGraph(spec)), { plan })
      assert.equal(model.run(caseInput(spec)).map(sha256), litert[caseName(spec)], plan)
      model.dispose()
    }
  })
}

need(
  test,
  'LiteRT and Thimble answer alike on networks of a new seed',
  { resource: litertPython(), missing: LITERT_MISSING },
  async (python) => {
    const folder = mkdtempSync(join(tmpdir(), 'arch-litert-'))
    const seed = 2 + Math.floor(Math.random() * 1e6)
    try {
      for (const spec of CASES) {
        writeFileSync(join(folder, `${caseName(spec)}.tflite`), writeTflite(caseGraph(spec, seed)))
        writeFileSync(join(folder, `${caseName(spec)}.in`), caseInput(spec))
      }
      runPython(python, `${root}test/fixtures/arch/litert.py`, folder, join(folder, 'answers.json'))
      const { answers } = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8')) as {
        answers: Record<string, string[]>
      }
      for (const spec of CASES) {
        const model = await loadModel(join(folder, `${caseName(spec)}.tflite`))
        assert.equal(model.run(caseInput(spec)).map(sha256), answers[caseName(spec)], `${caseName(spec)}, seed ${seed}`)
        model.dispose()
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)

test('float and int8 weights are the same network', () => {
  const spec: ArchSpec = { name: 'mobilenet_v2', alpha: 0.35, size: 64, classes: 20 }
  const float = buildArch(spec, 'float32')
  const int8 = buildArch(spec, 'int8')
  for (const g of [float, int8]) checkGraph(g)
  const image = Float32Array.from(caseInput(spec), (q) => q / 128)
  const logits = (g: typeof float): Float32Array =>
    floatModel({ ...g, outputs: [g.ops.at(-1)!.inputs[0]!] }).run([image])[0]!
  assert.ok(
    relative(logits(int8), logits(float)) < 0.25,
    'quantization changes the logits of a random network a little',
  )
  assert.equal(buildArch(spec, 'int8').tensors, int8.tensors, 'seeded')
  assert.not.equal(buildArch(spec, 'int8', 2).tensors[1]!.data, int8.tensors[1]!.data)
})

test('names and ranges are checked', () => {
  const refused = (spec: ArchSpec): void =>
    assert.throws(
      () => buildArch(spec),
      (e: unknown) => e instanceof ThimbleError && e.code === 'usage/arch',
    )
  refused({ name: 'resnet' as ArchName })
  refused({ name: 'toString' as ArchName })
  refused({ name: 'mobilenet_v1', alpha: 0 })
  refused({ name: 'mobilenet_v1', size: 8 })
  refused({ name: 'inception_v3', size: 64 })
  refused({ name: 'mobilenet_v1', classes: 0 })
  for (const name of Object.keys(ARCHITECTURES) as ArchName[]) {
    checkGraph({ ...buildArch({ name, alpha: 0.1, size: name === 'inception_v3' ? 75 : 32, classes: 2 }) })
  }
})

test('a budget picks the most accurate that fits', () => {
  const rows: ArchRow[] = BUDGET_GRID.map((s) => {
    const r = countRow(s)
    return { ...r, medianMs: r.macs / 20e6, arenaBytes: r.size * r.size * 6 * r.alpha }
  })
  assert.is(pick(rows, {})!.macs, rows[0]!.macs)
  const chosen = pick(rows, { ms: 9, arenaBytes: 130 * 1024 })!
  assert.ok(fits(chosen, { ms: 9, arenaBytes: 130 * 1024 }))
  assert.equal([chosen.alpha, chosen.size], [0.75, 160])
  assert.is(pick(rows, { ms: 0.001 }), undefined)
  assert.is(byteSize('512K', 'x'), 524288)
  assert.is(byteSize('1.5MiB', 'x'), 1572864)
  for (const bad of ['', '-1', '5G', 'x']) {
    assert.throws(
      () => byteSize(bad, 'x'),
      (e: unknown) => e instanceof ThimbleError,
    )
  }
})

test('the chart is well-formed', () => {
  const svg = archChart([countRow({ name: 'mobilenet_v1' }), countRow({ name: 'vgg16' })])
  assert.match(svg, /^<svg [^>]*>/)
  assert.match(svg, /<\/svg>\n$/)
  assert.is([...svg.matchAll(/<circle /g)].length, 2)
  assert.not.match(svg, /NaN|Infinity|undefined/)
})

const cli = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, ['--import', 'tsx', `${root}src/cli.ts`, 'arch', ...args], {
    encoding: 'utf8',
    cwd: root,
  })

test('thimble arch measures, exports and draws', () => {
  const folder = mkdtempSync(join(tmpdir(), 'arch-'))
  try {
    const { status, stdout, stderr } = cli(
      'mobilenet_v1',
      'mobilenet_v2',
      '--alpha',
      '0.25',
      '--size',
      '64',
      '--runs',
      '3',
      '--json',
      '--chart',
      join(folder, 'c.svg'),
      '--export',
      folder,
    )
    assert.is(status, 0, stderr)
    const { networks, example } = JSON.parse(stdout) as { networks: ArchRow[]; example: { full: number } }
    assert.is(networks.length, 2)
    for (const r of networks) {
      assert.ok(r.medianMs! > 0 && r.arenaBytes! > 0 && r.params > 0 && r.int8Bytes < r.floatBytes / 3)
    }
    assert.is(example.full, 1228800)
    assert.match(readFileSync(join(folder, 'c.svg'), 'utf8'), /milliseconds/)
    assert.is(readFileSync(join(folder, 'mobilenet_v1_0.25_64.tflite')).subarray(4, 8).toString(), 'TFL3')
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('thimble arch refuses bad calls with exit code 2', () => {
  for (const args of [['nosuch'], ['--alpha', 'x'], ['--budget-ram', '12Q'], ['mobilenet_v2', '--budget-ms', '5']]) {
    const { status, stdout, stderr } = cli(...args)
    assert.is(status, 2, args.join(' '))
    assert.is(stdout, '')
    assert.match(stderr, /^thimble: usage\/[^\n]*\n$/)
  }
})

test.run()
