/** Writes at once: with one idempotency key, moves of one list, and callers who are revoked while they write. */
import test, { type ExecutionContext } from 'ava'
import { issueKey, revokeKey } from '../../src/domain/keys.ts'
import { rotateService } from '../../src/domain/service.ts'
import { findUser, registerUser, restoreUser, revokeUser } from '../../src/domain/users.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { digest } from '../../src/service/secrets.ts'
import { ClientSide, person, SYSTEM, startWorld, Visitor, type World } from '../_support.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 25)
type Api = (method: string, path: string, body?: unknown, headers?: object) => Promise<{ status: number; json: any }>

const apiOf =
  ({ url }: World, token: string): Api =>
  (method, path, body, headers = {}) =>
    new ClientSide(url).api(token, method, path, body, headers)

async function connected(t: ExecutionContext) {
  t.timeout(3_600_000)
  const world = await startWorld(t)
  const { access_token } = await new ClientSide(world.url).connect(person('alice'))
  return { world, api: apiOf(world, access_token) }
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

test(`${ROUNDS} rounds of one idempotency key at once: done once, answered alike; another request is refused`, async (t) => {
  const { world, api } = await connected(t)
  for (let round = 0; round < ROUNDS; round++) {
    const headers = { 'idempotency-key': `key-${round}` }
    const add = async (i: number, todo: string) => {
      await turns((i * round) % 7)
      return api('POST', '/todos/me/items', { todo }, headers)
    }
    const answers = await Promise.all([...Array.from({ length: 4 }, (_, i) => add(i, 'same')), add(5, 'other')])
    const done = answers.filter(({ status }) => status === 201)
    const [first] = done
    t.true(done.length === 4 || done.length === 1, `round ${round}: ${answers.map(({ status }) => status)}`)
    for (const { json } of done) t.deepEqual(json, first!.json)
    for (const { status } of answers) t.true(status === 201 || status === 422)
  }
  const types = (await world.events()).map(({ type }) => type)
  t.is(types.filter((type) => type === 'TodoAdded').length, ROUNDS)
  t.is(types.filter((type) => type === 'OutcomeKept').length, ROUNDS)
})

test(`${ROUNDS} rounds of two movers at once: nothing is lost, and the order is that of the events`, async (t) => {
  const { world, api } = await connected(t)
  const items = Array.from({ length: 9 }, (_, i) => ({ todo: `t${i}` }))
  const { json } = await api('POST', '/todos/me/batch', { action: 'add', items })
  const ids: string[] = json.items.map(({ id }: { id: string }) => id)
  for (let round = 0; round < ROUNDS; round++) {
    const [a, b, c] = [ids[round % 9]!, ids[(round * 5 + 1) % 9]!, ids[(round * 7 + 3) % 9]!]
    const move = (id: string, place: object) => api('POST', `/todos/me/items/${id}/move`, place)
    const moved = await Promise.all([move(a, { before: c }), move(b, { position: 1 }), move(c, { after: b })])
    for (const [i, { status }] of moved.entries()) {
      const isBesideItself = (i === 0 && a === c) || (i === 2 && b === c)
      t.is(status, isBesideItself ? 400 : 200)
    }
  }
  const listed = (await api('GET', '/todos/me/items')).json.items.map(({ id }: { id: string }) => id)
  t.deepEqual([...listed].sort(), [...ids].sort())
  t.deepEqual(listed, orderOf(ids, await world.events()))
})

/** What a plain list would look like after the same moves. */
function orderOf(ids: readonly string[], events: readonly { type: string; data: object }[]): string[] {
  const order = [...ids]
  for (const { type, data } of events) {
    if (type !== 'TodoMoved') continue
    const { todo, before } = data as { todo: string; before: string | null }
    order.splice(order.indexOf(todo), 1)
    order.splice(before === null ? order.length : order.indexOf(before), 0, todo)
  }
  return order
}

/** No to-do was written by that caller after the event that ended their access. */
async function assertEnded(t: ExecutionContext, world: World, ended: string, round: number): Promise<void> {
  const events = await world.events()
  const end = events.findLastIndex(({ type }) => type === ended)
  const late = events.slice(end).filter(({ type }) => type === 'TodoAdded')
  t.deepEqual(late, [], `round ${round}: ${late.length} written after ${ended}`)
}

/** Writes while `end` runs, and once more afterwards: nothing is written after the end, and the last one is refused. */
async function race(
  t: ExecutionContext,
  world: World,
  round: number,
  of: { api: Api; list: string; end: () => Promise<unknown>; ended: string },
) {
  const { api, list, end, ended } = of
  const write = async (i: number) => {
    await turns((i * round) % 11)
    return api('POST', `/todos/${list}`, { todo: `round ${round}` })
  }
  const [, ...answers] = await Promise.all([
    turns(round % 9).then(end),
    ...Array.from({ length: 5 }, (_, i) => write(i)),
  ])
  for (const { status } of answers) t.true(status === 200 || status === 401, `round ${round}: ${status}`)
  t.is((await write(0)).status, 401)
  await assertEnded(t, world, ended, round)
}

test(`${ROUNDS} rounds of a user revoked while they write with a token: nothing after the revocation`, async (t) => {
  t.timeout(3_600_000)
  const world = await startWorld(t, { maxOpenTodos: 1_000_000 })
  const [chatgpt, visitor] = [new ClientSide(world.url), new Visitor(world.url)]
  await visitor.signUp(person('alice'))
  for (let round = 0; round < ROUNDS; round++) {
    const { access_token } = (await chatgpt.exchange(await chatgpt.codeFor(visitor))).json
    const end = () => world.ledger.transact(SYSTEM, (state) => revokeUser(state, 'alice'))
    await race(t, world, round, { api: apiOf(world, access_token), list: 'me', end, ended: 'UserRevoked' })
    await world.ledger.transact(SYSTEM, (state) => restoreUser(state, 'alice'))
    t.is((await visitor.signIn(person('alice'))).status, 303)
  }
})

test(`${ROUNDS} rounds of an API key revoked while it writes: nothing after the revocation`, async (t) => {
  t.timeout(3_600_000)
  const world = await startWorld(t, { authMode: 'user_http', maxOpenTodos: 1_000_000 })
  const input = { user: 'u1', username: 'alice', email: undefined, admin: false, passwordHash: '-', key: newKey() }
  await world.ledger.transact(SYSTEM, (state) => registerUser(state, input))
  t.truthy(await world.ledger.read((state) => findUser(state, 'alice')))
  for (let round = 0; round < ROUNDS; round++) {
    const [key, secret] = [`k${round}`, `dbk_${'k'.repeat(40)}${round}`]
    const issue = { key, user: 'u1', digest: digest(secret), label: 'race' }
    await world.ledger.transact(SYSTEM, (state) => issueKey(state, issue))
    const end = () => world.ledger.transact(SYSTEM, (state) => revokeKey(state, key))
    await race(t, world, round, { api: apiOf(world, secret), list: 'me', end, ended: 'KeyRevoked' })
  }
})

test(`${ROUNDS} rounds of a service token rotated while it writes: nothing after the rotation`, async (t) => {
  t.timeout(3_600_000)
  const world = await startWorld(t, { authMode: 'service_http', maxOpenTodos: 1_000_000 })
  const rotate = (token: string) =>
    world.ledger.transact(SYSTEM, (state) => rotateService(state, { token, digest: digest(token) }))
  for (let round = 0; round < ROUNDS; round++) {
    const token = `dbs_${'s'.repeat(40)}${round}`
    await rotate(token)
    const end = () => rotate(`dbs_${'x'.repeat(40)}${round}`)
    await race(t, world, round, { api: apiOf(world, token), list: 'global', end, ended: 'ServiceTokenRotated' })
  }
})
