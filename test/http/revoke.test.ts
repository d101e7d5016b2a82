/** E. Revocation: `user revoke` ends everything of that user at once, whatever else is going on. */
import { setImmediate as turn } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { answer } from '../../src/cli/run.ts'
import { allowRedirect, rotateSecret } from '../../src/domain/clients.ts'
import { changePassword } from '../../src/domain/users.ts'
import { digest } from '../../src/service/secrets.ts'
import {
  type Answer,
  ClientSide,
  dump,
  formWith,
  OTHER,
  type Person,
  person,
  SYSTEM,
  startWorld,
  type Tokens,
  Visitor,
  type World,
} from '../_support.ts'
import { holdWrites, settleTraffic } from './_elsewhere.ts'

/** What a command of the operator's says when it returns: as over the socket of a running server. */
const command = (world: World, act: string, username = 'alice') =>
  Array.fromAsync(answer(world.ledger, { act, input: { username } }, new AbortController().signal))

/** Everything that somebody can hold at one time. */
async function settle(world: World, who: Person) {
  const [chatgpt, other] = [new ClientSide(world.url), new ClientSide(world.url, OTHER)]
  const visitors = [new Visitor(world.url), new Visitor(world.url), new Visitor(world.url)] as const
  await visitors[0].signUp(who)
  await visitors[1].signIn(who)
  await visitors[2].signIn(who)
  // Asked before anything is allowed: afterwards nobody is asked the same again.
  const consents = [
    [visitors[0], await visitors[0].get(chatgpt.link())] as const,
    [visitors[1], await visitors[1].get(other.link({ state: 's2' }))] as const,
  ]
  const redeemed = await chatgpt.codeFor(visitors[0])
  const first: Tokens = (await chatgpt.exchange(redeemed)).json
  const rotated: Tokens = (await chatgpt.refresh(first.refresh_token)).json
  const others: Tokens = (await other.exchange(await other.codeFor(visitors[1]))).json
  await chatgpt.api(rotated.access_token, 'POST', '/todos/me', { todo: `of ${who.username}` })
  return {
    who,
    visitors,
    pairs: [
      [chatgpt, first],
      [chatgpt, rotated],
      [other, others],
    ] as const,
    redeemed: [chatgpt, redeemed] as const,
    codes: [[chatgpt, await chatgpt.codeFor(visitors[2])] as const, [other, await other.codeFor(visitors[0])] as const],
    consents,
  }
}
type Holdings = Awaited<ReturnType<typeof settle>>

const isSignInPage = ({ status, text }: Answer): boolean => status === 200 && formWith(text, 'identifier') !== undefined

/** Nothing of it opens anything, and trying leaves no trace in the book. */
async function assertDead(t: ExecutionContext, { news }: World, held: Holdings, because: string): Promise<void> {
  const { visitors, consents, codes, redeemed, pairs } = held
  for (const visitor of visitors) {
    t.true(isSignInPage(await visitor.get('/login')), because)
    t.true(isSignInPage(await visitor.get(pairs[0][0].link())), because)
    t.false((await visitor.get('/')).text.includes(held.who.username), because)
  }
  for (const [visitor, page] of consents)
    for (const decision of ['allow', 'deny']) {
      const refused = await visitor.submit(page, 'decision', { decision })
      t.is(refused.status, 403, because)
      t.is(refused.headers.get('location'), null, because)
    }
  for (const [client, code] of [...codes, redeemed]) {
    const { status, json } = await client.exchange(code)
    t.deepEqual([status, json.error], [400, 'invalid_grant'], because)
  }
  for (const [client, { access_token, refresh_token }] of pairs) {
    const { status, json } = await client.refresh(refresh_token)
    t.deepEqual([status, json.error], [400, 'invalid_grant'], because)
    for (const [method, body] of [['GET'], ['POST', { todo: 'no' }], ['DELETE', { todo_idx: 0 }]] as const) {
      const { status, json, headers } = await client.api(access_token, method, '/todos/me', body)
      t.deepEqual([status, json.error], [401, 'invalid_token'], because)
      t.regex(headers.get('www-authenticate')!, /^Bearer error="invalid_token"/, because)
    }
  }
  t.deepEqual(await news(), [], because)
}

