/**
 * TESTING.md: how Thimble is tested, with numbers counted in this repository. A number is stated as "more than" and
 * rounded down, so that the page stays true while tests are added. Usage: tsx tools/docs/testing.ts
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { engines } from '../../test/engines/engines.ts'
import { ERROR_CODES } from './error-codes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const read = (path: string): string => readFileSync(join(root, path), 'utf8')
const json = <T>(path: string): T => JSON.parse(read(path)) as T
const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** Files of a folder and the folders in it, but not of those named in `without`. */
function filesIn(folder: string, without: readonly string[] = []): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (!entry.isDirectory()) return [path]
    return without.includes(entry.name) ? [] : filesIn(path, without)
  })
}
const linesOf = (paths: readonly string[]): number => sum(paths.map((path) => count(read(path), /\S.*\n/g)))
const scripts = (folder: string): string[] =>
  filesIn(folder, ['node_modules', 'generated', 'fixtures', 'corpus']).filter((path) => path.endsWith('.ts'))

/** A row of the table of mutants in CONTRIBUTING.md that was measured. */
export interface Mutants {
  folder: string
  tried: number
  killed: number
}

/** What the page states, counted now. */
export interface Facts {
  sourceLines: number
  testLines: number
  testFiles: number
  tests: number
  networks: number
  networkAnswers: number
  opCases: number
  opKinds: number
  kernels: number
  properties: number
  engines: number
  hosts: number
  consumers: number
  models: number
  pictures: number
  damagedPictures: number
  corpusFiles: number
  executions: number
  targets: number
  findingsLeft: number
  mutants: readonly Mutants[]
  errorCodes: number
  examples: number
}

function mutantsOf(page: string): Mutants[] {
  const rows = page.matchAll(/^\| `(src\/\w+)` \| [\d,]+ \| ([\d,]+) \| ([\d,]+) \|/gm)
  const number = (text: string): number => Number(text.replaceAll(',', ''))
  return Array.from(rows, ([, folder, tried, killed]) => ({
    folder: folder!,
    tried: number(tried!),
    killed: number(killed!),
  }))
}

