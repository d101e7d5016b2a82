/** What a command does to the book, apart from where it runs: in this process, or in the server that holds the book. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Ledger } from '../ledger/ledger.ts'
import type { Caller } from '../service/caller.ts'
import type { Config } from './config.ts'
import type { Columns, Format } from './output.ts'

/** One row of an answer: what `-o json` shows; a table shows some of it. */
export type Row = { readonly [column: string]: unknown }

/** What an act tells, a line at a time. `fail` is the last one and means exit 1. */
export type Line =
  | { readonly row: Row }
  | { readonly say: string }
  /** Text that is the answer itself, as it is. */
  | { readonly raw: string }
  /** From where on a follower has to go on, when it was cut off. */
  | { readonly cursor: number }
  /** How far long work has got. */
  | { readonly progress: number; readonly of: number }
  | {
      readonly fail: string
      /** It may be asked again shortly. */
      readonly isPassing?: true
    }

/** Looks, exports and backups are recorded; where the book cannot be written they are needed most, so they go on. */
export const NOT_RECORDED: Line = {
  say: 'This could not be recorded in the book: it cannot be written at the moment.',
}

/** What ends an answer over the socket: without it, it was cut off. */
export const END = { end: true } as const

export type Input = { readonly [name: string]: unknown }

/** Everything in and out of an act is JSON, since it may travel over the socket. `signal`: whoever asked has gone. */
export type Act = (ledger: Ledger, input: Input, by: Caller, signal: AbortSignal) => AsyncGenerator<Line>

/** The command was refused or failed. Exit 1, and its message. */
export class CommandFailed extends Error {
  override name = 'CommandFailed'
}

/** Runs an act and prints what it tells. @throws {CommandFailed} when it was refused or failed */
export type Run = (act: string, input: Input, columns?: Columns) => Promise<void>

/** What a command has at hand. */
export type Tools = {
  readonly run: Run
  /** What an act tells, for a command that does more with it than print it. */
  readonly ask: (act: string, input: Input) => AsyncGenerator<Line>
  readonly settings: () => Config
  readonly format: () => Format
}

/** What a file of commands gives: what they do, which of them may begin a book, and how they are called. */
export type Group = {
  readonly acts: { readonly [name: string]: Act }
  readonly begins: readonly string[]
  readonly addCommands: (program: Command, tools: Tools) => void
}

/** How often long work says how far it is. ms */
const PROGRESS_MS = 200

/** Waits for work, and tells how far it is as long as it takes. Gives what it gives. */
export async function* whileTelling<T>(work: Promise<T>, progress: () => Line): AsyncGenerator<Line, T> {
  const still = {}
  while ((await Promise.race([work, wait(PROGRESS_MS, still, { ref: false })])) === still) yield progress()
  return work
}

/** Lists tell the oldest first, wherever the rows come from. */
export const bySince = (a: { readonly since?: unknown }, b: { readonly since?: unknown }): number =>
  String(a.since) < String(b.since) ? -1 : 1

/** An input is not what its command sends. */
export class InputError extends Error {
  override name = 'InputError'
}

/** A text of an input. */
export const textOf = (input: Input, name: string): string => {
  const value = input[name]
  if (typeof value !== 'string') throw new InputError(`${name} must be a text`)
  return value
}
/** A list of texts of an input. */
export const textsOf = (input: Input, name: string): string[] => {
  const value = input[name]
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string'))
    throw new InputError(`${name} must be a list of texts`)
  return value
}
/** A whole number of an input, from 1 on. */
export const countOf = (input: Input, name: string): number => {
  const value = input[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 1)
    throw new InputError(`${name} must be a whole number from 1 on`)
  return value
}
export const optionalTextOf = (input: Input, name: string): string | undefined =>
  input[name] === undefined ? undefined : textOf(input, name)
