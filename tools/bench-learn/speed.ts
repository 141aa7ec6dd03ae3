/** Time and memory of the command itself: 5 classes of 20 photos at 640x480. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import jpeg from 'jpeg-js'
import { decodeImage } from '../../src/image/decode.ts'
import { cropImage } from '../../src/vision/crop.ts'
import { root } from '../../test/util.ts'

const [WIDTH, HEIGHT, CLASSES, PHOTOS] = [640, 480, 5, 20]
const SAMPLES = ['astronaut', 'cat', 'coffee']

/** A part of a sample photo, scaled to 640x480 by its nearest pixels. */
function photo(label: string, at: number): Uint8Array {
  const whole = decodeImage(readFileSync(join(root, `weights/samples/${label}.jpg`)))
  const [width, height] = [Math.floor(whole.width * 0.6), Math.floor(whole.height * 0.6)]
  const x = Math.floor(((whole.width - width) * (at % 5)) / 4)
  const y = Math.floor(((whole.height - height) * Math.floor(at / 5)) / 5)
  const { data, channels = 3 } = cropImage(whole, { x, y, width, height })
  const out = new Uint8Array(WIDTH * HEIGHT * 4).fill(255)
  for (let row = 0; row < HEIGHT; row++) {
    for (let column = 0; column < WIDTH; column++) {
      const from = (Math.floor((row * height) / HEIGHT) * width + Math.floor((column * width) / WIDTH)) * channels
      for (let c = 0; c < 3; c++) out[(row * WIDTH + column) * 4 + c] = data[from + c]!
    }
  }
  return jpeg.encode({ data: out, width: WIDTH, height: HEIGHT }, 90).data
}

export interface Speed {
  wholeMs: number
  photosMs: number
  trainMs: number
  peakBytes: number
}

/** The least of `runs` runs of the built command, in processes of their own. */
export function speed(runs: number): Speed {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-bench-learn-'))
  try {
    for (let c = 0; c < CLASSES; c++) {
      mkdirSync(join(folder, 'photos', `class ${c}`), { recursive: true })
      for (let i = 0; i < PHOTOS; i++) {
        writeFileSync(join(folder, 'photos', `class ${c}`, `${i}.jpg`), photo(SAMPLES[c % 3]!, (i + 7 * c) % 30))
      }
    }
    const peak = join(folder, 'peak.mjs')
    writeFileSync(peak, "process.on('exit', () => process.stderr.write(`peak ${process.resourceUsage().maxRSS}\\n`))\n")
    const all = Array.from({ length: runs }, () => {
      const start = performance.now()
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        [
          '--import',
          peak,
          join(root, 'dist/cli.js'),
          'learn',
          join(folder, 'photos'),
          '-o',
          join(folder, 'x.tflite'),
          '--json',
        ],
        { encoding: 'utf8', maxBuffer: 1 << 26, timeout: 300_000 },
      )
      if (status !== 0) throw new Error(`thimble learn: ${stderr}`)
      const { featuresMs, trainMs } = JSON.parse(stdout) as { featuresMs: number; trainMs: number }
      const kilobytes = Number(/^peak (\d+)$/m.exec(stderr)![1])
      return { wholeMs: performance.now() - start, photosMs: featuresMs, trainMs, peakBytes: kilobytes * 1024 }
    })
    const least = (field: keyof Speed): number => Math.min(...all.map((run) => run[field]))
    return {
      wholeMs: least('wholeMs'),
      photosMs: least('photosMs'),
      trainMs: least('trainMs'),
      peakBytes: Math.max(...all.map((run) => run.peakBytes)),
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
