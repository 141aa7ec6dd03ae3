/**
 * Models planned for other shapes of their inputs, against what LiteRT answers after `resize_tensor_input`
 * (tools/goldens/resized.py): by `inputShapes`, in their order and by name, and by `--input-shape`.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine/engine.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { loadModel } from '../src/node.ts'
import { withPrograms } from '../src/plan/record.ts'
import type { LoadOptions, Model } from '../src/graph/types.ts'
import { thimble } from './call-cli.ts'
import { equalBytes, errorCode, root } from './util.ts'

interface Run {
  shapes: number[][]
  inputs: string[]
  outputs: { shape: number[]; data: string }[]
}
interface Case {
  name: string
  model: string
  runs: Run[]
}

const cases = JSON.parse(gunzipSync(readFileSync(`${root}test/fixtures/resized.json.gz`)).toString()) as Case[]
const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(base64, 'base64'))

function check(model: Model, { shapes, inputs, outputs }: Run): void {
  assert.equal(
    model.inputs.map((t) => [...t.shape]),
    shapes,
  )
  assert.equal(
    model.outputs.map((t) => [...t.shape]),
    outputs.map((o) => o.shape),
  )
  const got = model.run(inputs.map((x, i) => new (arrayType(model.inputs[i]!.dtype))(bytesOf(x).buffer)))
  outputs.forEach((o, i) => equalBytes(got[i]!, bytesOf(o.data), `output ${i} of [${shapes.join('], [')}]`))
}

const FORMS: LoadOptions[] = [
  { variant: 'simd', plan: 'speed' },
  { variant: 'simd', plan: 'size', kernels: 'arm' },
  { variant: 'scalar' },
  { threads: 2 },
]

for (const { name, model, runs } of cases) {
  test(`${name}: every shape in every variant`, async () => {
    for (const run of runs) {
      for (const options of FORMS) {
        const loaded = await loadModel(bytesOf(model), { ...options, inputShapes: run.shapes })
        try {
          check(loaded, run)
        } finally {
          loaded.dispose()
        }
      }
    }
  })

  test(`${name}: by name, and from a .thimble that holds programs for its own shapes`, async () => {
    const graph = readModel(bytesOf(model))
    const names = graph.inputs.map((i) => graph.tensors[i]!.name)
    for (const run of runs) {
      const inputShapes = Object.fromEntries(names.map((n, i) => [n, run.shapes[i]!]))
      const loaded = await loadModel(writePacked(withPrograms(graph)), { inputShapes })
      try {
        check(loaded, run)
      } finally {
        loaded.dispose()
      }
    }
  })

  test(`${name}: run --input-shape`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'thimble-resized-'))
    try {
      const file = join(folder, 'model.tflite')
      writeFileSync(file, bytesOf(model))
      for (const run of runs) {
        const inputs = run.inputs.map((x, i) => join(folder, `x${i}`))
        run.inputs.forEach((x, i) => writeFileSync(inputs[i]!, bytesOf(x)))
        const shapes = run.shapes.flatMap((s) => ['--input-shape', s.join()])
        const { code, err } = await thimble([
          'run',
          file,
          '--input',
          ...inputs,
          '--output',
          join(folder, 'y'),
          ...shapes,
        ])
        assert.is(code, 0, err)
        run.outputs.forEach((o, i) =>
          equalBytes(new Uint8Array(readFileSync(join(folder, `y${i}`))), bytesOf(o.data), `output ${i}`),
        )
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
}

test('shapes that do not fit end in one error that says what does', async () => {
  const model = bytesOf(cases[0]!.model)
  const wrong: [NonNullable<LoadOptions['inputShapes']>, RegExp][] = [
    [[[1, 8, 8, 4]], /channels do not match|shape/],
    [[[1, 8, 8]], /rank|dimensions|shape/],
    [[[1, 0, 8, 3]], /shape/],
    [{ nobody: [1, 8, 8, 3] }, /nobody|name|input/],
    [
      [
        [1, 8, 8, 3],
        [1, 8, 8, 3],
      ],
      /input/,
    ],
  ]
  for (const [inputShapes, message] of wrong) {
    const error = await loadModel(model, { inputShapes }).then(
      () => assert.unreachable(JSON.stringify(inputShapes)),
      (e: unknown) => e as Error,
    )
    assert.match(
      errorCode(() => {
        throw error
      }),
      /^[a-z]+\/[a-z-]+$/,
    )
    assert.match((error as Error).message, message)
  }
})

test.run()
