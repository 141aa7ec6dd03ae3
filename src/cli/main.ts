/** `thimble …`: finds the command, runs it, and turns whatever goes wrong into one line and an exit code. */
import { ThimbleError } from '../errors.ts'
import { nearest } from '../options.ts'
import { helpText, parseCommandLine } from './args.ts'
import type { Command } from './command.ts'
import { packageVersion } from './package.ts'
import { report } from './report.ts'

/** Every command, loaded only when it is called. */
const COMMANDS: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  classify: { summary: 'name what is in a photo', load: () => import('./classify.ts') },
  detect: { summary: 'boxes of what is in a photo', load: () => import('./detect.ts') },
  pose: { summary: 'key points of people, hands or faces', load: () => import('./pose.ts') },
  segment: { summary: 'what each pixel of a photo shows', load: () => import('./segment.ts') },
  faces: { summary: 'faces with points, age, gender and expression', load: () => import('./faces.ts') },
  watch: { summary: 'answers about a camera or a stream, frame by frame', load: () => import('./watch.ts') },
  serve: {
    summary: 'answers over HTTP, also as DeepStack and Open Inference Protocol',
    load: () => import('./serve.ts'),
  },
  run: { summary: 'raw tensors in, raw tensors out', load: () => import('./run.ts') },
  inspect: { summary: "a model's tensors, ops, kernels, costs and memory", load: () => import('./inspect.ts') },
  bench: { summary: 'how fast a model runs here', load: () => import('./bench.ts') },
  pack: { summary: 'one self-contained WebAssembly module of a model', load: () => import('./pack.ts') },
  quantize: { summary: 'a float model to int8, calibrated on photos', load: () => import('./quantize.ts') },
  learn: { summary: 'your own classes from a few photos of each', load: () => import('./learn.ts') },
  models: { summary: 'the models that are known by name', load: () => import('./list-models.ts') },
  convert: { summary: 'a model of another tool, as .tflite or packed file', load: () => import('./convert.ts') },
  arch: { summary: 'MobileNets of every width and resolution compared', load: () => import('./arch.ts') },
}

function overview(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length)) + 3
  const rows = Object.entries(COMMANDS)
    .map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`)
    .join('\n')
  return (
    `thimble COMMAND ...\n\nRuns int8 vision models (.tflite) in WebAssembly, with LiteRT's exact answers.\n\nCommands:\n${rows}\n\n` +
    'thimble COMMAND --help tells more; thimble --version prints the version.\n' +
    'Exit code 0: done; 1: the model or image is at fault; 2: the call is at fault.\n'
  )
}

/** Runs one call; returns the exit code. Never throws. */
export async function main(argv: string[]): Promise<number> {
  try {
    return await dispatch(argv)
  } catch (error) {
    return report(error)
  }
}

async function dispatch(argv: string[]): Promise<number> {
  const [name, ...rest] = argv
  if (name === undefined) {
    throw new ThimbleError('usage/command', 'no command given', {
      expected: Object.keys(COMMANDS).join(', '),
      hint: 'usage: thimble COMMAND ..., see thimble --help',
    })
  }
  if (name === '--version' || name === '-v') return print(`${packageVersion()}\n`)
  if (name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)) return print(overview())
  const wanted = name === 'help' ? rest[0]! : name
  if (!Object.hasOwn(COMMANDS, wanted)) {
    const kind = wanted.startsWith('-') ? 'option' : 'command'
    const near = nearest(wanted, Object.keys(COMMANDS))
    throw new ThimbleError(`usage/${kind}`, `unknown ${kind} ${wanted}`, {
      expected: Object.keys(COMMANDS).join(', '),
      hint: `${near && kind === 'command' ? `did you mean ${near}? ` : ''}usage: thimble COMMAND ..., see thimble --help`,
    })
  }
  const { command } = await COMMANDS[wanted]!.load()
  if (name === 'help') return print(helpText(command))
  const args = parseCommandLine(command, rest)
  if (args.options.help) return print(helpText(command))
  return (await command.run(args)) ?? 0
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}
