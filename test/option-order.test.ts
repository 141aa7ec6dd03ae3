/**
 * What is wrong with a call is said before what is wrong with a file: every option whose value can be judged by itself
 * is judged before a model, a photo, a folder or a stream is opened, in every command.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { COMMANDS } from '../src/cli/commands.ts'
import { thimble } from './call-cli.ts'

/** Calls whose files are all missing. */
const CALLS: Record<string, readonly string[]> = {
  classify: ['/no/photo.jpg', '--model', '/no/model.tflite'],
  detect: ['/no/photo.jpg', '--model', '/no/model.tflite'],
  pose: ['/no/photo.jpg', '--model', '/no/model.tflite'],
  segment: ['/no/photo.jpg', '--model', '/no/model.tflite'],
  embed: ['/no/photo.jpg', '--model', '/no/model.tflite'],
  faces: ['/no/photo.jpg', '--model', '/no/model.tflite'],
  watch: ['/no/stream', '--model', '/no/model.tflite'],
  serve: ['--port', '0', '--model', 'main=/no/model.tflite'],
  run: ['/no/model.tflite', '--input', '/no/x', '--output', '/no/y'],
  inspect: ['/no/model.tflite'],
  bench: ['/no/model.tflite'],
  pack: ['/no/model.tflite', '-o', '/no/x.wasm'],
  quantize: ['/no/model.h5', '--calibration', '/no/dir', '-o', '/no/out.tflite'],
  learn: ['/no/dir', '-o', '/no/x.thimble'],
  convert: ['/no/model.h5', '-o', '/no/x.tflite'],
}
/** Commands without files. */
const OTHERS = ['models', 'arch']

/** What `~` is a fine value for. */
const BAD: Record<string, string> = { on: 'person>7' }

/** Values that name things: any text may be one. */
const NAMES = /^(FILE|DIR|MODEL|PHOTO|LEARNED|PATH|PREFIX|HOST|KEY|URL|NAME=PATH|NAME=FILE|OUT.*)$/
const FREE = new Set(['watch --name', 'watch --discovery', 'pack --name', 'learn --remove', 'learn --name'])

test('every command is in the table', () => {
  assert.equal([...Object.keys(CALLS), ...OTHERS].sort(), Object.keys(COMMANDS).sort())
})

for (const [name, call] of Object.entries(CALLS)) {
  test(`${name}: an option that is not usable is told of, the missing files are not`, async () => {
    const { command } = await COMMANDS[name]!.load()
    const options = Object.entries(command.options).filter(
      ([option, { type, value = '' }]) => type === 'string' && !FREE.has(`${name} --${option}`) && !NAMES.test(value),
    )
    for (const [option] of options) {
      const { code, err, out } = await thimble([name, ...call, `--${option}=${BAD[option] ?? '~'}`])
      assert.is(code, 2, `--${option}: ${err}`)
      assert.match(err, new RegExp(`^thimble: usage/(option|arguments): .*--${option}\\b`), `--${option}`)
      assert.not.match(err, /\/no\//)
      assert.is(out, '')
    }
    // Without it the files are what is wrong.
    const { code, err } = await thimble([name, ...call])
    assert.ok(code === 1 || code === 2, err)
    assert.match(err, /\/no\//)
  })
}

test.run()