export function facts(): Facts {
  const tests = scripts('test')
  const files = tests.filter((path) => path.endsWith('.test.ts'))
  const { models } = json<{ models: Record<string, object> }>('test/goldens/models.json')
  const ops = filesIn('test/goldens').filter((path) => path.endsWith('.jsonl.gz'))
  const cases = ops.map((path) => count(gunzipSync(readFileSync(join(root, path))).toString(), /\S\n/g))
  const fuzzing = read('docs/fuzzing.md')
  const [, executions, left] = /\*\*([\d,]+) executions, (\d+) findings left/.exec(fuzzing)!
  const vectors = (name: string): number => json<{ cases: unknown[] }>(`test/vectors/${name}.json`).cases.length
  return {
    sourceLines: linesOf([...scripts('src'), ...scripts('assembly')]),
    testLines: linesOf(tests),
    testFiles: files.length,
    tests: sum(files.map((path) => count(read(path), /^\s*(?:test|need)\(/gm))),
    networks: Object.keys(models).length,
    networkAnswers: sum(Object.values(models).map((answers) => Object.keys(answers).length)),
    opCases: sum(cases),
    opKinds: ops.length,
    // A group and a barrier compute nothing.
    kernels: count(read('assembly/layout.ts'), /^export const OP_(?!GROUP|BARRIER)\w+ = /gm),
    properties: count(read('test/kernels.test.ts'), /^\s*(?:test|need)\(/gm),
    engines: engines.length,
    hosts: new Set(engines.map(({ title }) => title.split(/[ ,(]/)[0])).size,
    consumers: count(read('test/consumers.test.ts'), /^ {4}needs: |^ {2}\{ name: .* needs: /gm),
    models: json<unknown[]>('weights/manifest.json').length,
    pictures: vectors('jpeg') + vectors('arithmetic'),
    damagedPictures: vectors('damaged'),
    corpusFiles: filesIn('test/corpus').length,
    executions: Number(executions!.replaceAll(',', '')),
    targets: count(fuzzing, /^\| [a-z][\w-]* \| /gm) - count(fuzzing, /^\| target \|/gm),
    findingsLeft: Number(left),
    mutants: mutantsOf(read('CONTRIBUTING.md')),
    errorCodes: Object.keys(ERROR_CODES).length,
    examples: count(read('docs/api.md'), /^```ts$/gm),
  }
}

/** Rounded down to two digits, with commas; small numbers as they are. */
export function floor(n: number): string {
  const unit = n < 100 ? 1 : 10 ** (Math.floor(Math.log10(n)) - 1)
  return (Math.floor(n / unit) * unit).toLocaleString('en')
}

export function testingPage(f: Facts): string {
  const mutants = f.mutants.map(
    ({ folder, tried, killed }) => `\`${folder}\` ${((100 * killed) / tried).toFixed(0)} % of ${tried}`,
  )
  const measured = mutants.length
    ? `Killed, of those tried: ${mutants.join(', ')}.`
    : 'No folder is measured at present.'
  return `# How Thimble is tested

Two claims have to hold on every machine: the bytes are LiteRT's, and no file makes the program do anything but answer or
refuse it. Timings never decide a test, and no comparison has a tolerance where the claim is equality.

Numbers are counted in this repository by \`tsx tools/docs/testing.ts\` and rounded down; \`test/testing.test.ts\` fails when
the page says more than there is.

## In numbers

| | more than |
|---|---:|
| lines of \`src/\` and \`assembly/\` (TypeScript and AssemblyScript) | ${floor(f.sourceLines)} |
| lines of tests | ${floor(f.testLines)} |
| test files | ${floor(f.testFiles)} |
| tests written, before loops multiply them | ${floor(f.tests)} |
| networks with answers that LiteRT gave | ${floor(f.networks)} |
| their recorded answers, each held in every variant, kernel choice and plan | ${floor(f.networkAnswers)} |
| models of one op, or a few, with answers that LiteRT gave | ${floor(f.opCases)} |
| kernels | ${floor(f.kernels)} |
| engines and processors that run the same models | ${floor(f.engines)} |
| tools of users that build or run the packed tarball | ${floor(f.consumers)} |
| executions fuzzed, by ${floor(f.targets)} targets | ${floor(f.executions)} |
| files of the fuzzer's corpus that every \`npm test\` repeats | ${floor(f.corpusFiles)} |
| pictures with the pixels that Pillow gave, of every kind of JPEG | ${floor(f.pictures)} |
| damaged pictures with what Pillow made of them | ${floor(f.damagedPictures)} |
| shipped models, each with its photo and its answer | ${floor(f.models)} |
| error codes, each with cause and cure | ${floor(f.errorCodes)} |
| examples of the API reference that are run or compiled | ${floor(f.examples)} |

## The bytes are LiteRT's

- **Recorded answers.** \`test/goldens/\` holds what \`ai-edge-litert\` 2.3.0 answered: whole networks, and ${floor(f.opKinds)} files of small models
  by op, chosen for rounding ties, odd shapes and edges of ranges. Every variant (SIMD, scalar, relaxed SIMD), every choice of
  kernels and both plans must give the same bytes. A clone needs nothing else for this.
- **Fresh answers.** \`npm run goldens -- --fresh\` makes networks of a new seed, asks a LiteRT on this machine, and compares.
- **An oracle.** Random shapes around the tiles' edges, against plain loops (\`test/oracle.ts\`) that are held to the recorded
  answers themselves: ${floor(f.properties)} properties in \`test/kernels.test.ts\`. Memory around the arena must stay untouched.
- **Engines.** The same models on ${floor(f.hosts)} hosts (Node, browsers, workerd, Wasmtime, wazero, wasm3) and three kinds of processors:
  \`test/engines/\`. An engine that is not installed is a skipped test with the command that installs it.
- **Compiled programs** in the shipped files equal what compiling gives now, byte by byte (\`test/programs.test.ts\`).
- **Machine code.** Instructions a multiply-accumulate that V8 and Cranelift make of the hot loops are recorded
  (\`test/codegen.json\`), since timings on shared machines tell nothing.

## Nothing but an answer or a refusal

- **Fuzzing.** ${f.findingsLeft} findings are left of ${floor(f.executions)} executions; [docs/fuzzing.md](docs/fuzzing.md) has every target, what it must not
  do, and when it ran. Coverage guides it, inside the WebAssembly too. What it reached is in \`test/corpus/\`.
- **Damage.** Every truncation and thousands of changed bytes of models, packed modules, archives and pictures end in one
  \`ThimbleError\` with a code, or in an answer (\`test/malformed.test.ts\`, \`test/convert-malformed.test.ts\`).
- **Misuse.** Calls with wrong options, arrays, shapes and order of calls (\`test/misuse.test.ts\`, \`test/options.test.ts\`).
- [SECURITY.md](SECURITY.md) says who can send what, and what is promised.

## The tests notice

\`npm run mutate\` makes single mistakes in the sources and runs the tests that reach them.
${measured} [CONTRIBUTING.md](CONTRIBUTING.md#mutation-testing)
has the table and how to read it.

## What people install

- The packed tarball is installed, built and run by Node, Bun and Deno, esbuild, webpack, rollup, Vite and Parcel, Jest and
  Vitest, a service worker, a Manifest V3 extension and Next (\`test/consumers.test.ts\`): all must give the answer that plain Node
  gives, without a warning.
- Its declarations are read under every module resolution without \`skipLibCheck\` (\`test/typings.test.ts\`), its entry points are
  imported with every host feature missing, and what is not used must be shaken out (\`test/bundler.test.ts\`).
- Two builds in two folders give the same bytes: \`npm run verify-release\`.
- Every link and anchor of the documentation leads somewhere (\`test/site.test.ts\`); generated pages are up to date
  (\`test/docs.test.ts\`, \`test/error-codes.test.ts\`).

## What is not tested

- Speed, by the tests: [benchmarks](docs/benchmarks.md) are measured, with processor and date.
- Electron, Safari and Firefox: no registry that this project reads has them.
- Real arm64 hardware: QEMU runs the instructions, not their timing.
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(join(root, 'TESTING.md'), testingPage(facts()))