/** All of it still does what it is for; afterwards it is used up. */
async function assertAlive(t: ExecutionContext, { news }: World, held: Holdings): Promise<void> {
  const { visitors, consents, codes, pairs } = held
  for (const visitor of visitors) t.is((await visitor.get('/login')).status, 303)
  for (const [visitor, page] of consents)
    t.regex(
      (await visitor.submit(page, 'decision', { decision: 'allow' })).headers.get('location')!,
      /^https:.*[?&]code=/,
    )
  for (const [client, code] of codes) t.is((await client.exchange(code)).status, 200)
  for (const [client, { access_token }] of pairs)
    t.deepEqual((await client.api(access_token, 'GET', '/todos/me')).json, { todos: [`of ${held.who.username}`] })
  for (const [client, { refresh_token }] of pairs.slice(1)) t.is((await client.refresh(refresh_token)).status, 200)
  const [consented, exchanged] = [['ConsentGranted', 'CodeIssued'], 'TokenIssued']
  t.deepEqual(await news(), [...consented!, ...consented!, exchanged, exchanged, 'TokenRefreshed', 'TokenRefreshed'])
}

test('56. when `user revoke` returns, all that the user held is dead; others are unaffected', async (t) => {
  const world = await startWorld(t)
  const alice = await settle(world, person('alice'))
  const bob = await settle(world, person('bob'))
  await world.news()

  const [said, ...more] = await command(world, 'user revoke')
  t.deepEqual(more, [])
  t.regex((said as { say: string }).say, /^alice is revoked/)
  t.deepEqual(await world.news(), ['UserRevoked'])
  const revoked = (await world.events()).at(-1)!
  t.is(revoked.actor.kind, 'operator')
  await assertDead(t, world, alice, 'revoked')

  const left = await world.ledger.read(dump)
  // Two of the four consents are answered: they are kept in case the same answer comes again.
  const ofBob = { sessions: 3, consents: 4, codes: 4, grants: 2, tokens: 6 }
  for (const [table, count] of Object.entries(ofBob)) {
    const rows = JSON.stringify(left[table])
    t.false(rows.includes((revoked.data as { user: string }).user), table)
    t.is(Object.keys(left[table]!).length, count, table)
  }

  const wrong = await new Visitor(world.url).signIn({ ...person('alice'), password: 'not her password' })
  const right = await new Visitor(world.url).signIn(person('alice'))
  t.is(right.status, wrong.status)
  t.is(right.headers.get('location'), null)
  t.deepEqual(await world.news(), ['SignInFailed', 'SignInFailed'])
  t.deepEqual(Object.keys((await command(world, 'user revoke'))[0]!), ['fail'])
  t.deepEqual(Object.keys((await command(world, 'user revoke', 'nobody'))[0]!), ['fail'])
  t.deepEqual(await world.news(), [])
  await assertAlive(t, world, bob)
})

test('56. `user restore` lets them sign in again; nothing old comes back', async (t) => {
  const world = await startWorld(t)
  const alice = await settle(world, person('alice'))
  await world.news()
  await command(world, 'user revoke')
  await command(world, 'user restore')
  t.deepEqual(await world.news(), ['UserRevoked', 'UserRestored'])
  await assertDead(t, world, alice, 'restored')
  const visitor = alice.visitors[0]
  const back = await visitor.signIn(person('alice'))
  t.is(back.status, 303)
  const chatgpt = new ClientSide(world.url)
  const { json } = await chatgpt.exchange(await chatgpt.codeFor(visitor))
  t.deepEqual((await chatgpt.api(json.access_token, 'GET', '/todos/me')).json, { todos: ['of alice'] })
  t.deepEqual(await world.news(), ['SignedIn', 'ConsentRequested', 'ConsentGranted', 'CodeIssued', 'TokenIssued'])
  // The new session answers no consent of the old one.
  const [[, oldPage]] = alice.consents as [readonly [Visitor, Answer], unknown]
  t.is((await visitor.submit(oldPage, 'decision', { decision: 'allow' })).status, 403)
  t.deepEqual(await world.news(), [])
})

const turns = async (count: number): Promise<void> => {
  for (let at = 0; at < count; at++) await turn()
}

test.serial('57. what was let in before the revocation is not carried out after it', async (t) => {
  const world = await startWorld(t)
  const chatgpt = new ClientSide(world.url)
  const { access_token: token } = await chatgpt.connect(person('alice'))
  await chatgpt.api(token, 'POST', '/todos/me', { todo: 'kept' })
  await world.news()
  const release = holdWrites(t)
  // A change to alice's own row that is not on disk yet: whoever looks at it waits for the disk.
  const changed = world.ledger.transact(SYSTEM, (state) =>
    changePassword(state, { identifier: 'alice', passwordHash: 'none' }),
  )
  const added = chatgpt.api(token, 'POST', '/todos/me', { todo: 'too late' })
  const deleted = chatgpt.api(token, 'DELETE', '/todos/me', { todo_idx: 0 })
  await settleTraffic()
  const revoked = command(world, 'user revoke')
  await release()
  await Promise.all([changed, revoked, added, deleted])
  const types = await world.news()
  t.is(types.at(-1), 'UserRevoked', `recorded: ${types}`)
  t.is((await added).status, types.includes('TodoAdded') ? 200 : 401)
  t.is((await deleted).status, types.includes('TodoDeleted') ? 200 : 401)
})

