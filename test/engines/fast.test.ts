/** `fast` on a Node that has it: recorded answers, the oracle, threads, and what happens where it can't be had. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { root, shared, skip } from '../util.ts'
import { ENGINES } from './engines.ts'

const nodeOf = (major: number): string => join(ENGINES, `npm/node_modules/node${major}/bin/node`)

function run(node: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { cwd: root, env: { ...process.env, NODE_OPTIONS: '', ...env } })
    let out = ''
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      out += chunk
    })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve(out) : reject(new Error(`exit code ${code}: ${out.slice(-2000)}`)),
    )
  })
}

/** What a model that was asked to be fast says of itself. */
async function about(
  node: string,
  options: object,
): Promise<{ variant: string; kernels: string; why: string; equal: boolean }> {
  const script = `(async () => {
    const { loadGraph } = await import('./src/engine/load-graph.ts'), { fastRuntime } = await import('./src/engine/load-node.ts'), { smallModels } = await import('./test/small-models.ts')
    const { graph } = smallModels()[0]
    const fast = await loadGraph(graph, ${JSON.stringify(options)}, fastRuntime), plain = await loadGraph(graph)
    const input = plain.inputs.map(i => Int8Array.from({ length: i.shape.reduce((a, b) => a * b, 1) }, (_, k) => k * 37 - 128))
    const equal = [1, 2, 3].every(() => { const a = fast.run(input), b = plain.run(input); return a.every((x, i) => x.every((v, j) => v === b[i][j])) })
    console.log(JSON.stringify({ variant: fast.variant, kernels: fast.kernels, why: fast.why, equal }))
    fast.dispose()
  })()`
  return JSON.parse((await run(node, ['-e', script])).trim().split('\n').at(-1)!)
}

const node26 = nodeOf(26)
const node24 = nodeOf(24)

if (!existsSync(node26)) skip('fast', 'Node 26 is not installed; .ci/engines.sh installs it')
else if (process.arch !== 'x64') skip('fast', 'not an x86-64 machine')
else {
  const passes = (file: string) => async (): Promise<void> => {
    const out = await run(node26, [`test/${file}.test.ts`], { THIMBLE_FAST: '1' })
    assert.match(out, /Passed: +[1-9]/)
  }
  const recorded = shared('goldens') === undefined ? ['goldens-models', 'op-goldens'] : ['goldens']
  for (const file of recorded) test(`fast, Node 26: ${file}`, passes(file))
  test('fast, Node 26: kernels', passes('kernels'))
  for (const threads of [1, 2]) {
    test(`fast, Node 26: ${threads} threads`, async () => {
      const got = await about(node26, { fast: true, threads })
      assert.is(got.kernels, 'avx2', got.why)
      assert.is(got.variant, 'simd')
      assert.match(got.why, /revectorizer/)
      assert.ok(got.equal)
    })
  }
  test('fast, Node 26: other variants and kernels are taken as asked for', async () => {
    for (const options of [{ variant: 'scalar' }, { variant: 'relaxed' }, { kernels: 'generic' }, { kernels: 'arm' }]) {
      const got = await about(node26, { fast: true, ...options })
      assert.is.not(got.kernels, 'avx2')
      assert.match(got.why, /not fast: /)
      assert.ok(got.equal)
    }
  })
}
if (!existsSync(node24)) skip('fast on Node 24', 'it is not installed; .ci/engines.sh installs it')
else {
  test('fast, Node 24: loads without, and says why', async () => {
    const got = await about(node24, { fast: true })
    assert.is(got.kernels, process.arch === 'x64' ? 'x86' : got.kernels)
    assert.match(got.why, /not fast: needs Node 26/)
    assert.ok(got.equal)
  })
}

test.run()
