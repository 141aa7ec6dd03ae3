/**
 * What the guides print: `npx tsx tools/docs/console.ts [--write] [GUIDE.md...]` runs each `$ thimble …` of their code
 * blocks in a folder that has the photos and models of ../shared and compares; `--write` puts what was printed in the
 * guide. An answer's lines are compared from the first on, up to `…`; times do not count.
 * Needs dist/ and ../shared.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const root = new URL('../../', import.meta.url).pathname
const shared = join(root, '../shared')
const GUIDES = ['edge-impulse-fomo', 'models', 'movenet', 'run-your-yolo', 'why-is-my-prediction-wrong']

/** Files that the guides name, and photos/, which is all of the photos. */
function folderOfFiles(): string {
  const folder = mkdtempSync(join(tmpdir(), 'thimble-guides-'))
  const text = GUIDES.map((guide) => readFileSync(join(root, `docs/${guide}.md`), 'utf8')).join('\n')
  const named = new Set(text.match(/[\w.-]+\.(tflite|txt)/g))
  mkdirSync(join(folder, 'photos'))
  for (const file of readdirSync(shared, { recursive: true, encoding: 'utf8' })) {
    const name = basename(file)
    const isPhoto = /^images\/[^/]+\.(jpg|bmp)$/.test(file)
    if (isPhoto || named.has(name)) copyFileSync(join(shared, file), join(folder, name))
    if (isPhoto) copyFileSync(join(shared, file), join(folder, 'photos', name))
  }
  cpSync(join(root, 'weights/samples'), folder, { recursive: true })
  return folder
}

/** What a command prints, errors too. */
function printed(command: string, cwd: string): string[] {
  const line = command.replace(/^(npx )?thimble/, `"${process.execPath}" "${root}dist/cli.js"`)
  const { stdout } = spawnSync('bash', ['-c', `${line} 2>&1`], { cwd, encoding: 'utf8', timeout: 300_000 })
  return stdout.trimEnd().split('\n')
}

/** A line as the guide should have it: times are nobody's, and lists that it cuts stay cut. */
function lineOf(said: string, got: string): string {
  const timeless = (line: string): string => line.replace(/ in [\d.]+ m?s$/, '')
  if (timeless(said) === timeless(got)) return said
  if (!said.endsWith(', …')) return got
  return got.startsWith(said.slice(0, -1)) ? said : `${got.split(', ')[0]}, …`
}

/** The lines that should stand below a command where these do. */
function corrected(lines: readonly string[], got: readonly string[]): string[] {
  const until = lines.findIndex((line) => line.trim() === '…')
  // What is there to its last line is there whole.
  if (until < 0 && lines.at(-1) === got.at(-1)) return [...got]
  if (until !== 0) {
    const least = until < 0 ? lines.length : until
    return [...got.slice(0, least).map((line, i) => lineOf(lines[i]!, line)), ...lines.slice(least)]
  }
  // What is in the middle of an answer is looked for.
  const lost = lines.filter((line) => line.trim() !== '…' && line !== '' && !got.includes(line))
  return lost.length ? [...lines, ...lost.map((line) => `NOT PRINTED: ${line}`)] : [...lines]
}

/** A guide with the answers of its commands. */
function rerun(text: string, cwd: string): string {
  return text.replace(/(```(?:console)?\n)(\$ (?:npx )?thimble [\s\S]*?)(```)/g, (_, open: string, block: string) => {
    const answers = block.split(/^(?=\$ )/m).map((part) => {
      const [command = '', ...lines] = part.trimEnd().split('\n')
      if (!/^\$ (npx )?thimble /.test(command) || lines.length === 0) return part
      return `${[command, ...corrected(lines, printed(command.slice(2), cwd))].join('\n')}\n`
    })
    return `${open}${answers.join('')}\`\`\``
  })
}

const write = process.argv.includes('--write')
const asked = process.argv.slice(2).filter((a) => a !== '--write')
const guides = asked.length ? asked : GUIDES.map((guide) => join(root, `docs/${guide}.md`))
const cwd = folderOfFiles()
try {
  for (const guide of guides) {
    const text = readFileSync(guide, 'utf8')
    const now = rerun(text, cwd)
    console.log(`${basename(guide)}: ${now === text ? 'as it says' : write ? 'written anew' : 'says something else'}`)
    if (now === text) continue
    if (write) writeFileSync(guide, now)
    else process.exitCode = 1
  }
} finally {
  rmSync(cwd, { recursive: true })
}
