/** Every fault that a book is put through. What a machine has no means for is reported as not run, and never passes. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startJudge } from './_judge.ts'
import { judge, Told, timesOf, type Verdict, withCopy } from './_oracle.ts'
import { kill, run, startScribe } from './_run.ts'

/** What came of a fault, over its rounds. */
export type Outcome = {
  rounds: number
  checked: number
  lost: number
  /** Broken promises that nothing noticed. */
  readonly wrong: string[]
  /** Refusals of a book to which nothing had been done that it could not bear. */
  readonly falseRefusals: string[]
  /** Damage that was refused at start, or named by reading the book through. */
  noticed: number
}

export type Fault = {
  readonly name: string
  readonly needs: readonly string[]
  /** Whether its rounds do damage, some of which has to be noticed. */
  readonly isDamage?: true
  /** How many rounds in the tests, and in the long run. */
  readonly rounds: { readonly short: number; readonly long: number }
  readonly play: (rounds: number, random: () => number) => Promise<Outcome>
}

const newOutcome = (): Outcome => ({ rounds: 0, checked: 0, lost: 0, wrong: [], falseRefusals: [], noticed: 0 })

/** Takes a verdict into account. @param isDamage whether a refusal is what should come */
function take(outcome: Outcome, verdict: Verdict, told: Told, isDamage: boolean, what: string): void {
  outcome.rounds++
  outcome.checked += told.acknowledged
  if ('lost' in verdict) {
    outcome.lost += verdict.lost
    outcome.wrong.push(...verdict.wrong.map((one) => `${what}: ${one}`))
    if (verdict.lost > 0) outcome.wrong.push(`${what}: ${verdict.lost} acknowledged and gone`)
  } else if (isDamage) outcome.noticed++
  else outcome.falseRefusals.push(`${what}: ${'refused' in verdict ? verdict.refused : verdict.named}`)
}

/** A folder for `work`. It stays where `work` fails, so that the cause can be looked for, and is not hidden by it. */
async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'daybook-fault-'))
  const result = await work(folder)
  rmSync(folder, { recursive: true, force: true })
  return result
}

/** A disk of its own for `work`. @param what what `mount` is given before the folder */
async function onDisk<T>(what: readonly string[], folder: string, work: () => Promise<T>): Promise<T> {
  run('mount', ...what, folder)
  let result: T
  try {
    result = await work()
  } catch (error) {
    // What failed may have left files open; that must not hide why it failed.
    run('umount', '--lazy', folder)
    throw error
  }
  run('umount', folder)
  return result
}

/** So many rounds on one book before a new one is begun, so that old books and new ones are met. */
const ROUNDS_A_BOOK = 15

/** A fault may come too late. After this many misses in a row it is taken not to happen at all. */
const MOST_MISSED = 12

/**
 * Rounds on a book that goes on; `round` writes into it until something happens, and says in words what it was. Where
 * what was to happen did not, the round is judged too, but not counted; so is a last one as long as nothing was checked.
 * How far into a run things happen is cut down by `sooner` each time they did not: slow machines do not get far.
 */
async function onGoingBook(
  rounds: number,
  round: (directory: string, told: Told, i: number, sooner: number) => Promise<string | { readonly missed: string }>,
): Promise<Outcome> {
  const outcome = newOutcome()
  let [missed, why] = [0, '']
  while (outcome.rounds < rounds && missed < MOST_MISSED)
    await inFolder(async (folder) => {
      const [directory, told] = [join(folder, 'data'), new Told()]
      const until = Math.min(rounds, outcome.rounds + ROUNDS_A_BOOK)
      while (outcome.rounds < until && missed < MOST_MISSED) {
        const done = await round(directory, told, outcome.rounds, 0.8 ** missed)
        const what = typeof done === 'string' ? done : done.missed
        // Before it was ready nothing was promised, and there may be nothing.
        const isThere = told.lines.length > 0 || existsSync(directory)
        if (isThere) take(outcome, await judge(directory, told), told, false, what)
        else outcome.rounds++
        if (typeof done !== 'string') why = `the fault never happened: ${what}`
        else if (outcome.rounds === rounds && outcome.checked === 0) why = `nothing was acknowledged before it: ${what}`
        else {
          missed = 0
          continue
        }
        missed++
        outcome.rounds--
      }
    })
  if (missed >= MOST_MISSED) outcome.wrong.push(`in ${missed} rounds one after another ${why}`)
  return outcome
}

