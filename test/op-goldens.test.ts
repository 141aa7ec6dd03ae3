/**
 * Small models of one op against what LiteRT answered (tools/goldens/record.py): equality in every variant and plan.
 * THIMBLE_OP_GOLDENS=DIR takes a larger set of the same form; THIMBLE_OP_KINDS=TILE,GATHER some kinds of it.
 */
import { existsSync, readdirSync } from 'node:fs'
import { test } from 'uvu'
import { loadModel } from '../src/node.ts'
import type { LoadOptions } from '../src/graph/types.ts'
import { opCasesOf, typed, type OpCase } from './op-cases.ts'
import { equalBytes, root } from './util.ts'

const directory = process.env.THIMBLE_OP_GOLDENS ?? `${root}test/goldens/ops`
const kinds = process.env.THIMBLE_OP_KINDS?.split(',')
const CHOICES: LoadOptions[] = [
  { variant: 'simd', kernels: 'x86', plan: 'speed' },
  { variant: 'simd', kernels: 'arm', plan: 'size' },
  { variant: 'scalar', plan: 'speed' },
  { variant: 'scalar', plan: 'size' },
]

async function check(c: OpCase, options: LoadOptions): Promise<void> {
  const model = await loadModel(Buffer.from(c.model, 'base64'), options)
  try {
    for (const { inputs, outputs } of c.runs) {
      const out = model.run(inputs.map((x, i) => typed(Buffer.from(x, 'base64'), model.inputs[i]!.dtype)))
      outputs.forEach((o, i) => {
        const { shape } = model.outputs[i]!
        if (`${shape}` !== `${o.shape}`) throw new Error(`output ${i}: shape [${shape}], expected [${o.shape}]`)
        equalBytes(out[i]!, Buffer.from(o.data, 'base64'), `output ${i}`)
      })
    }
  } finally {
    model.dispose()
  }
}

const files = existsSync(directory) ? readdirSync(directory) : []
for (const file of files.filter((f) => f.endsWith('.jsonl.gz'))) {
  const kind = file.replace('.jsonl.gz', '')
  if (kinds && !kinds.includes(kind)) continue
  test(kind, async () => {
    const failures: string[] = []
    const cases = opCasesOf(directory, new RegExp(`^${kind}$`))
    for (const [i, c] of cases.entries()) {
      for (const options of CHOICES) {
        try {
          await check(c, options)
        } catch (error) {
          failures.push(`line ${i + 1}, ${options.variant} ${options.plan}: ${(error as Error).message} (${c.note})`)
          break
        }
      }
    }
    if (failures.length) throw new Error(`${failures.length} of ${cases.length}\n${failures.slice(0, 5).join('\n')}`)
  })
}

test.run()
