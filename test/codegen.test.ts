/**
 * Speed without a clock: instructions and spills of the kernels' hot loops in V8's own machine code, against those
 * stored in test/codegen.json. A lost fusion or a spilled register shows as more instructions for the same
 * multiply-adds.
 *
 * After a change that is meant: THIMBLE_UPDATE=1 npx tsx test/codegen.test.ts, and look at the difference.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import { arm64Node, kernelCode, KERNEL_NAMES } from '../tools/codegen/kernels.ts'
import { flatten, isSpill, loopsOf, macs, type CompiledFunction } from '../tools/codegen/v8-code.ts'
import { root, skip } from './util.ts'

/** Per multiplying loop: instructions, multiply-adds and vector spills of one turn. */
interface Count {
  instructions: number
  macs: number
  spills: number
}
type Counts = Record<string, Record<string, Count[]>>

const FILE = join(root, 'test/codegen.json')
/** Share of instructions per multiply-add by which a loop may grow unnoticed: another order of the same work. */
const SLACK = 0.1

function countLoops(functions: readonly CompiledFunction[]): Count[] {
  const multiply = (l: { body: readonly Parameters<typeof macs>[0][] }): number =>
    l.body.reduce((a, i) => a + macs(i), 0)
  return functions
    .flatMap((f) => flatten(loopsOf(f)).filter((l) => multiply(l) > 0 && !l.inner.some((i) => multiply(i) > 0)))
    .map((l) => ({ instructions: l.body.length, macs: multiply(l), spills: l.body.filter(isSpill).length }))
}

const v8 = (version: string): string => version.split('.')[0]!
const targets: { name: string; build: string; node: readonly string[] | undefined; hint: string }[] = [
  {
    name: `x64 Node ${v8(process.versions.node)}`,
    build: 'simd',
    node: process.arch === 'x64' ? [process.execPath] : undefined,
    hint: 'not an x64 Node',
  },
  {
    name: 'arm64 Node 24',
    build: 'simd',
    node: arm64Node('cortex-a72', 24),
    hint: 'arm64 Node or QEMU is not installed; .ci/engines.sh installs them',
  },
  {
    name: 'arm64 Node 24 with sdot',
    build: 'relaxed',
    node: arm64Node('cortex-a76', 24),
    hint: 'arm64 Node or QEMU is not installed; .ci/engines.sh installs them',
  },
]

const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Counts
const update = process.env.THIMBLE_UPDATE === '1'

for (const { name, build, node, hint } of targets) {
  const expected = stored[name]
  if (!node) skip(`codegen, ${name}`, hint)
  else if (!expected && !update) skip(`codegen, ${name}`, 'no counts are stored for this engine')
  else {
    test(`codegen, ${name}`, () => {
      const code = kernelCode(node, build)
      if (!code) return skip(`codegen, ${name}`, 'this engine does not print machine code, or the build is missing')
      const got = Object.fromEntries(
        [...code]
          .map(([kernel, functions]) => [KERNEL_NAMES[kernel]!, countLoops(functions)])
          .filter(([, loops]) => loops!.length),
      )
      if (update) {
        stored[name] = got as Counts[string]
        return
      }
      const worse: string[] = []
      for (const [kernel, loops] of Object.entries(expected!)) {
        loops.forEach((want, i) => {
          const now = (got as Counts[string])[kernel]?.[i]
          if (!now) worse.push(`${kernel}, loop ${i}: no such loop any more`)
          else if (now.instructions / now.macs > (want.instructions / want.macs) * (1 + SLACK)) {
            worse.push(
              `${kernel}, loop ${i}: ${now.instructions} instructions for ${now.macs} multiply-adds, stored ${want.instructions} for ${want.macs}`,
            )
          } else if (now.spills > want.spills + 1) {
            worse.push(`${kernel}, loop ${i}: ${now.spills} vector spills, stored ${want.spills}`)
          }
        })
      }
      if (worse.length) throw new Error(worse.join('\n'))
    })
  }
}

test('codegen, the counts see a kernel that multiplies', () => {
  const some = Object.values(stored).flatMap((k) => Object.values(k).flat())
  if (!some.length || some.some((c) => c.macs === 0)) throw new Error('test/codegen.json holds no counts')
})

test.after(() => {
  if (update) {
    writeFileSync(
      FILE,
      `${JSON.stringify(stored, null, 1).replace(/\{\n\s+("instructions": \d+),\n\s+("macs": \d+),\n\s+("spills": \d+)\n\s+\}/g, '{ $1, $2, $3 }')}\n`,
    )
  }
})

test.run()