/** Each thread meets the fault once, and each time it is tried again a second later: that may take a while. */
const PATIENT = { ms: 4000, until: 'recovered' } as const

/** Such a fault has happened when somebody was refused, and is overcome when somebody was acknowledged after that. */
function unlessRecovered(told: Told, said: string, what: string): string | { readonly missed: string } {
  const refused = said.indexOf('\n! ')
  if (refused < 0) return { missed: what }
  if (!said.slice(refused).includes('\n+ '))
    told.lines.push(`+ nobody-was-acknowledged-after-the-fault-of-${what.replaceAll(' ', '-')}`)
  return what
}

/**
 * A closed book that has tables as well as a log, and all that its clients were told. Nothing is under way at its end:
 * what a kill leaves there was often acknowledged to nobody, so that nobody misses it when it is cut off.
 */
async function withBook<T>(work: (directory: string, told: Told) => Promise<T>): Promise<T> {
  return inFolder(async (folder) => {
    const [directory, told] = [join(folder, 'data'), new Told()]
    for (const ms of [400, 250, 500]) await startScribe(directory, told, { ms }).ended
    return work(directory, told)
  })
}

/** All files of a book but LevelDB's own log for people and its lock, with their paths inside it. */
const filesOf = (directory: string): string[] =>
  (readdirSync(directory, { recursive: true }) as string[])
    .filter((path) => statSync(join(directory, path)).isFile() && !/(^|\/)(LOCK|LOG|LOG\.old|lock)$/.test(path))
    .filter((path) => statSync(join(directory, path)).size > 0)
    .sort()

/** The number of the file that LevelDB began last; 2 where there is none. */
const lastFile = (directory: string): number =>
  existsSync(join(directory, 'book'))
    ? Math.max(2, ...readdirSync(join(directory, 'book')).map((name) => Number(/\d{6}/.exec(name)?.[0] ?? 0)))
    : 2

/** The logs that LevelDB will begin next. */
const logsToCome = (directory: string): string[] =>
  Array.from({ length: 60 }, (_, n) =>
    join(directory, 'book', `${String(lastFile(directory) + n + 1).padStart(6, '0')}.log`),
  )

