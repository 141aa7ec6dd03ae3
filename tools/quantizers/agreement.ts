/**
 * How often the int8 form of a float classifier says what the float one says: quantizes it, runs both on photos, prints
 * signal to noise, agreement and, where the folders name classes, how often each is right.
 *
 * Usage: npx tsx tools/quantizers/agreement.ts FLOAT_MODEL --calibration DIR --evaluation DIR [--size N] [--stretch]
 * [--inputs N] [--photos N] [--seed N] [--scheme NAME] [--ranges METHOD] [--layers]
 *   DIR: photos, or one folder of them a class. --size: side of a state dict's input. --stretch: photos are stretched
 *   to it. --inputs: calibration inputs. --photos: at most so many to compare on. --layers: also each tensor's share of
 *   the noise, and how far it is from float with everything before it quantized too
 */
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { readFloatModel } from '../../src/convert/index.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { random, variations } from '../../src/quantize/augment.ts'
import { evaluate, type Evaluation } from '../../src/quantize/evaluate.ts'
import { photoInput, pixelRange } from '../../src/quantize/inputs.ts'
import { quantize, type Quantized, type QuantizeOptions } from '../../src/quantize/quantize.ts'
import { noiseSources } from './noise.ts'
import { photosIn } from './photos.ts'

const USAGE =
  'usage: npx tsx tools/quantizers/agreement.ts FLOAT_MODEL --calibration DIR --evaluation DIR [--size N] [--stretch] [--layers]'
const db = (v: number): string => (Number.isFinite(v) ? v.toFixed(1) : 'exact')

/** One line an op: how far it is from float, and what share of all noise it makes by itself. */
function layerLines(q: Quantized, { layers }: Evaluation, inputs: readonly Float32Array[]): string[] {
  const { signal, sources } = noiseSources(q, inputs)
  const total = sources.reduce((sum, s) => sum + s.noise, 0)
  const share = (op: number, part: 'output' | 'filter'): string => {
    const found = sources.find((s) => s.op === op && s.part === part)
    return found ? `${((100 * found.noise) / total).toFixed(1)} %` : ''
  }
  const filters = sources.reduce((sum, s) => sum + (s.part === 'filter' ? s.noise : 0), 0)
  return [
    `each alone, added up: ${db(10 * Math.log10(signal / total))} dB; filters only: ${db(10 * Math.log10(signal / filters))} dB`,
    'op                  tensor                                     dB  noise filter  range',
    ...q.graph.ops.map((op, i) => {
      const { name, quantization } = q.graph.tensors[op.outputs[0]!]!
      const at = (v: number): string => (quantization!.scales[0]! * (v - quantization!.zeroPoints[0]!)).toFixed(2)
      return [
        op.type.padEnd(19),
        name.slice(-38).padEnd(38),
        db(layers.find((l) => l.index === i)?.sqnr ?? Infinity).padStart(6),
        share(i, 'output').padStart(6),
        share(i, 'filter').padStart(6),
        quantization ? ` ${at(-128)} to ${at(127)}` : '',
      ].join(' ')
    }),
  ]
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      calibration: { type: 'string' },
      evaluation: { type: 'string' },
      size: { type: 'string' },
      stretch: { type: 'boolean', default: false },
      inputs: { type: 'string', default: '32' },
      photos: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '1' },
      scheme: { type: 'string', default: 'int8' },
      ranges: { type: 'string', default: 'auto' },
      layers: { type: 'boolean', default: false },
    },
  })
  const [path] = positionals
  if (path === undefined || !values.calibration || !values.evaluation) throw new Error(USAGE)
  const read = await readFloatModel(path, values.size === undefined ? {} : { size: Number(values.size) })
  const fit = values.stretch ? ({ fit: 'stretch' } as const) : {}
  const graph: Graph = {
    ...read,
    metadata: { ...read.metadata, preprocess: { ...read.metadata.preprocess!, ...fit } },
  }
  const input = photoInput(graph)
  const calibration = variations(
    photosIn(values.calibration).map((p) => p.pixels),
    Number(values.inputs),
    random(Number(values.seed)),
  )
  const photos = photosIn(values.evaluation, Number(values.photos))
  const inputs = photos.map(({ name, pixels }) => ({ name, data: input(pixels) }))
  const start = performance.now()
  const q = quantize(
    graph,
    calibration.map((c) => input(c.pixels)),
    {
      seed: Number(values.seed),
      photoOf: calibration.map((c) => c.photo),
      inputRange: pixelRange(graph.metadata.preprocess!),
      scheme: values.scheme as NonNullable<QuantizeOptions['scheme']>,
      ranges: values.ranges as NonNullable<QuantizeOptions['ranges']>,
    },
  )
  const seconds = (performance.now() - start) / 1000
  const measured = await evaluate(graph, q, inputs)
  const { photos: results, asTheyAre } = measured
  const median = results.map((r) => r.sqnr).sort((a, b) => a - b)[results.length >> 1]!
  const percent = (n: number): string => `${((100 * n) / results.length).toFixed(1)} %`
  const right = (side: 'float' | 'int8'): number => results.filter((r, i) => r[side].index === photos[i]!.truth).length
  const labelled = photos.every((p) => p.truth !== undefined)
  console.log(
    `${basename(path)}, ${values.scheme}: ${db(asTheyAre.logitSqnr)} dB over ${results.length} photos (median ${db(median)}); ` +
      `agrees with float on ${percent(asTheyAre.top1)}` +
      (labelled ? `; right ${percent(right('float'))} in float, ${percent(right('int8'))} in ${values.scheme}` : '') +
      `; ${q.beyond === undefined ? '' : `ranges times ${q.beyond}; `}${seconds.toFixed(0)} s`,
  )
  if (!values.layers) return
  const some = inputs.filter((_, i) => i % Math.ceil(inputs.length / 16) === 0).map((i) => i.data)
  for (const line of layerLines(q, measured, some)) console.log(line)
}

await main()
