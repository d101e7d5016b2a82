/** A whole simulated life: random acts on a real book, each held against a model, over restarts, kills and years. */
import assert from 'node:assert/strict'
import { cpSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { withdrawApproval } from '../src/domain/approvals.ts'
import { authenticate } from '../src/domain/bearers.ts'
import { settleChatGpt } from '../src/domain/clients.ts'
import { denyConsent, grantAgain, grantConsent, isRemembered, requestConsent } from '../src/domain/consents.ts'
import { type Event, eventTypes, type State } from '../src/domain/domain.ts'
import { redeemCode, refreshTokens, revokeToken } from '../src/domain/grants.ts'
import { sessionUser, signIn, signOut } from '../src/domain/sessions.ts'
import type { Decision } from '../src/domain/shape.ts'
import { changePassword, eraseUser, registerUser, restoreUser, revokeUser } from '../src/domain/users.ts'
import { Ledger } from '../src/ledger/ledger.ts'
import { Refused } from '../src/ledger/refused.ts'
import { newKey } from '../src/ledger/vault.ts'
import { type ListAct, linesOf, listActs, type Planned, planList } from './_list-acts.ts'
import { Model, TTL, type Wrong } from './_model.ts'
import { assertBookHolds, CALLBACK, CHATGPT_ID, Clock, SYSTEM, temporaryFolder } from './_support.ts'

const NAMES = ['alice', 'bob', 'alice-2']
const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000]

/** What somebody does. `pick` chooses whom or what it is done to: 0 is the newest one there is. */
const pick = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat({ max: 4 }), fc.nat({ max: 20 }))
const how = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Wrong>('right') },
  fc.constantFrom<Wrong>('foreign client', 'wrong details'),
)
const act = <T extends string, A extends object>(
  name: T,
  weight: number,
  more: { [K in keyof A]: fc.Arbitrary<A[K]> },
) => ({
  weight,
  arbitrary: fc.record({ act: fc.constant(name), pick, ...more }) as fc.Arbitrary<{ act: T; pick: number } & A>,
})
const acts = fc.oneof(
  act('sign up', 2, { name: fc.constantFrom(...NAMES) }),
  act<'sign in', { password: 'right' | 'wrong' | 'outdated'; sameBrowser?: boolean }>('sign in', 4, {
    sameBrowser: fc.boolean(),
    password: fc.constantFrom('right' as const, 'right' as const, 'wrong' as const, 'outdated' as const),
  }),
  act('sign out', 1, {}),
  act('ask', 6, {}),
  act('ask again', 3, {}),
  act<'give back', { kind: 'access' | 'refresh'; isOwn: boolean }>('give back', 1, {
    kind: fc.constantFrom('access' as const, 'refresh' as const),
    isOwn: fc.nat({ max: 4 }).map((n) => n > 0),
  }),
  act('withdraw', 1, {}),
  act('answer', 8, { allow: fc.nat({ max: 5 }).map((n) => n > 0), ownSession: fc.nat({ max: 5 }).map((n) => n > 0) }),
  act('redeem', 10, { how }),
  act('refresh', 16, { how }),
  act('revoke', 1, {}),
  act('erase', 1, { surely: fc.nat({ max: 3 }).map((n) => n === 0) }),
  act('restore', 4, {}),
  act('change password', 1, {}),
  act<'list', { does: ListAct }>('list', 14, { does: listActs }),
)
type Act = typeof acts extends fc.Arbitrary<infer A> ? A : never

