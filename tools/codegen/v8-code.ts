/**
 * Machine code of a wasm module as V8's optimizing compiler makes it: functions, instructions, natural loops.
 * Source: the output of `node --print-wasm-code`, which release builds of Node have on x64 and arm64.
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Instruction {
  /** Bytes from the function's start. */
  offset: number
  /** Machine code as printed: x64 in memory order, arm64 as one word. */
  code: string
  text: string
  /** Mnemonic, prefixes left out. */
  op: string
  /** Offset of a branch's target. */
  target?: number | undefined
}

export interface CompiledFunction {
  index: number
  instructions: Instruction[]
}

/** Straight-line run of instructions with one entry. */
interface Block {
  id: number
  instructions: Instruction[]
  next: number[]
}

export interface Loop {
  /** Offset of the first instruction. */
  start: number
  /**
   * Instructions of the loop alone, without loops inside it and without blocks that call the runtime (stack checks).
   */
  body: Instruction[]
  /** Those of `body` that multiply under a condition without an alternative: corrections that most layers skip. */
  optional: Instruction[]
  depth: number
  inner: Loop[]
}

const FLAGS = ['--print-wasm-code', '--no-liftoff', '--no-wasm-lazy-compilation']

/** V8's arm64 disassembler does not know sdot. */
function sdot(code: string): string | undefined {
  const word = code.length === 8 ? parseInt(code, 16) : 0
  if ((word & 0xffe0fc00) >>> 0 !== 0x4e809400) return undefined
  return `sdot v${word & 31}.4s, v${(word >> 5) & 31}.16b, v${(word >> 16) & 31}.16b`
}

function parseInstruction(line: string): Instruction | undefined {
  const m = line.match(/^0x[0-9a-f]+\s+([0-9a-f]+)\s+([0-9a-f]+)\s+(\S.*)$/)
  if (!m || /^(constant pool|wasm stub|external|runtime|code|embedded)/.test(m[3]!)) return undefined
  const offset = parseInt(m[1]!, 16)
  const text = sdot(m[2]!) ?? m[3]!.trim()
  const words = text.split(/[\s,]+/)
  const op = /^(REX\.W|lock|rep)$/.test(words[0]!) ? words[1]! : words[0]!
  const x64 = text.match(/<\+0x([0-9a-f]+)>/)
  const arm = text.match(/#([+-]0x[0-9a-f]+) \(addr/)
  const branch = /^(j[a-z]+|b|b\.[a-z]+|cbn?z|tbn?z)$/.test(op)
  const target = !branch
    ? undefined
    : x64
      ? parseInt(x64[1]!, 16)
      : arm
        ? offset + Number(arm[1]!.replace('+', '').replace(/^-0x/, '0x')) * (arm[1]!.startsWith('-') ? -1 : 1)
        : undefined
  return { offset, code: m[2]!, text, op, target }
}

/** Parses a `--print-wasm-code` listing: wasm function index to its code. */
function parseListing(text: string): Map<number, CompiledFunction> {
  const functions = new Map<number, CompiledFunction>()
  for (const part of text.split('--- WebAssembly code ---').slice(1)) {
    const index = part.match(/^index: (\d+)$/m)
    const kind = part.match(/^kind: (.*)$/m)
    if (!index || kind?.[1] !== 'wasm function') continue
    const listing = part.slice(part.indexOf('Instructions (size')).split('\n').slice(1)
    const instructions: Instruction[] = []
    for (const line of listing) {
      if (line === '') break
      const i = parseInstruction(line.trim())
      if (i) instructions.push(i)
    }
    functions.set(Number(index[1]), { index: Number(index[1]), instructions })
  }
  return functions
}

/**
 * Compiles a wasm file in another Node and reads its machine code. `node`: command and arguments that start it (an
 * emulator's, for another processor). Undefined where that Node does not print code.
 */
export function compiledCode(node: readonly string[], wasm: string): Map<number, CompiledFunction> | undefined {
  const script = fileURLToPath(new URL('instantiate.cjs', import.meta.url))
  const run = spawnSync(node[0]!, [...node.slice(1), ...FLAGS, script, wasm], { encoding: 'utf8', maxBuffer: 1 << 28 })
  if (run.status !== 0) return undefined
  const functions = parseListing(run.stdout)
  return functions.size ? functions : undefined
}

const endsBlock = (i: Instruction): boolean => i.target !== undefined || /^(ret|retl|br|jmp|ud2|int3|brk)$/.test(i.op)
const fallsThrough = (i: Instruction): boolean => !/^(ret|retl|br|b|jmp|ud2|int3|brk)$/.test(i.op)

function blocksOf(f: CompiledFunction): Block[] {
  const starts = new Set<number>([0])
  f.instructions.forEach((i, k) => {
    if (i.target !== undefined) starts.add(i.target)
    const after = f.instructions[k + 1]
    if (endsBlock(i) && after) starts.add(after.offset)
  })
  const blocks: Block[] = []
  for (const i of f.instructions) {
    if (starts.has(i.offset) || blocks.length === 0) blocks.push({ id: blocks.length, instructions: [], next: [] })
    blocks[blocks.length - 1]!.instructions.push(i)
  }
  const at = new Map(blocks.map((b) => [b.instructions[0]!.offset, b.id]))
  for (const b of blocks) {
    const last = b.instructions[b.instructions.length - 1]!
    if (last.target !== undefined && at.has(last.target)) b.next.push(at.get(last.target)!)
    if (fallsThrough(last) && b.id + 1 < blocks.length) b.next.push(b.id + 1)
  }
  return blocks
}

/** Predecessors of each block, those that can run: padding between blocks is dead, jump tables' targets are not. */
function predecessors(blocks: readonly Block[]): number[][] {
  const entered = new Set(blocks.flatMap((b) => b.next))
  const padding = (b: Block): boolean => b.instructions.every((i) => i.op === 'nop')
  const live = new Set<number>()
  const queue = blocks.filter((b) => b.id === 0 || (!entered.has(b.id) && !padding(b))).map((b) => b.id)
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    if (live.has(at)) continue
    live.add(at)
    queue.push(...blocks[at]!.next)
  }
  const before: number[][] = blocks.map(() => [])
  for (const b of blocks) if (live.has(b.id)) for (const n of b.next) before[n]!.push(b.id)
  return before
}

