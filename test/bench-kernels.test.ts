/** `npm run bench:kernels`: its shape, never its numbers. */
import { execFileSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root } from './util.ts'

const run = (...args: string[]): string =>
  execFileSync(process.execPath, ['--import', 'tsx', 'tools/bench-kernels/index.ts', ...args], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })

test('one layer as JSON: every set of kernels, one pick, percent of a peak', () => {
  const { peaks, rows } = JSON.parse(run('pointwise 7x7x160', '--rounds', '2', '--json')) as {
    peaks: Record<string, number>
    rows: {
      layer: string
      macs: number
      cells: { kernels: string; kernel: string; gmacPerSecond: number; percentOfPeak: number; picked: boolean }[]
    }[]
  }
  assert.is(rows.length, 1)
  assert.is(rows[0]!.macs, 7 * 7 * 160 * 960)
  assert.equal(
    rows[0]!.cells.map((c) => c.kernels),
    Object.keys(peaks),
  )
  assert.is(rows[0]!.cells.filter((c) => c.picked).length, 1)
  for (const c of rows[0]!.cells) {
    assert.match(c.kernel, /^gemm-/)
    assert.ok(c.gmacPerSecond > 0 && Math.abs(c.percentOfPeak - (c.gmacPerSecond / peaks[c.kernels]!) * 100) < 1e-6)
  }
})

test('Winograd is timed beside the direct kernels', () => {
  const { rows } = JSON.parse(run('conv 3x3 20x20x64', '--rounds', '1', '--json')) as {
    rows: { cells: { kernel: string; percentOfPeak: number }[] }[]
  }
  const cells = rows.flatMap((r) => r.cells)
  assert.ok(cells.some((c) => c.kernel.startsWith('winograd')))
  // Timings decide no test: that none is above the peak is for who reads the table.
  for (const c of cells) assert.ok(c.percentOfPeak > 0)
})

test('a table, and an error where no layer matches', () => {
  assert.match(run('depthwise 3x3 7x7x1024', '--rounds', '1'), /\n.*depthwise 3x3 7x7x1024/)
  assert.throws(() => run('no such layer'))
})

test.run()
