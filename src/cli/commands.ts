/** The commands by name. Imports nothing that runs them: `thimble --help` answers from here. */
import type { Command } from './command.ts'

/** Every command, loaded only when it is called. */
export const COMMANDS: Record<string, { summary: string; load: () => Promise<{ command: Command }> }> = {
  classify: { summary: 'name what is in a photo', load: () => import('./classify.ts') },
  detect: { summary: 'boxes of what is in a photo', load: () => import('./detect.ts') },
  pose: { summary: 'key points of people, hands or faces', load: () => import('./pose.ts') },
  segment: { summary: 'what each pixel of a photo shows', load: () => import('./segment.ts') },
  embed: { summary: 'numbers that describe a photo, and how alike photos are', load: () => import('./embed.ts') },
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

/** What `thimble --help` prints. */
export function overview(): string {
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

/** `thimble --help`, `-h` and a bare `help`. */
export const asksForOverview = ([name, ...rest]: readonly string[]): boolean =>
  name === '--help' || name === '-h' || (name === 'help' && rest.length === 0)