/** Acts that are sent one after the other before any of them is answered. */
const doing = (acts: fc.Arbitrary<Act[]>) => fc.record({ step: fc.constant('do' as const), acts })
/** From the sign-in of somebody to tokens. */
const CONNECT: readonly Act[] = [
  { act: 'sign in', pick: 0, password: 'right' },
  { act: 'ask', pick: 0 },
  { act: 'answer', pick: 0, allow: true, ownSession: true },
  { act: 'redeem', pick: 0, how: 'right' },
]
const connect = pick.map((pick) => CONNECT.with(0, { act: 'sign in', pick, password: 'right' }))
const refreshes = fc.array(fc.record({ act: fc.constant('refresh' as const), pick, how }), {
  minLength: 1,
  maxLength: 4,
})
const short = fc.constantFrom(1, SECOND, 30 * SECOND, 59_999, MINUTE, 61 * SECOND)
const long = fc.constantFrom(10 * MINUTE, 30 * MINUTE - 1, 30 * MINUTE, 40 * MINUTE, HOUR, 2 * HOUR)
/** As long as outcomes are kept and deletions can be undone, and a moment less. */
const ages = fc.constantFrom(DAY - 1, DAY, 30 * DAY - 1, 30 * DAY, 31 * DAY)
/** Much about one list. */
const shopping = fc.array(fc.record({ act: fc.constant('list' as const), pick: fc.constant(0), does: listActs }), {
  minLength: 2,
  maxLength: 6,
})
/** As many requests as a session may have open, and some more. */
const flood = fc.integer({ min: 8, max: 12 }).map((n): Act[] => Array(n).fill({ act: 'ask', pick: 0 }))
const passing = (ms: fc.Arbitrary<number>) => fc.record({ step: fc.constant('pass' as const), ms })
const steps = fc.oneof(
  { weight: 12, arbitrary: doing(fc.array(acts, { minLength: 1, maxLength: 5 })) },
  { weight: 4, arbitrary: doing(connect) },
  { weight: 10, arbitrary: doing(refreshes) },
  { weight: 4, arbitrary: passing(short) },
  { weight: 2, arbitrary: passing(long) },
  { weight: 1, arbitrary: passing(ages) },
  { weight: 5, arbitrary: doing(shopping) },
  { weight: 1, arbitrary: doing(flood) },
  { weight: 2, arbitrary: fc.record({ step: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ step: fc.constantFrom('reopen' as const, 'kill' as const) }) },
)
type Step = typeof steps extends fc.Arbitrary<infer S> ? S : never

const MADE = { accessTtlMs: TTL.access, refreshIdleTtlMs: TTL.idle, refreshMaxTtlMs: TTL.max, resource: undefined }
const ASKED = { client: 'chatgpt', redirectUri: CALLBACK, scope: 'todos:read', challenge: null, resource: null }
/** A grant is made together with the first code of a yes. */
const grantOf = ({ family }: { family: { code: string } }): string => family.code.replace('code-', 'grant-')
const clientOf = (how: Wrong): string => (how === 'foreign client' ? 'other' : 'chatgpt')

