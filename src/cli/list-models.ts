/** `thimble models`: the models by name, as the trades they are. */
import { ThimbleError } from '../base/errors.ts'
import { flag } from './args.ts'
import type { Args, Command } from './command.ts'
import { type Accuracy, howToGet, type ShippedModel, shippedModels, shippedPath, taskOfShipped } from './shipped.ts'
import { count, grouped, ms, table } from './text.ts'

/** Headings by task, in the order they are listed. */
const TASKS: Readonly<Record<string, string>> = {
  classification: 'classify: what a photo shows',
  detection: 'detect: boxes',
  pose: 'pose: key points, and the detector before them',
  segmentation: 'segment: masks',
  faces: 'faces: detectors',
  landmarks: 'faces: points',
  attributes: 'faces: age, gender, expression',
  hands: 'hands: palms, and points of one',
}
const headingOf = (task: string): string => TASKS[task] ?? task

const accuracyText = ({ measure, percent, float }: Accuracy): string =>
  `${percent} % ${measure}${float === undefined ? '' : ` (float ${float})`}`
const megabytes = (bytes: number | undefined): string => (bytes === undefined ? '' : `${(bytes / 1e6).toFixed(1)} MB`)
const kibibytes = (bytes: number | undefined): string => (bytes === undefined ? '' : `${grouped(bytes / 1024)} KiB`)

/** A model as `--json` prints it. */
const asJson = (model: ShippedModel): object => {
  const path = shippedPath(model)
  return {
    ...model,
    task: taskOfShipped(model),
    here: path !== undefined,
    ...(path === undefined ? { get: howToGet(model) } : { path }),
  }
}

function row(model: ShippedModel): string[] {
  const { name, input, accuracy, timing, arenaBytes, bytes } = model
  return [
    `  ${name}${model.default ? ' *' : ''}`,
    input ? `${input[1]}x${input[0]}` : '',
    accuracy?.[0] ? accuracyText(accuracy[0]) : 'not measured',
    timing ? `${ms(timing.ms)} ms` : '',
    kibibytes(arenaBytes),
    megabytes(bytes),
    shippedPath(model) === undefined ? 'no' : 'yes',
  ]
}

/** All models, a table for each task. */
function listing(models: readonly ShippedModel[]): string {
  const tasks = [...new Set([...Object.keys(TASKS), ...models.map(taskOfShipped)])]
  const of = (task: string): ShippedModel[] => models.filter((m) => taskOfShipped(m) === task)
  const rows = tasks
    .filter((task) => of(task).length > 0)
    .flatMap((task) => [
      [headingOf(task), 'input', 'accuracy', 'inference', 'arena', 'file', 'here'],
      ...of(task).map(row),
      [''],
    ])
  const timed = models.find((m) => m.timing)?.timing
  const notes = [
    '* what the command uses when none is named. thimble models NAME tells more of one.',
    ...(timed ? [`Inference: ${timed.on}, one thread; thimble bench NAME times one here.`] : []),
    ...(models.every((m) => shippedPath(m) !== undefined)
      ? []
      : ['Not here: npm install thimble-models brings them all, npm run zoo -- NAME makes one in the repository.']),
  ]
  return `${table(rows, [3, 4, 5])}\n${notes.join('\n')}\n`
}

/** Everything about one. */
function about(model: ShippedModel): string {
  const { input, accuracy, timing, arenaBytes, bytes, macs, license, source, description } = model
  const path = shippedPath(model)
  const rows: [string, string | undefined][] = [
    ['task', headingOf(taskOfShipped(model))],
    ['input', input && `${input[1]}x${input[0]}`],
    ...(accuracy ?? []).map((a): [string, string] => ['accuracy', `${accuracyText(a)}, ${a.on}`]),
    ['inference', timing && `${ms(timing.ms)} ms, one thread, ${timing.on}`],
    ['work', macs === undefined ? undefined : `${count(macs)} multiply-adds`],
    ['arena', kibibytes(arenaBytes)],
    ['size', megabytes(bytes)],
    ['licence', license],
    ['from', source],
    ['file', path ?? `not here: ${howToGet(model)}`],
    ['made by', `npm run zoo -- ${model.name}`],
  ]
  const shown = rows.flatMap(([name, value]) => (value ? [[`  ${name}`, value]] : []))
  return `${model.name}${description ? `: ${description}` : ''}\n${table(shown)}\n`
}

function named(models: readonly ShippedModel[], names: readonly string[]): ShippedModel[] {
  return names.map((name) => {
    const found = models.find((m) => m.name === name)
    if (found) return found
    throw new ThimbleError('usage/model', `no shipped model is called ${name}`, {
      expected: models.map((m) => m.name).join(', '),
      hint: 'for a file of yours: thimble inspect',
    })
  })
}

function run(args: Args): Promise<void> {
  const all = shippedModels()
  const wanted = args.positionals.length ? named(all, args.positionals) : all
  const text = flag(args, 'json')
    ? `${JSON.stringify(wanted.map(asJson), null, 2)}\n`
    : args.positionals.length
      ? wanted.map(about).join('\n')
      : listing(wanted)
  process.stdout.write(text)
  return Promise.resolve()
}

export const command: Command = {
  name: 'models',
  summary: 'Lists the models by name: accuracy, time, memory, size, licence, and which are here.',
  usage: 'models [NAME...] [--json]',
  options: {
    json: { type: 'boolean', help: 'print [{ name, task, input, accuracy, timing, arenaBytes, bytes, here, … }]' },
  },
  notes: 'Every command takes these names for MODEL.',
  run,
}
