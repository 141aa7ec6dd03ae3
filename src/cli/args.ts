/** Parsing a command's arguments and printing its help, from one table of options. */
import { parseArgs } from 'node:util'
import { ThimbleError } from '../base/errors.ts'
import { checkValue, nearest, oneOf, real, type Rule, whole as wholeRule } from '../options/options.ts'
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
    const message = (error as Error).message
    const unknown = /^Unknown option '--(.+?)'/.exec(message)
    const near = unknown && nearest(unknown[1]!, Object.keys(options))
    throw new ThimbleError('usage/option', plain(message), {
      cause: error,
      hint: `${near ? `did you mean --${near}? ` : ''}${usageLine(command)}`,
    })
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

/** The value of an option, read by a rule of options.ts; undefined where it is not given. Errors: `usage/option`. */
function valueOf<T>(args: Args, name: string, rule: Rule, read: (value: string) => T): T | undefined {
  const value = text(args, name)
  if (value === undefined) return undefined
  const known = read(value)
  // What is no number at all is shown as it was written.
  checkValue(`--${name}`, typeof known === 'number' && !Number.isFinite(known) ? value : known, rule)
  return known
}

/** A whole number in a range. Errors: `usage/option`. */
export const whole = (
  args: Args,
  name: string,
  fallback: number,
  { min = 1, max = 1_000_000 }: { min?: number; max?: number } = {},
): number => valueOf(args, name, wholeRule(min, max), (v) => (/^\d+$/.test(v) ? Number(v) : NaN)) ?? fallback

/** A number in a range. Errors: `usage/option`. */
export const number = (
  args: Args,
  name: string,
  fallback: number,
  { min, max }: { min: number; max: number },
): number => valueOf(args, name, real(min, max), (v) => (v.trim() === '' ? NaN : Number(v))) ?? fallback

/** A number from 0 to 1 as field `key` of a call's options, where the option is given. Errors: `usage/option`. */
export const share = <K extends string>(args: Args, name: string, key: K): Partial<Record<K, number>> =>
  (text(args, name) === undefined ? {} : { [key]: number(args, name, 0, { min: 0, max: 1 }) }) as Partial<
    Record<K, number>
  >

/** One of a few words. Errors: `usage/option`. */
export const choice = <T extends string>(args: Args, name: string, words: readonly T[]): T | undefined =>
  valueOf(args, name, oneOf(words), (v) => v as T)

/** `64K`, `48KB`, `0.5M` or a number of bytes, as what linkers and boards mean by them: K is 1024. */
export function byteCount(args: Args, name: string, command: Command): number | undefined {
  const given = text(args, name)
  if (given === undefined) return undefined
  const [, number, unit] = /^(\d+(?:\.\d+)?)\s*([km])?i?b?$/i.exec(given) ?? []
  const bytes = Math.floor(
    Number(number) * { k: 1024, m: 1048576, '': 1 }[(unit ?? '').toLowerCase() as 'k' | 'm' | ''],
  )
  if (number === undefined || bytes < 1) throw badCall(command, `--${name} takes bytes, such as 64K, not ${given}`)
  return bytes
}