/** `undefined` where there is nothing to do it to. */
function plan(model: Model, one: Act, id: string): Planned | undefined {
  const newest = <T>(things: readonly T[]): T | undefined => things[things.length - 1 - (one.pick % things.length)]
  const [user, session, consent] = [newest(model.users), newest(model.sessions), newest(model.consents)]
  const { now } = model
  switch (one.act) {
    case 'sign up': {
      if (model.erased.has(one.name)) return undefined
      const input = { user: one.name, username: one.name, email: `${one.name}@example.org`, admin: false }
      return {
        expected: model.signUp(one.name),
        decide: (state) => registerUser(state, { ...input, passwordHash: 'hash', key: newKey() }),
      }
    }
    case 'sign in': {
      if (user === undefined) return undefined
      const input = { user: user.name, passwordRight: one.password !== 'wrong', session: `session-${id}` }
      const passwordChanges = one.password === 'outdated' ? 0 : user.changes
      const before = one.sameBrowser === true ? session : undefined
      const all = { ...input, passwordChanges, sessionTtlMs: TTL.session, before: before?.id }
      return {
        expected: model.signIn(user, all.session, one.password, before),
        decide: (state, at) => signIn(state, all, at),
      }
    }
    case 'sign out':
      return session && { expected: model.signOut(session), decide: (state) => signOut(state, session.id) }
    case 'ask': {
      if (session === undefined || !model.isSignedIn(session)) return undefined
      const input = { request: `request-${id}`, user: session.user.name, session: session.id, asked: ASKED, state: id }
      return {
        expected: model.ask(session, input.request),
        decide: (state) => requestConsent(state, { ...input, ttlMs: TTL.consent }, now),
      }
    }
    case 'ask again': {
      if (session === undefined || !model.isSignedIn(session)) return undefined
      const ids = { user: session.user.name, session: session.id, asked: ASKED }
      const made = { grant: `grant-${id}`, code: `code-${id}`, codeTtlMs: TTL.code }
      const request = { request: `request-${id}`, state: id, ttlMs: TTL.consent }
      return {
        expected: model.askAgain(session, request.request, made.code),
        decide: (state, at): Decision<Event, unknown> =>
          isRemembered(state, ids.user, ASKED, at)
            ? grantAgain(state, { ...ids, ...made }, at)
            : requestConsent(state, { ...ids, ...request }, at),
      }
    }
    case 'give back': {
      const token = newest(one.kind === 'access' ? model.accesses : model.refreshes)
      if (token === undefined) return undefined
      const client = one.isOwn ? 'chatgpt' : 'other'
      const shown = { digest: token.id, grant: one.kind === 'refresh' ? grantOf(token) : undefined }
      return {
        expected: model.giveBack(token, one.kind, one.isOwn),
        decide: (state, at) => revokeToken(state, { token: shown, client }, at),
      }
    }
    case 'answer': {
      const from = one.ownSession ? consent?.session : session
      if (consent === undefined || from === undefined) return undefined
      const answer = { request: consent.id, session: from.id, grant: `grant-${id}`, code: `code-${id}` }
      const decide = one.allow ? grantConsent : denyConsent
      return {
        expected: model.answer(consent, from, answer.code, one.allow),
        decide: (state, at) => decide(state, { ...answer, codeTtlMs: TTL.code, approvalTtlMs: TTL.approval }, at),
      }
    }
    case 'withdraw': {
      if (user === undefined) return undefined
      const request = user.saidYesTo ?? 'none'
      const decide = (state: State): Decision<Event, unknown> => withdrawApproval(state, request)
      return { expected: model.withdraw(user), decide }
    }
    case 'redeem': {
      const code = newest(model.codes)
      if (code === undefined) return undefined
      const redirectUri = one.how === 'wrong details' ? `${CALLBACK}/` : CALLBACK
      const ask = { ...MADE, code: code.id, client: clientOf(one.how), redirectUri, challenge: null }
      return {
        expected: model.redeem(code, one.how, id),
        decide: (state, at) => redeemCode(state, { ...ask, access: `access-${id}`, refresh: `refresh-${id}` }, at),
      }
    }
    case 'refresh': {
      const token = newest(model.refreshes)
      if (token === undefined) return undefined
      const scope = one.how === 'wrong details' ? 'todos:write' : undefined
      const from = { digest: token.id, grant: grantOf(token) }
      const ask = { ...MADE, from, client: clientOf(one.how), scope }
      return {
        expected: model.refresh(token, one.how, id),
        decide: (state, at) => refreshTokens(state, { ...ask, access: `access-${id}`, refresh: `refresh-${id}` }, at),
      }
    }
    case 'revoke':
      return user && { expected: model.revoke(user), decide: (state) => revokeUser(state, user.name) }
    case 'erase': {
      if (user === undefined || !one.surely) return undefined
      return { expected: model.erase(user), decide: (state) => eraseUser(state, user.name) }
    }
    case 'restore':
      return user && { expected: model.restore(user), decide: (state) => restoreUser(state, user.name) }
    case 'change password': {
      if (user === undefined) return undefined
      const input = { identifier: user.name, passwordHash: `hash ${id}` }
      return { expected: model.changePassword(user), decide: (state) => changePassword(state, input) }
    }
    case 'list':
      return user && planList(user.list, user.name, one.does, `todo-${id.split('').reverse().join('')}`, now)
  }
}

