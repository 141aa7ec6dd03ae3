/** What a command of the command line is, and what it gets. */

export interface OptionSpec {
  type: 'string' | 'boolean'
  short?: string
  /** May be given more than once. */
  multiple?: boolean
  /** What the value is called in the help, e.g. `N` or `FILE`. */
  value?: string
  /** One line. */
  help: string
  /**
   * Reads the option from the call, before any file is opened: what is wrong with a call is said before what is wrong
   * with a file. Errors: `usage/option`, `usage/arguments`.
   */
  check?: (args: Args) => unknown
}

/** The call, parsed and checked against the command's options. */
export interface Args {
  positionals: string[]
  /** Values by option name; absent when not given. */
  options: Record<string, string | boolean | (string | boolean)[] | undefined>
}

/**
 * A command. One file each in this folder, exported as `command`, one line in main.ts' table.
 * `run` writes its result to stdout only when it is complete, and returns the exit code (default 0). It throws
 * ThimbleError: `usage/…` exits with 2, everything else with 1.
 */
export interface Command {
  name: string
  /** One line for `thimble --help`. */
  summary: string
  /** The call without `thimble`, e.g. `run MODEL --input FILE... --output PREFIX`. */
  usage: string
  options: Record<string, OptionSpec>
  /** Paragraphs after the options in `thimble NAME --help`. */
  notes?: string
  run(args: Args): Promise<number | void>
}
