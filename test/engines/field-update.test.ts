/** examples/field-update: a device keeps its model until a newer one is signed, starts and answers what it has to. */
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process'
import type { KeyObject } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { packGraph } from '../../src/pack/pack.ts'
import { encodeModule, parseModule } from '../../src/pack/wasm.ts'
import { ENGINES_FOLDER } from '../../tools/codegen/kernels.ts'
import { GraphBuilder } from '../small-models.ts'
import { root, skip } from '../util.ts'

interface Update {
  version: number
  module: Uint8Array
  input: Uint8Array
  output: Uint8Array
}
const { bundle, makeKey } = (await import(`${root}examples/field-update/update.mjs`)) as {
  bundle(key: KeyObject, update: Update): Uint8Array
  makeKey(): { privateKey: KeyObject; publicHex: string }
}

const test = suite('engines: field update')
const dir = mkdtempSync(join(tmpdir(), 'thimble-field-'))
const agent = join(dir, 'agent')
const INPUT = Uint8Array.from({ length: 6 * 6 * 3 }, (_, i) => i * 37)

/** A model of its own for every seed, and what it answers here. */
async function update(version: number, seed: number): Promise<Update> {
  const b = new GraphBuilder(seed)
  const y = b.op(
    'CONV_2D',
    [b.input([1, 6, 6, 3]), b.weights([8, 3, 3, 3], 0), b.bias(8, 8)],
    [b.tensor([1, 6, 6, 8], 'int8', 0.3, 3)],
    { padding: 'SAME', activation: 'NONE', strideH: 1, strideW: 1, dilationH: 1, dilationW: 1 },
  )
  const { wasm } = await packGraph(b.done(y), { name: 'm' })
  return { version, module: wasm, input: INPUT, output: answerOf(wasm) }
}

function answerOf(wasm: Uint8Array): Uint8Array {
  const module = new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>)
  const e = new WebAssembly.Instance(module).exports as Record<string, any>
  new Uint8Array(e.memory.buffer).set(INPUT, e.thimble_input_ptr(0))
  assert.is(e.thimble_invoke(), 0)
  return new Uint8Array(e.memory.buffer).slice(e.thimble_output_ptr(0)).slice(0, e.thimble_output_bytes(0))
}

/** The same module, whose inference never comes back. */
function endless(wasm: Uint8Array): Uint8Array {
  const m = parseModule(wasm)
  const { index } = m.exports.find(({ name }) => name === 'thimble_invoke')!
  // loop; br 0; end; unreachable; end
  m.functions[index]!.body = Uint8Array.of(0, 0x03, 0x40, 0x0c, 0, 0x0b, 0x00, 0x0b)
  return encodeModule(m)
}

const started: Agent[] = []

/** An agent that is spoken to by lines, one answer each. */
class Agent {
  private readonly child: ChildProcessWithoutNullStreams
  private readonly lines: AsyncIterator<string>

  constructor(publicHex: string) {
    this.child = spawn(agent, [dir, publicHex])
    started.push(this)
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]()
  }
  async answer(): Promise<string> {
    return String((await this.lines.next()).value)
  }
  ask(line: string): Promise<string> {
    this.child.stdin.write(`${line}\n`)
    return this.answer()
  }
  end(): void {
    this.child.kill()
  }
}

const damaged = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((b, i) => (i === (at < 0 ? bytes.length + at : at) ? b ^ 1 : b))
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

// What builds this agent has built wazero, too.
const built =
  existsSync(join(ENGINES_FOLDER, 'bin/wazero-host')) &&
  spawnSync('go', ['build', '-C', join(root, 'examples/field-update'), '-o', agent, '.'], { timeout: 240_000 })
    .status === 0

if (!built) skip('field update', 'needs Go and wazero; .ci/engines.sh wazero brings it')
else {
  test('the old model stays until a new one has proved itself', async () => {
    const { privateKey, publicHex } = makeKey()
    const [first, second, third] = [await update(1, 1), await update(2, 2), await update(3, 3)]
    assert.is.not(hex(first.output), hex(second.output))
    writeFileSync(join(dir, 'input'), INPUT)
    writeFileSync(join(dir, 'current'), bundle(privateKey, first))
    let device = new Agent(publicHex)
    assert.is(await device.answer(), 'running 1')
    const run = `run ${join(dir, 'input')}`
    const offer = (file: Uint8Array): Promise<string> => {
      writeFileSync(join(dir, 'next'), file)
      return device.ask('update')
    }
    assert.is(await device.ask(run), hex(first.output))
    assert.is(await offer(bundle(privateKey, second)), 'running 2')
    assert.is(await device.ask(run), hex(second.output))

    const signed = bundle(privateKey, third)
    const importing = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 97, 1, 98, 0, 0)
    const refusals: [file: Uint8Array, why: RegExp][] = [
      [damaged(signed, 0), /signature/],
      [damaged(signed, 64), /signature/],
      [damaged(signed, -1), /signature/],
      [signed.slice(0, 40), /too short/],
      [signed.slice(0, -1), /signature/],
      [bundle(makeKey().privateKey, third), /signature/],
      [bundle(privateKey, first), /version 1 is not newer than 2/],
      [bundle(privateKey, { ...third, version: 2 }), /version 2 is not newer/],
      [bundle(privateKey, { ...third, output: damaged(third.output, 5) }), /another one/],
      [bundle(privateKey, { ...third, module: second.module }), /another one/],
      [bundle(privateKey, { ...third, module: third.module.slice(0, -100) }), /does not start/],
      [bundle(privateKey, { ...third, module: importing }), /does not start/],
      [bundle(privateKey, { ...third, module: endless(third.module) }), /thimble_invoke failed: .*deadline/],
      [bundle(privateKey, { ...third, module: new Uint8Array(0) }), /does not start/],
      [bundle(privateKey, { ...third, input: INPUT.slice(1) }), /the input has 107 bytes, the model's 108/],
    ]
    for (const [file, why] of refusals) {
      assert.match(await offer(file), new RegExp(`^refused: .*${why.source}`))
      assert.not(existsSync(join(dir, 'next')))
      assert.is(await device.ask(run), hex(second.output), String(why))
    }
    assert.match(await device.ask('update'), /^refused: /)
    device.end()
    device = new Agent(publicHex)
    assert.is(await device.answer(), 'running 2')
    assert.is(await offer(signed), 'running 3')
    assert.is(await device.ask(run), hex(third.output))
    assert.equal(new Uint8Array(readFileSync(join(dir, 'current'))), new Uint8Array(signed))
    device.end()
  })
}

test.after(() => {
  for (const each of started) each.end()
  rmSync(dir, { recursive: true, force: true })
})
test.run()