/** strace that does something at the Nth call of a system call. */
const strace = (call: string, what: string, paths: readonly string[] = []): string[] => [
  ...['strace', '-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${call}:${what}`],
  ...paths.flatMap((path) => ['-P', path]),
]

const kills: Fault = {
  name: '96. kill -9 at any moment',
  needs: [],
  rounds: { short: 6, long: 300 },
  play: (rounds, random) =>
    onGoingBook(rounds, async (directory, told, i) => {
      const ms = Math.floor(random() * 900)
      const scribe = startScribe(directory, told, { ms: 5000 })
      // Every other round, in the midst of its writes, however slow the machine is.
      if (i % 2 === 1) await scribe.begun
      await wait(ms)
      kill(scribe)
      const { code } = await scribe.ended
      const what = `round ${i}, killed after ${ms} ms`
      return code === null ? what : { missed: `${what}, but it had ended by itself with ${code}` }
    }),
}

/** How often each call is made in the part of a run that is looked at: what starts Node comes first. */
const CALLS: readonly (readonly [call: string, upTo: number])[] = [
  ['fdatasync', 60],
  ['write', 160],
  ['openat', 260],
  ['rename', 8],
  ['unlink', 8],
  ['pwrite64', 60],
  ['fsync', 6],
]

const syscallKills: Fault = {
  name: '97. kill at the Nth system call',
  needs: ['strace'],
  rounds: { short: 3, long: 200 },
  play: (rounds, random) =>
    onGoingBook(rounds, async (directory, told, i, sooner) => {
      const [call, upTo] = CALLS[Math.floor(random() * CALLS.length)]!
      const nth = 1 + Math.floor(random() * upTo * sooner)
      const scribe = startScribe(directory, told, { ms: 700, wrap: strace(call, `signal=SIGKILL:when=${nth}`) })
      const what = `round ${i}, killed at ${call} ${nth}`
      // With fewer calls than that it has ended by itself.
      return (await scribe.ended).code === 0 ? { missed: what } : what
    }),
}

const failedSyncs: Fault = {
  name: '100. fsync fails (EIO)',
  needs: ['strace'],
  rounds: { short: 1, long: 30 },
  play: (rounds, random) =>
    onGoingBook(rounds, async (directory, told, i, sooner) => {
      // Early, since it is counted for each thread: there has to be time left to recover in.
      const nth = 3 + Math.floor(random() * 20 * sooner)
      const scribe = startScribe(directory, told, {
        ...PATIENT,
        wrap: strace('fdatasync', `error=EIO:when=${nth}`),
      })
      return unlessRecovered(told, (await scribe.ended).stdout, `round ${i}, fdatasync ${nth}`)
    }),
}

/** This many acknowledgements need more syncs than four threads have made when the one to hang is due. */
const MANY = 2000

/** Longer than any run. us */
const HANGS_US = 1_800_000_000

/** How far a log has been synced, and which one, by strace's account of its writes and syncs. */
function synced(account: string): { readonly log: string; readonly bytes: number } {
  let [log, written, bytes] = ['', 0, 0]
  for (const line of account.split('\n')) {
    const [, call, path = ''] = /(write|fdatasync)\(\d+<.*\/(.+?)>/.exec(line) ?? []
    const returned = Number(/ = (-?\d+)/.exec(line)?.[1] ?? -1)
    if (path !== '' && path !== log) [log, written, bytes] = [path, 0, 0]
    if (call === 'write') written += Math.max(0, returned)
    else if (call === 'fdatasync' && returned === 0) bytes = written
  }
  return { log, bytes }
}

const hangingSyncs: Fault = {
  name: 'power loss while a sync hangs',
  needs: ['strace'],
  rounds: { short: 3, long: 50 },
  play: (rounds, random) =>
    onGoingBook(rounds, async (directory, told, i) => {
      // Counted for each thread; before the sixth in all, something has been acknowledged.
      const nth = 6 + Math.floor(random() * 10)
      const account = join(directory, '..', 'account')
      const hang = strace('fdatasync', `delay_enter=${HANGS_US}:when=${nth}+`, logsToCome(directory))
      // Of what is given twice, the second holds.
      const accounting = ['-y', '-s', '0', '-e', 'trace=write,fdatasync', '-o', account]
      const scribe = startScribe(directory, told, { ms: 600_000, wrap: [...hang, ...accounting] })
      const read = (): string => (existsSync(account) ? readFileSync(account, 'utf8') : '')
      const isHanging = (): boolean => {
        const threads = [...read().matchAll(/^(\d+) +fdatasync\(/gm)].map(([, thread]) => thread)
        return threads.some((thread) => threads.filter((one) => one === thread).length >= nth)
      }
      await scribe.said((stdout) => isHanging() || stdout.split('\n+ ').length > MANY)
      const before = read()
      // What it had to say by then, it has said.
      await scribe.answers()
      const isStill = /fdatasync\([^)]*$/.test(before) && read() === before
      kill(scribe)
      await scribe.ended
      // What a disk holds for certain when its power goes: what was synced.
      const { log, bytes } = synced(before)
      if (isStill) truncateSync(join(directory, 'book', log), bytes)
      const what = `round ${i}, ${log} of ${bytes} bytes as the sync left it before the one that hangs`
      return isStill ? what : { missed: what }
    }),
}

const fullOnce: Fault = {
  name: '101. a write fails once (ENOSPC)',
  needs: ['strace'],
  rounds: { short: 1, long: 30 },
  play: (rounds, random) =>
    onGoingBook(rounds, async (directory, told, i, sooner) => {
      const nth = 2 + Math.floor(random() * 80 * sooner)
      const scribe = startScribe(directory, told, {
        ...PATIENT,
        wrap: strace('write', `error=ENOSPC:when=${nth}`, logsToCome(directory)),
      })
      return unlessRecovered(told, (await scribe.ended).stdout, `round ${i}, write ${nth}`)
    }),
}

/** So long a full disk may take to be met, looked at and overcome, on the slowest machine. */
const FULL_FOR_MS = 60_000

const fullDisk: Fault = {
  name: '102. disk full for a while, then free',
  needs: ['root'],
  rounds: { short: 1, long: 10 },
  async play(rounds, random) {
    const outcome = newOutcome()
    for (let i = 0; i < rounds; i++)
      await inFolder((folder) =>
        onDisk(['-t', 'tmpfs', '-o', 'size=128m', 'tmpfs'], folder, async () => {
          const [directory, told] = [join(folder, 'data'), new Told()]
          const scribe = startScribe(directory, told, { ms: 600_000 })
          const longEnough = setTimeout(() => scribe.child.kill('SIGTERM'), FULL_FOR_MS)
          if (i % 3 !== 2) await scribe.begun
          await wait(random() * 900)
          const filler = join(folder, '.filler')
          try {
            writeFileSync(filler, Buffer.alloc(128 << 20))
          } catch {
            // As full as it can be.
          }
          await scribe.said((stdout) => stdout.split('\n# ').length > 20)
          rmSync(filler, { force: true })
          await scribe.said((stdout) => stdout.slice(stdout.lastIndexOf('\n# ')).includes('\n+ '))
          clearTimeout(longEnough)
          scribe.child.kill('SIGTERM')
          await scribe.ended
          take(outcome, await judge(directory, told), told, false, `round ${i}`)
          const said = told.lines.map((line) => line[0]).join('')
          if (!/!.*#.*\+/.test(said))
            outcome.wrong.push(`round ${i}: it was not refused, looked into, and written again: ${said.slice(-80)}`)
        }),
      )
    return outcome
  },
}

const cutTails: Fault = {
  name: '104. the log cut at every byte of its tail',
  needs: [],
  isDamage: true,
  rounds: { short: 60, long: 3000 },
  play: (rounds) =>
    withBook(async (directory, told) => {
      const outcome = newOutcome()
      const log = filesOf(directory)
        .filter((path) => path.endsWith('.log'))
        .at(-1)!
      const size = statSync(join(directory, log)).size
      const step = Math.max(1, Math.floor(Math.min(size, 3000) / rounds))
      for (let cut = 1; cut <= Math.min(size, rounds * step); cut += step)
        await withCopy(directory, async (copy) => {
          truncateSync(join(copy, log), size - cut)
          take(outcome, await judge(copy, told), told, true, `${log} without its last ${cut} bytes`)
        })
      return outcome
    }),
}

const tornWrites: Fault = {
  name: '103. torn writes: the end of the log is zeros or noise',
  needs: [],
  isDamage: true,
  rounds: { short: 20, long: 400 },
  play: (rounds, random) =>
    withBook(async (directory, told) => {
      const outcome = newOutcome()
      const log = filesOf(directory)
        .filter((path) => path.endsWith('.log'))
        .at(-1)!
      for (let i = 0; i < rounds; i++)
        await withCopy(directory, async (copy) => {
          const bytes = readFileSync(join(copy, log))
          const from = Math.floor(bytes.length * random())
          for (let at = from; at < bytes.length; at++) bytes[at] = i % 2 === 0 ? 0 : Math.floor(random() * 256)
          writeFileSync(join(copy, log), bytes)
          take(outcome, await judge(copy, told), told, true, `${log} torn from byte ${from}`)
        })
      return outcome
    }),
}

const bitFlips: Fault = {
  name: '105. one bit flipped, in any file',
  needs: [],
  isDamage: true,
  rounds: { short: 40, long: 600 },
  play: (rounds, random) =>
    withBook(async (directory, told) => {
      const outcome = newOutcome()
      const files = filesOf(directory)
      const apart = startJudge()
      for (let i = 0; i < rounds; i++)
        await withCopy(directory, async (copy) => {
          const path = files[i % files.length]!
          const bytes = readFileSync(join(copy, path))
          const bit = Math.floor(random() * bytes.length * 8)
          bytes[bit >> 3]! ^= 1 << (bit & 7)
          writeFileSync(join(copy, path), bytes)
          take(outcome, await apart.judge(copy, told), told, true, `${path}, bit ${bit}`)
        })
      apart.close()
      return outcome
    }),
}

const deletedFiles: Fault = {
  name: '106. a file deleted',
  needs: [],
  isDamage: true,
  rounds: { short: 10, long: 60 },
  play: (rounds) =>
    withBook(async (directory, told) => {
      const outcome = newOutcome()
      const files = [...filesOf(directory), 'book']
      for (let i = 0; i < Math.min(rounds, files.length); i++)
        await withCopy(directory, async (copy) => {
          rmSync(join(copy, files[i]!), { recursive: true })
          take(outcome, await judge(copy, told), told, true, `${files[i]} deleted`)
        })
      return outcome
    }),
}

const fewFiles: Fault = {
  name: 'too few open files (EMFILE)',
  needs: ['prlimit'],
  rounds: { short: 3, long: 30 },
  async play(rounds, random) {
    let tooFew = 0
    const outcome = await onGoingBook(rounds, async (directory, told, i) => {
      // Enough at first, then enough for Node alone, then somewhere around what a book needs.
      const most = [100, 24][i % ROUNDS_A_BOOK] ?? 18 + Math.floor(random() * 22)
      const scribe = startScribe(directory, told, { ms: 600, wrap: ['prlimit', `--nofile=${most}:${most}`] })
      const { code, stdout } = await scribe.ended
      if (code !== 0 || stdout.includes('\n! ')) tooFew++
      return `round ${i}, ${most} files`
    })
    if (tooFew === 0) outcome.wrong.push('the files were never too few: every start went well, and nobody was refused')
    return outcome
  },
}

function takesWrites(folder: string): boolean {
  try {
    writeFileSync(join(folder, '.probe'), '?')
    return true
  } catch {
    return false
  }
}

const powerLoss = (kind: 'ext4' | 'xfs'): Fault => ({
  name: `98, 99. power loss on ${kind}`,
  needs: ['root', `mkfs.${kind}`, 'xfs_io'],
  rounds: { short: 3, long: 50 },
  async play(rounds, random) {
    const outcome = newOutcome()
    for (let i = 0; i < rounds; i++)
      await inFolder(async (folder) => {
        const [image, mount] = [join(folder, 'image'), join(folder, 'mount')]
        mkdirSync(mount)
        writeFileSync(image, '')
        truncateSync(image, kind === 'xfs' ? 320 << 20 : 64 << 20)
        run(`mkfs.${kind}`, '-q', kind === 'xfs' ? '-f' : '-F', image)
        const [directory, told] = [join(mount, 'data'), new Told()]
        // Every other round loses power while writes are acknowledged, the rest somewhere in the first start.
        const ms = i % 2 === 0 ? random() * 900 : 150 + random() * 500
        await onDisk(['-o', 'loop', image], mount, async () => {
          const scribe = startScribe(directory, told, { ms: 600_000 })
          if (i % 2 === 0) await scribe.begun
          await wait(ms)
          run('xfs_io', '-x', '-c', 'shutdown', mount)
          if (takesWrites(mount)) outcome.wrong.push(`round ${i}: the power was not lost: the disk still takes writes`)
          kill(scribe)
          await scribe.ended
        })
        await onDisk(['-o', 'loop', image], mount, async () => {
          const isPromised = told.lines.length > 0
          const verdict = await judge(directory, told)
          if (isPromised || !('refused' in verdict))
            take(outcome, verdict, told, false, `round ${i}, after ${Math.floor(ms)} ms`)
          else outcome.rounds++ // Cut off before it was ready: nothing had been promised.
        })
      })
    return outcome
  },
})

const YEARS_MS = 5 * 365 * 86_400_000

const clockJumps: Fault = {
  name: '116. the clock jumps an hour and ten years, both ways',
  needs: [],
  rounds: { short: 1, long: 20 },
  play: (rounds) =>
    onGoingBook(rounds, async (directory, told, i) => {
      const before = existsSync(directory) ? (await timesOf(directory)).length : 0
      await startScribe(directory, told, { ms: 700, clock: 'jumps' }).ended
      const times = (await timesOf(directory)).slice(before)
      const steps = times.slice(1).map((time, n) => time - times[n]!)
      const hasJumped = steps.some((ms) => ms > YEARS_MS) && steps.some((ms) => ms < -YEARS_MS)
      return hasJumped ? `round ${i}` : { missed: `round ${i}: its events do not go back and forth by years` }
    }),
}

const secondInstance: Fault = {
  name: '108. a second instance',
  needs: [],
  rounds: { short: 1, long: 20 },
  async play(rounds) {
    const refusals: string[] = []
    const outcome = await onGoingBook(rounds, async (directory, told, i) => {
      const first = startScribe(directory, told, { ms: 600_000 })
      await first.begun
      const second = await startScribe(directory, new Told(), { ms: 100 }).ended
      if (second.code === 0 || !/in use by process \d+/.test(second.stderr)) refusals.push(`round ${i}: it was let in`)
      first.child.kill('SIGTERM')
      await first.ended
      return `round ${i}`
    })
    outcome.wrong.push(...refusals)
    return outcome
  },
}

const terms: Fault = {
  name: '115. SIGTERM under load',
  needs: [],
  rounds: { short: 1, long: 30 },
  async play(rounds, random) {
    const late: string[] = []
    const outcome = await onGoingBook(rounds, async (directory, told, i) => {
      const scribe = startScribe(directory, told, { ms: 600_000 })
      await scribe.begun
      await wait(random() * 500)
      scribe.child.kill('SIGTERM')
      if ((await scribe.ended).code !== 0) late.push(`round ${i}: it did not end with 0`)
      return `round ${i}`
    })
    outcome.wrong.push(...late)
    return outcome
  },
}

export const faults: readonly Fault[] = [
  ...[
    kills,
    syscallKills,
    failedSyncs,
    hangingSyncs,
    fullOnce,
    fullDisk,
    cutTails,
    tornWrites,
    bitFlips,
    deletedFiles,
    fewFiles,
  ],
  ...[powerLoss('ext4'), powerLoss('xfs'), clockJumps, secondInstance, terms],
]

/** Plays a fault. A run that checked nothing is wrong, too. @param random numbers from 0 up to 1 */
export async function play(fault: Fault, rounds: number, random: () => number): Promise<Outcome> {
  const outcome = await fault.play(rounds, random)
  if (outcome.checked === 0) outcome.wrong.push('no write was acknowledged, so nothing was checked')
  if (fault.isDamage && outcome.noticed === 0) outcome.wrong.push('no damage was noticed in any round')
  return outcome
}
