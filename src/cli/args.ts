/** Parsing a command's arguments and printing its help, from one table of options. */
import { parseArgs } from 'node:util'
import { ThimbleError } from '../errors.ts'
import type { Args, Command, OptionSpec } from './command.ts'

const HELP: OptionSpec = { type: 'boolean', short: 'h', help: 'show this help' }

/** The hint that ends every usage error. */
const usageLine = (command: Command): string => `usage: thimble ${command.usage}`

/** Errors: `usage/option`. */
export function parseCommandLine(command: Command, argv: string[]): Args {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, help: HELP }).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short ? { short } : {}), ...(multiple ? { multiple } : {}) },
    ]),
  )
  try {
    const { values, positionals } = parseArgs({ args: argv, options, allowPositionals: true, strict: true })
    return { positionals, options: values }
  } catch (error) {
    throw new ThimbleError('usage/option', plain((error as Error).message), { hint: usageLine(command) })
  }
}

/** node:util's messages, shortened to their first statement. */
function plain(message: string): string {
  const unknown = /^Unknown option '(.+?)'/.exec(message)
  if (unknown) return `unknown option ${unknown[1]}`
  const missing = /^Option '(?:-\w, )?(--[\w-]+)(?: .*)?' argument (missing|is ambiguous)/.exec(message)
  if (missing) {
    return `${missing[1]} needs a value${missing[2] === 'missing' ? '' : ` (one that starts with "-" goes behind an "=")`}`
  }
  const needless = /^Option '(?:-\w, )?(--[\w-]+)' does not take an argument/.exec(message)
  if (needless) return `${needless[1]} takes no value`
  const first = message.split(/\. |\n/)[0]!.replace(/\.$/, '')
  return first[0]!.toLowerCase() + first.slice(1)
}

/** `usage/arguments`: the call lacks something or has too much. */
export const badCall = (command: Command, what: string): ThimbleError =>
  new ThimbleError('usage/arguments', what, { hint: usageLine(command) })

export function helpText(command: Command): string {
  const rows = Object.entries({ ...command.options, help: HELP }).map(([name, o]): [string, string] => [
    `  ${o.short ? `-${o.short}, ` : '    '}--${name}${o.type === 'string' ? ` ${o.value ?? 'VALUE'}` : ''}`,
    o.help,
  ])
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  const options = rows.map(([left, right]) => left.padEnd(width) + right).join('\n')
  return `thimble ${command.usage}\n\n${command.summary}\n\nOptions:\n${options}\n${command.notes ? `\n${command.notes}\n` : ''}`
}

// Reading options ------------------------------------------------------------

export const text = (args: Args, name: string): string | undefined => args.options[name] as string | undefined
export const flag = (args: Args, name: string): boolean => args.options[name] === true

/** A whole number in a range. Errors: `usage/option`. */
export function whole(args: Args, name: string, fallback: number, min = 1, max = 1_000_000): number {
  const value = text(args, name)
  if (value === undefined) return fallback
  const n = Number(value)
  if (!/^\d+$/.test(value) || n < min || n > max) {
    throw new ThimbleError('usage/option', `--${name} is not usable`, {
      expected: `a whole number from ${min} to ${max}`,
      got: JSON.stringify(value),
    })
  }
  return n
}

/** A number in a range. Errors: `usage/option`. */
export function number(args: Args, name: string, fallback: number, min: number, max: number): number {
  const value = text(args, name)
  if (value === undefined) return fallback
  const n = Number(value)
  if (value.trim() === '' || !(n >= min && n <= max)) {
    throw new ThimbleError('usage/option', `--${name} is not usable`, {
      expected: `a number from ${min} to ${max}`,
      got: JSON.stringify(value),
    })
  }
  return n
}

/** One of a few words. Errors: `usage/option`. */
export function choice<T extends string>(args: Args, name: string, values: readonly T[]): T | undefined {
  const value = text(args, name)
  if (value === undefined) return undefined
  if (!values.includes(value as T)) {
    throw new ThimbleError('usage/option', `--${name} is not usable`, {
      expected: values.join(', '),
      got: JSON.stringify(value),
    })
  }
  return value as T
}
