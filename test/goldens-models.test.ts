/**
 * LiteRT's recorded answers to the networks that this repository ships or builds: equal bytes in every variant, kernel
 * choice and plan, with nothing but a clone. `npm run goldens` made the file.
 */
import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { loadModel } from '../src/node.ts'
import { CHOICES, nameOf, optionsOf } from './choices.ts'
import { goldenCases, goldenNetworks } from './golden-networks.ts'
import { LITERT_MISSING, litertPython } from './peer-python.ts'
import { checkAnswer, recordedAnswers } from './recorded.ts'
import { need, root } from './util.ts'

const recorded = recordedAnswers()

for (const network of goldenNetworks()) {
  const answers = recorded.models[network.name]
  const cases = goldenCases(network, recorded.seed)
  const large = network.tflite.length > 1e6
  for (const choice of CHOICES) {
    const generic = choice.variant === 'simd' && choice.kernels === 'generic'
    // Large networks take the kernels that people get; the small ones hold every op and take all there are.
    if (large && !generic && !(choice.variant === 'scalar' && network.name === 'mobilenet_v2_1.0_224')) continue
    const chosen = large && !generic ? cases.slice(0, 1) : cases
    for (const plan of large && !generic ? (['speed'] as const) : (['speed', 'size'] as const)) {
      test(`${network.name}, ${nameOf(choice)}, plan ${plan}: LiteRT's bytes`, async () => {
        assert.ok(answers, 'recorded')
        const model = await loadModel(network.tflite, { ...optionsOf(choice), plan })
        for (const c of chosen) {
          const want = answers[c.name]!
          assert.is(want.length, network.graph.outputs.length)
          model.run(c.inputs).forEach((out, k) => {
            const what = `${c.name}, output ${k}`
            checkAnswer(out, want[k]!, what)
          })
        }
        model.dispose()
      })
    }
  }
}

need(
  test,
  'LiteRT and Thimble answer alike to new inputs (npm run goldens -- --fresh)',
  { resource: process.env.THIMBLE_FAST === '1' ? undefined : litertPython(), missing: LITERT_MISSING },
  (python) => {
    const { stdout, stderr } = spawnSync('npm', ['run', '--silent', 'goldens', '--', '--fresh'], {
      cwd: root,
      encoding: 'utf8',
      env: { ...process.env, THIMBLE_PYTHON: python },
    })
    assert.match(stdout, /^\d+ answers equal, 0 different/m, stderr.slice(-2000))
  },
)

test.run()
