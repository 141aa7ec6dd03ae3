/** `thimble …`: finds the command, runs it, and turns whatever goes wrong into one line and an exit code. */
import { ThimbleError } from '../base/errors.ts'
import { nearest } from '../options/options.ts'
import { helpText, parseCommandLine } from './args.ts'
import { asksForOverview, COMMANDS, overview } from './commands.ts'
import { packageVersion } from './package.ts'
import { report } from './report.ts'

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
  if (asksForOverview(argv)) return print(overview())
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
  for (const [option, { check }] of Object.entries(command.options)) {
    if (args.options[option] !== undefined) check?.(args)
  }
  return (await command.run(args)) ?? 0
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}
