/** Architectures: the papers' counts, the worked example, random int8 networks with LiteRT's bytes, budgets and the command. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { archChart } from '../src/arch/chart.ts'
import { ARCHITECTURES, buildArch, countArch, published, separableExample, type ArchName, type ArchSpec } from '../src/arch/index.ts'
import { BUDGET_GRID, countRow, fits, pick, type ArchRow } from '../src/arch/measure.ts'
import { byteSize } from '../src/cli/arch.ts'
import { ThimbleError } from '../src/errors.ts'
import { floatModel } from '../src/float/execute.ts'
import { checkGraph } from '../src/formats/check.ts'
import { loadGraph } from '../src/load.ts'
import '../src/node.ts'
import { answers, caseGraph, caseInput, caseName, CASES, sha256 } from './arch-cases.ts'
import { relative } from './convert-util.ts'
import { root } from './util.ts'

/** [spec, multiply-adds in M, parameters in M, relative tolerance]: the paper rounds (or truncates) to whole millions. */
const PAPER: [ArchSpec, number | undefined, number, number][] = [
  [{ name: 'mobilenet_v1' }, 569, 4.2, 0.006], [{ name: 'mobilenet_v1', alpha: 0.75 }, 325, 2.6, 0.009], [{ name: 'mobilenet_v1', alpha: 0.5 }, 149, 1.3, 0.021], [{ name: 'mobilenet_v1', alpha: 0.25 }, 41, 0.5, 0.07],
  [{ name: 'mobilenet_v1', size: 192 }, 418, 4.2, 0.006], [{ name: 'mobilenet_v1', size: 160 }, 290, 4.2, 0.006], [{ name: 'mobilenet_v1', size: 128 }, 186, 4.2, 0.006],
  [{ name: 'mobilenet_v1_full' }, 4866, 29.3, 0.001], [{ name: 'mobilenet_v2' }, 300, 3.4, 0.03], [{ name: 'mobilenet_v3_small' }, 56, 2.5, 0.02], [{ name: 'mobilenet_v3_large' }, 219, 5.4, 0.02],
  [{ name: 'googlenet' }, 1550, 6.8, 0.03], [{ name: 'vgg16' }, 15300, 138, 0.012], [{ name: 'inception_v3' }, undefined, 23.2, 0.03],
]
for (const [spec, macs, params, tolerance] of PAPER) {
  test(`counts of ${spec.name} ${spec.alpha ?? 1} ${spec.size ?? ''}`, () => {
    const c = countArch(buildArch(spec, 'shape'))
    const off = (got: number, want: number): number => Math.abs(got / 1e6 / want - 1)
    if (macs !== undefined) assert.ok(off(c.macs, macs) <= Math.min(tolerance, 0.022), `${c.macs} multiply-adds, the paper says ${macs} M`)
    assert.ok(off(c.params, params) <= tolerance, `${c.params} parameters, the paper says ${params} M`)
    assert.is(published(spec)?.params, params)
  })
}

test('exact counts, so that a change of an architecture shows', () => {
  const exact = (spec: ArchSpec): [number, number] => { const c = countArch(buildArch(spec, 'shape')); return [c.macs, c.params] }
  assert.equal(exact({ name: 'mobilenet_v1' }), [568740352, 4221032])
  assert.equal(exact({ name: 'mobilenet_v2' }), [300774272, 3487816])
  assert.equal(exact({ name: 'vgg16' }), [15470264320, 138357544])
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
      const model = await loadGraph(caseGraph(spec), { plan })
      assert.equal(model.run(caseInput(spec)).map(sha256), litert[caseName(spec)], plan)
      model.dispose()
    }
  })
}

test('float and int8 weights are the same network', () => {
  const spec: ArchSpec = { name: 'mobilenet_v2', alpha: 0.35, size: 64, classes: 20 }
  const float = buildArch(spec, 'float32')
  const int8 = buildArch(spec, 'int8')
  for (const g of [float, int8]) checkGraph(g)
  const image = Float32Array.from(caseInput(spec), (q) => q / 128)
  const logits = (g: typeof float): Float32Array => floatModel({ ...g, outputs: [g.ops.at(-1)!.inputs[0]!] }).run([image])[0]!
  assert.ok(relative(logits(int8), logits(float)) < 0.25, 'quantization changes the logits of a random network a little')
  assert.equal(buildArch(spec, 'int8').tensors, int8.tensors, 'seeded')
  assert.not.equal(buildArch(spec, 'int8', 2).tensors[1]!.data, int8.tensors[1]!.data)
})

test('names and ranges are checked', () => {
  const refused = (spec: ArchSpec): void => assert.throws(() => buildArch(spec), (e: unknown) => e instanceof ThimbleError && e.code === 'usage/arch')
  refused({ name: 'resnet' as ArchName })
  refused({ name: 'toString' as ArchName })
  refused({ name: 'mobilenet_v1', alpha: 0 })
  refused({ name: 'mobilenet_v1', size: 8 })
  refused({ name: 'inception_v3', size: 64 })
  refused({ name: 'mobilenet_v1', classes: 0 })
  for (const name of Object.keys(ARCHITECTURES) as ArchName[]) checkGraph({ ...buildArch({ name, alpha: 0.1, size: name === 'inception_v3' ? 75 : 32, classes: 2 }) })
})

test('a budget picks the most accurate that fits', () => {
  const rows: ArchRow[] = BUDGET_GRID.map((s) => { const r = countRow(s); return { ...r, medianMs: r.macs / 20e6, arenaBytes: r.size * r.size * 6 * r.alpha } })
  assert.is(pick(rows, {})!.macs, rows[0]!.macs)
  const chosen = pick(rows, { ms: 9, arenaBytes: 130 * 1024 })!
  assert.ok(fits(chosen, { ms: 9, arenaBytes: 130 * 1024 }))
  assert.equal([chosen.alpha, chosen.size], [0.75, 160])
  assert.is(pick(rows, { ms: 0.001 }), undefined)
  assert.is(byteSize('512K', 'x'), 524288)
  assert.is(byteSize('1.5MiB', 'x'), 1572864)
  for (const bad of ['', '-1', '5G', 'x']) assert.throws(() => byteSize(bad, 'x'), (e: unknown) => e instanceof ThimbleError)
})

test('the chart is well-formed', () => {
  const svg = archChart([countRow({ name: 'mobilenet_v1' }), countRow({ name: 'vgg16' })])
  assert.match(svg, /^<svg [^>]*>/)
  assert.match(svg, /<\/svg>\n$/)
  assert.is([...svg.matchAll(/<circle /g)].length, 2)
  assert.not.match(svg, /NaN|Infinity|undefined/)
})

const cli = (...args: string[]): { status: number | null; stdout: string; stderr: string } => spawnSync(process.execPath, ['--import', 'tsx', `${root}src/cli.ts`, 'arch', ...args], { encoding: 'utf8', cwd: root })

test('thimble arch measures, exports and draws', () => {
  const folder = mkdtempSync(join(tmpdir(), 'arch-'))
  try {
    const { status, stdout, stderr } = cli('mobilenet_v1', 'mobilenet_v2', '--alpha', '0.25', '--size', '64', '--runs', '3', '--json', '--chart', join(folder, 'c.svg'), '--export', folder)
    assert.is(status, 0, stderr)
    const { networks, example } = JSON.parse(stdout) as { networks: ArchRow[]; example: { full: number } }
    assert.is(networks.length, 2)
    for (const r of networks) assert.ok(r.medianMs! > 0 && r.arenaBytes! > 0 && r.params > 0 && r.int8Bytes < r.floatBytes / 3)
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