/** Everything that opens a door in the real book at this moment, by name; each list. Decides, and records nothing. */
function look(state: State, now: number, model: Model): { alive: string[]; lists: string[][] } {
  const answer = { grant: 'x', code: 'x', codeTtlMs: 1, approvalTtlMs: 1 }
  const ask = { ...MADE, access: 'x', refresh: 'y', client: 'chatgpt', scope: undefined, challenge: null }
  const opens: [{ id: string }[], (id: string, i: number) => boolean][] = [
    [model.sessions, (id) => sessionUser(state, id, now) !== undefined],
    [
      model.consents,
      (request, i) => {
        const session = model.consents[i]!.session.id
        return grantConsent(state, { ...answer, request, session }, now).refusal === undefined
      },
    ],
    [model.codes, (code) => redeemCode(state, { ...ask, code, redirectUri: CALLBACK }, now).refusal === undefined],
    [model.accesses, (access) => typeof authenticate(state, access, [], now) === 'object'],
    [
      model.refreshes,
      (digest, i) => {
        const from = { digest, grant: grantOf(model.refreshes[i]!) }
        return refreshTokens(state, { ...ask, from }, now).refusal === undefined
      },
    ],
  ]
  return {
    alive: opens.flatMap(([things, isAlive]) => things.map(({ id }) => id).filter(isAlive)),
    lists: model.users.map(({ name }) => linesOf(state, name)),
  }
}

/** How every life begins: two people, one of them connected. */
const CHILDHOOD: readonly Step[] = [
  { step: 'do', acts: NAMES.slice(0, 2).map((name) => ({ act: 'sign up', pick: 0, name })) },
  { step: 'do', acts: [...CONNECT] },
]

/**
 * Copies what a kill would leave: the files as they are. LevelDB may be tidying up on a thread of its own, so it is
 * copied again until no file changed meanwhile.
 */