/** Dominators by iteration. */
function dominators(blocks: readonly Block[], before: readonly number[][]): Set<number>[] {
  const all = blocks.map((b) => b.id)
  const dom = blocks.map((b) => (before[b.id]!.length === 0 ? new Set([b.id]) : new Set(all)))
  for (let changed = true; changed;) {
    changed = false
    for (const b of blocks) {
      const from = before[b.id]!
      if (!from.length) continue
      const now = new Set([...dom[from[0]!]!].filter((d) => from.every((p) => dom[p]!.has(d))))
      now.add(b.id)
      if (now.size !== dom[b.id]!.size) {
        dom[b.id] = now
        changed = true
      }
    }
  }
  return dom
}

/** Whether a block multiplies, and the one before it may go straight to the one after it. */
function isOptional(b: Block, blocks: readonly Block[], before: readonly number[][]): boolean {
  const [from] = before[b.id]!
  const [to] = b.next
  return (
    before[b.id]!.length === 1 &&
    b.next.length === 1 &&
    blocks[from!]!.next.includes(to!) &&
    b.instructions.some((i) => macs(i) > 0)
  )
}

/** Natural loops, outermost first, nested by `inner`. */
export function loopsOf(f: CompiledFunction): Loop[] {
  const blocks = blocksOf(f)
  const before = predecessors(blocks)
  const dom = dominators(blocks, before)
  const members = new Map<number, Set<number>>()
  for (const b of blocks) {
    for (const header of b.next.filter((n) => dom[b.id]!.has(n))) {
      const set = members.get(header) ?? new Set([header])
      const queue = [b.id]
      for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
        if (set.has(at)) continue
        set.add(at)
        queue.push(...before[at]!)
      }
      members.set(header, set)
    }
  }
  const sorted = [...members].sort((a, b) => b[1].size - a[1].size)
  const made = sorted.map(([header, set]) => {
    const start = blocks[header]!.instructions[0]!.offset
    const loop: Loop = { start, body: [], optional: [], depth: 0, inner: [] }
    return { header, set, loop }
  })
  const roots: Loop[] = []
  made.forEach((m, k) => {
    const parent = made
      .slice(0, k)
      .reverse()
      .find((p) => p.set.has(m.header))
    if (parent) parent.loop.inner.push(m.loop)
    else roots.push(m.loop)
    m.loop.depth = parent ? parent.loop.depth + 1 : 0
    const own = [...m.set].filter((id) => !made.some((o, j) => j > k && o.set.has(id) && m.set.has(o.header)))
    // A block is cold when it calls, or only leads to blocks that do.
    const calls = (b: Block): boolean => b.instructions.some((i) => /^(call|bl|blr)$/.test(i.op))
    const hot = own
      .sort((a, b) => a - b)
      .map((id) => blocks[id]!)
      .filter((b) => !calls(b))
    m.loop.body = hot.flatMap((b) => b.instructions)
    m.loop.optional = hot.filter((b) => isOptional(b, blocks, before)).flatMap((b) => b.instructions)
  })
  return roots
}

/** A loop and everything inside it. */
export const flatten = (loops: readonly Loop[]): Loop[] => loops.flatMap((l) => [l, ...flatten(l.inner)])

/** Multiply-adds of 8-bit values that an instruction does, 0 for others. */
export function macs(i: Instruction): number {
  if (/^v?pmaddwd$/.test(i.op)) return /ymm/.test(i.text) ? 16 : 8
  if (/^v?pmaddubsw$/.test(i.op)) return /ymm/.test(i.text) ? 32 : 16
  if (/^vpdpb/.test(i.op)) return /ymm/.test(i.text) ? 32 : 16
  if (i.op === 'sdot') return 16
  if (/^(smull|smlal|smull2|smlal2)$/.test(i.op)) return /^\S+ v\d+\.8h/i.test(i.text) ? 8 : 4
  return 0
}

/** Instructions that move vectors between registers and the stack: spills. */
export const isSpill = (i: Instruction): boolean =>
  /^v?mov(ups|dqu|aps|dqa|upd|apd)$/.test(i.op)
    ? /\[r(bp|sp)/.test(i.text)
    : /^(ldr|str|ldur|stur|ldp|stp)$/.test(i.op) && /^\S+ q\d/.test(i.text) && /\[(sp|fp|x29)/.test(i.text)
