/** examples/embedded: the packed module as C on a bare-metal Cortex-M4F, run in QEMU's model of an Arm board. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { recordedNetworks } from '../recorded.ts'
import { need, root } from '../util.ts'

const test = suite('engines: embedded')
const dir = mkdtempSync(join(tmpdir(), 'thimble-embedded-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const TOOLS = ['/usr/bin/wasm2c', '/usr/bin/arm-none-eabi-gcc', '/usr/bin/qemu-system-arm', join(root, 'dist/cli.js')]
const ready = TOOLS.every((path) => existsSync(path)) ? join(root, 'examples/embedded/build.sh') : undefined

interface Limit {
  /** Bytes that the README of the example promises. */
  flash: number
  ram: number
  /** Instructions an inference. */
  instructions?: number
}
/** 4.25 instructions a multiply-add. */
const WAKE_WORDS: Limit = { flash: 144 * 1024, ram: 36 * 1024, instructions: 4.25 * 7.5e6 }
const KEYWORDS: Limit = { flash: 48 * 1024, ram: 20 * 1024 }
const LIMITS: Readonly<Record<string, Limit>> = {
  vww_96_int8: WAKE_WORDS,
  kws_ref_model: KEYWORDS,
  separable_96: { ...WAKE_WORDS, flash: 264 * 1024 },
  spotter_49x10: KEYWORDS,
}

for (const { name, path, cases } of recordedNetworks) {
  const limit = LIMITS[name]
  if (!limit) continue
  need(
    test,
    `${name} on a Cortex-M4F answers as recorded`,
    { resource: ready, missing: 'wabt, gcc-arm-none-eabi, qemu-system-arm or dist is missing' },
    (build) => {
      const out = join(dir, name)
      const input = join(dir, `${name}.bin`)
      const [first] = cases
      writeFileSync(input, first!.inputs[0]!)
      const r = spawnSync(build, [path, out, input], { encoding: 'utf8' })
      assert.is(r.status, 0, r.stderr)
      first!.check(readFileSync(join(out, 'output.bin')), 0, name)
      // QEMU writes what the firmware prints to stderr.
      const number = (pattern: RegExp): number => Number(pattern.exec(r.stdout + r.stderr)![1])
      const flash = number(/^flash (\d+) bytes/m)
      const ram = number(/^RAM +(\d+) bytes/m)
      // What counts instructions under -icount is the board's timer, at 40 ns and so many instructions a tick.
      const instructions = number(/^ticks (\d+)/m) * 40
      assert.ok(instructions <= (limit.instructions ?? Infinity), `${instructions} instructions`)
      assert.ok(flash > 0 && flash <= limit.flash, `${flash} bytes of flash`)
      assert.ok(ram > 0 && ram <= limit.ram, `${ram} bytes of RAM`)
    },
  )
}

test.run()