test.serial('57. a secret that was rotated opens nothing, also where it was let in before', async (t) => {
  const world = await startWorld(t)
  const other = new ClientSide(world.url, OTHER)
  const visitor = new Visitor(world.url)
  await visitor.signUp(person('alice'))
  const code = await other.codeFor(visitor)
  await world.news()
  const release = holdWrites(t)
  // A change to the client's own row that is not on disk yet: whoever looks at it waits for the disk.
  const [client, uri] = [OTHER.id, 'https://other.example/another']
  const changed = world.ledger.transact(SYSTEM, (state) => allowRedirect(state, { client, uri }))
  const early = other.exchange(code)
  await settleTraffic()
  const [secret, now] = ['another secret', digest('another secret')]
  const rotated = world.ledger.transact(SYSTEM, (state) => rotateSecret(state, { client, secret, digest: now }))
  await release()
  await Promise.all([changed, rotated, early])
  const late = await other.exchange(code)
  t.deepEqual([late.status, late.json.error], [401, 'invalid_client'])
  const types = await world.news()
  t.is(types.at(-1), 'ClientSecretRotated', `recorded: ${types}`)
  t.is((await early).status, types.includes('TokenIssued') ? 200 : 401)
  t.is((await other.exchange(code, { client_secret: secret })).status, 400, 'the code ended with the secret')
  const renewed = await other.exchange(await other.codeFor(visitor), { client_secret: secret })
  t.is(renewed.status, 200)
})

const ROUNDS = Number(process.env.ROUNDS ?? 100)

test(`57. revoke racing exchanges, refreshes, consents and sign-ins, ${ROUNDS} rounds: nothing usable after it was acknowledged`, async (t) => {
  t.timeout(3_600_000)
  const world = await startWorld(t)
  const { url } = world
  const chatgpt = new ClientSide(url)
  const isDead = async (pair: Tokens) => {
    t.is((await chatgpt.api(pair.access_token, 'GET', '/todos/me')).status, 401)
    t.is((await chatgpt.refresh(pair.refresh_token)).status, 400)
  }
  let won = 0
  const visitor = new Visitor(url)
  await visitor.signUp(person('alice'))
  for (let round = 0; round < ROUNDS; round++) {
    if (round > 0) {
      await command(world, 'user restore')
      t.is((await visitor.signIn(person('alice'))).status, 303)
    }
    const page = await visitor.get(chatgpt.link())
    const tokens: Tokens = (await chatgpt.exchange(await chatgpt.codeFor(visitor))).json
    const code = await chatgpt.codeFor(visitor)
    const late = new Visitor(url)
    const signInPage = await late.get('/login')
    const credentials = { identifier: 'alice', password: person('alice').password }
    const given: Tokens[] = []
    const codes: string[] = []
    const take = ({ status, json }: { status: number; json: any }) => {
      t.true(status < 500)
      if (status === 200) given.push(json)
    }
    const racers = [
      async () => take(await chatgpt.exchange(code)),
      async () => take(await chatgpt.refresh(tokens.refresh_token)),
      async () => take(await chatgpt.refresh(tokens.refresh_token)),
      async () => {
        const to = (await visitor.submit(page, 'decision', { decision: 'allow' })).headers.get('location')
        if (to !== null) codes.push(new URL(to).searchParams.get('code')!)
      },
      async () => {
        const to = (await visitor.get(chatgpt.link())).headers.get('location')
        if (to !== null) codes.push(new URL(to).searchParams.get('code')!)
      },
      async () => void (await chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo: `in round ${round}` })),
    ]
    // Every third round, since a password takes its time.
    if (round % 3 === 0) racers.push(async () => void (await late.submit(signInPage, 'identifier', credentials)))
    // Each round another order, and another moment for the revocation.
    const running = racers.map(async (race, at) => {
      await turns((at * 5 + round * 3) % 17)
      await race()
    })
    await turns((round * 7) % 31)
    await command(world, 'user revoke')
    await isDead(tokens)
    await Promise.all(running)
    won += given.length + codes.length
    for (const pair of given) await isDead(pair)
    for (const lateCode of [code, ...codes]) t.is((await chatgpt.exchange(lateCode)).status, 400)
    for (const browser of [visitor, late]) t.true(isSignInPage(await browser.get('/login')))
  }
  t.true(won > 0 && won < 5 * ROUNDS, `a race has winners on both sides: ${won}`)

  let isRevoked = false
  for (const { type, seq } of await world.events()) {
    if (isRevoked && type !== 'UserRestored') t.is(type, 'SignInFailed', `event ${seq} stands after the revocation`)
    isRevoked = type === 'UserRevoked' || (isRevoked && type !== 'UserRestored')
  }
})