function copyAsKilled(directory: string, copy: string): void {
  const files = (): string =>
    readdirSync(join(directory, 'book'))
      .map((name) => `${name} ${statSync(join(directory, 'book', name), { throwIfNoEntry: false })?.size}`)
      .join()
  for (;;) {
    const before = files()
    try {
      // Reading LevelDB's LOCK would unlock it.
      cpSync(directory, copy, { recursive: true, filter: (path) => !path.endsWith('LOCK') })
      if (files() === before) return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
    rmSync(copy, { recursive: true, force: true })
  }
}

const seen = new Map<string, number>()

/** One life, step by step. Throws where the book and the model part. */
async function live(folder: string, life: readonly Step[]): Promise<void> {
  const clock = new Clock()
  const model = new Model(clock.now)
  /** What was answered first under an idempotency key. */
  const answers = new Map<string, unknown>()
  let [directory, copies, made] = [join(folder, 'book-0'), 0, 0]
  const open = (): Promise<Ledger> => Ledger.open({ directory, clock: clock.read, version: 'test' })
  let ledger = await open()
  const chatgpt = {
    clientId: CHATGPT_ID,
    secret: 'digest',
    redirects: [CALLBACK],
    made: { clientId: '', secret: '', digest: '' },
  }
  await ledger.transact(SYSTEM, (state) => settleChatGpt(state, chatgpt))
  try {
    for (const one of [...CHILDHOOD, ...life]) {
      const before = ledger.head.seq
      let planned: Planned[] = []
      let swept: 'maybe' | 'surely' | undefined
      if (one.step === 'pass') {
        model.now += one.ms
        clock.pass(one.ms)
      } else if (one.step === 'do') {
        planned = one.acts.flatMap((single) => plan(model, single, String(++made).padStart(4, '0')) ?? [])
      } else if (one.step === 'sweep') {
        swept = model.sweep() ? 'surely' : 'maybe'
        await ledger.sweep()
      } else {
        if (one.step === 'kill') {
          const copy = join(folder, `book-${++copies}`)
          copyAsKilled(directory, copy)
          await ledger.close()
          directory = copy
        } else await ledger.close()
        ledger = await open()
      }
      const results = await Promise.allSettled(planned.map(({ decide }) => ledger.transact(SYSTEM, decide)))
      for (const [i, result] of results.entries()) {
        if (result.status === 'rejected' && !(result.reason instanceof Refused)) throw result.reason
        const { expected, sameAs } = planned[i]!
        assert.equal(result.status === 'fulfilled', expected.ok, `act ${i} of ${JSON.stringify(one)}`)
        if (sameAs === undefined || result.status === 'rejected') continue
        if (expected.events.includes('OutcomeKept')) answers.set(sameAs, result.value)
        else assert.deepEqual(result.value, answers.get(sameAs), `act ${i} of ${JSON.stringify(one)}`)
      }
      const news = (await Array.fromAsync(ledger.events({ from: before + 1 }))).map(({ type }) => type)
      // Tokens that are of no more use to anybody may go as well.
      if (swept !== undefined) assert.ok(news.join() === 'ExpiredDropped' || (swept === 'maybe' && news.length === 0))
      else
        assert.deepEqual(
          news,
          planned.flatMap(({ expected }) => expected.events),
        )
      for (const type of news) seen.set(type, (seen.get(type) ?? 0) + 1)
      const expected = { alive: model.alive(), lists: model.users.map(({ list }) => list.lines()) }
      assert.deepEqual(await ledger.read((state, now) => look(state, now, model)), expected, JSON.stringify(one))
    }
  } catch (error) {
    await ledger.close()
    throw error
  }
  await assertBookHolds(ledger, directory, clock)
}

const LISTED: ListAct[] = [
  { act: 'add', once: null },
  { act: 'add', once: { key: 'k1', request: 0 } },
  { act: 'add', once: { key: 'k1', request: 0 } },
  { act: 'add', once: { key: 'k1', request: 1 } },
  { act: 'change', once: null, which: 0, change: { text: 'x', due: '2026-12-01', done: true } },
  { act: 'several', once: null, what: 'reopen', whiches: [0, 1] },
  { act: 'move', once: null, which: 0, where: { to: 'before', which: 1 } },
  { act: 'several', once: null, what: 'delete', whiches: [0, 1] },
  { act: 'several', once: null, what: 'undo', whiches: [1] },
  { act: 'delete at', once: null, index: 0, text: 'right' },
]
/** A life in which everything happens once, so that no run is too tame to show anything. */
const EVENTFUL: Act[] = [
  { act: 'sign in', pick: 0, password: 'wrong' },
  ...CONNECT,
  { act: 'redeem', pick: 0, how: 'right' },
  ...CONNECT,
  { act: 'give back', pick: 0, kind: 'access', isOwn: true },
  { act: 'give back', pick: 0, kind: 'refresh', isOwn: true },
  ...CONNECT,
  { act: 'withdraw', pick: 0 },
  ...CONNECT,
  // The same token twice; then one of the two that came of it, and the one that was lost by that.
  ...[0, 1, 1, 1].map((pick): Act => ({ act: 'refresh', pick, how: 'right' })),
  { act: 'refresh', pick: 0, how: 'right' },
  { act: 'refresh', pick: 3, how: 'right' },
  { act: 'ask', pick: 0 },
  { act: 'answer', pick: 0, allow: false, ownSession: true },
  { act: 'sign out', pick: 0 },
  ...LISTED.map((does): Act => ({ act: 'list', pick: 0, does })),
  { act: 'change password', pick: 0 },
  { act: 'revoke', pick: 0 },
  { act: 'restore', pick: 0 },
  { act: 'erase', pick: 0, surely: true },
]

test('whatever is done in whatever order, the book does what the model says, and holds', async (t) => {
  const folder = temporaryFolder(t)
  let lives = 0
  const holds = fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 60, size: 'max' }), (life) => {
    const own = join(folder, String(++lives))
    mkdirSync(own)
    return live(own, life)
  })
  const examples: [Step[]][] = [
    [[{ step: 'do', acts: EVENTFUL }]],
    [EVENTFUL.flatMap((one): Step[] => [{ step: 'do', acts: [one] }, { step: 'kill' }])],
  ]
  await fc.assert(holds, { numRuns: 150, interruptAfterTimeLimit: 12_000, examples })
  const missing = eventTypes.filter(
    (type) => !/^(Book|Client|RedirectUri|Expired|Key|Service|List)/.test(type) && !seen.has(type),
  )
  t.deepEqual(missing, [])
  t.log(`${lives} lives: ${[...seen].map(([type, count]) => `${count} ${type}`).join(', ')}`)
})
