/** examples/embedded: the packed module as C on a bare-metal Cortex-M4F, run in QEMU's model of an Arm board. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { equalBytes, need, root, shared } from '../util.ts'

const test = suite('engines: embedded')
const dir = mkdtempSync(join(tmpdir(), 'thimble-embedded-'))
test.after(() => rmSync(dir, { recursive: true, force: true }))

const TOOLS = ['/usr/bin/wasm2c', '/usr/bin/arm-none-eabi-gcc', '/usr/bin/qemu-system-arm', join(root, 'dist/cli.js')]
const ready =
  shared('goldens') && TOOLS.every((path) => existsSync(path)) ? join(root, 'examples/embedded/build.sh') : undefined

/** Flash and RAM that the README of the example promises, in bytes. */
const LIMITS: Record<string, { flash: number; ram: number }> = {
  vww_96_int8: { flash: 144 * 1024, ram: 36 * 1024 },
  kws_ref_model: { flash: 48 * 1024, ram: 20 * 1024 },
}

for (const [model, limit] of Object.entries(LIMITS)) {
  need(
    test,
    `${model} on a Cortex-M4F answers as recorded`,
    { resource: ready, missing: 'wabt, gcc-arm-none-eabi, qemu-system-arm, ../shared or dist is missing' },
    (build) => {
      const out = join(dir, model)
      const r = spawnSync(
        build,
        [shared(`models/${model}.tflite`)!, out, shared(`goldens/${model}/random1.in0.bin`)!],
        { encoding: 'utf8' },
      )
      assert.is(r.status, 0, r.stderr)
      equalBytes(
        readFileSync(join(out, 'output.bin')),
        readFileSync(shared(`goldens/${model}/random1.out0.bin`)!),
        model,
      )
      // QEMU writes what the firmware prints to stderr.
      const number = (pattern: RegExp): number => Number(pattern.exec(r.stdout + r.stderr)![1])
      const flash = number(/^flash (\d+) bytes/m)
      const ram = number(/^RAM +(\d+) bytes/m)
      // What counts instructions under -icount is the board's timer, at 40 ns and so many instructions a tick.
      const instructions = number(/^ticks (\d+)/m) * 40
      if (model === 'vww_96_int8') assert.ok(instructions <= 4.25 * 7.5e6, `${instructions} instructions`)
      assert.ok(flash > 0 && flash <= limit.flash, `${flash} bytes of flash`)
      assert.ok(ram > 0 && ram <= limit.ram, `${ram} bytes of RAM`)
    },
  )
}

test.run()
