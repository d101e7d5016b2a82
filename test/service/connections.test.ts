/** Connections: what a user sees of their connected apps, and ends; and tokens that prove their connection. */
import test, { type ExecutionContext } from 'ava'
import { signOut } from '../../src/domain/sessions.ts'
import { newId } from '../../src/ledger/ids.ts'
import { newKey } from '../../src/ledger/vault.ts'
import { operator, sessionCaller } from '../../src/service/caller.ts'
import { digest, grantOfRefreshToken, newRefreshToken } from '../../src/service/secrets.ts'
import { createServices } from '../../src/service/services.ts'
import { ClientSide, OTHER, person, SYSTEM, settings, startWorld, type Tokens, Visitor } from '../_support.ts'

/** alice has connected ChatGPT and another app, bob ChatGPT. */
async function begin(t: ExecutionContext) {
  const world = await startWorld(t)
  const { connections } = createServices(world.ledger, settings(world.url))
  const [chatgpt, other] = [new ClientSide(world.url), new ClientSide(world.url, OTHER)]
  const signIn = async (name: string) => {
    const visitor = new Visitor(world.url)
    await visitor.signUp(person(name))
    const session = digest([...visitor.cookies.values()].at(-1)!)
    const user = await world.ledger.read((state) => state.users.get(state.sessions.get(session)!.user)!)
    const from = { via: {}, trace: {}, meter: [] }
    return { visitor, session, user, caller: sessionCaller(from, { session, user }) }
  }
  const connect = async (client: ClientSide, visitor: Visitor): Promise<Tokens> => {
    world.clock.pass(1000)
    return (await client.exchange(await client.codeFor(visitor))).json
  }
  const [alice, bob] = [await signIn('alice'), await signIn('bob')]
  const tokens = {
    chatgpt: await connect(chatgpt, alice.visitor),
    other: await connect(other, alice.visitor),
    bob: await connect(chatgpt, bob.visitor),
  }
  const works = async ({ access_token }: Tokens): Promise<boolean> =>
    (await chatgpt.api(access_token, 'GET', '/todos/me')).status === 200
  await world.news()
  return { world, connections, alice, bob, tokens, works }
}

test('a user sees their own connections and approvals, the oldest first', async (t) => {
  const { connections, alice, bob } = await begin(t)
  const mine = await connections.list(alice.caller, alice.user.id)
  t.deepEqual(
    mine.map(({ kind, client, app }) => [kind, client, app]),
    [
      ['connection', 'chatgpt', 'ChatGPT'],
      ['approval', 'chatgpt', 'ChatGPT'],
      ['connection', 'other', 'Other <app>'],
      ['approval', 'other', 'Other <app>'],
    ],
  )
  t.is((await connections.list(bob.caller, bob.user.id)).length, 2)
})

test('what has expired is not listed', async (t) => {
  const { world, connections, alice } = await begin(t)
  world.clock.pass(90 * 86_400_000 - 1001)
  t.is((await connections.list(operator('x'), alice.user.id)).length, 2)
  world.clock.pass(1)
  t.deepEqual(await connections.list(operator('x'), alice.user.id), [])
})

test('a user ends their own connection or approval, and nobody else’s; an operator ends any', async (t) => {
  const { world, connections, alice, bob, tokens, works } = await begin(t)
  const first = async (user: string, wanted: 'connection' | 'approval') =>
    (await connections.list(operator('x'), user)).find(({ kind }) => kind === wanted)
  const [connection, ofBob] = [await first(alice.user.id, 'connection'), await first(bob.user.id, 'connection')]
  const refused = { message: 'grant_unknown' }
  await t.throwsAsync(connections.endOwn(bob.caller, bob.user.id, connection!.id), refused)
  await t.throwsAsync(connections.endOwn(alice.caller, alice.user.id, 'nothing'), refused)
  t.deepEqual(await world.news(), [])
  t.true(await works(tokens.chatgpt))

  const ended = await connections.endOwn(alice.caller, alice.user.id, connection!.id)
  t.like(ended, { kind: 'connection', user: alice.user.id, client: 'chatgpt' })
  t.false(await works(tokens.chatgpt))
  t.true(await works(tokens.other))
  const approval = await first(alice.user.id, 'approval')
  t.like(await connections.endOwn(alice.caller, alice.user.id, approval!.id), { kind: 'approval', client: 'other' })
  t.true(await works(tokens.other))
  await connections.end(operator('x'), ofBob!.id)
  t.false(await works(tokens.bob))
  t.deepEqual(await world.news(), ['TokenRevoked', 'ApprovalWithdrawn', 'TokenRevoked'])
})

test('a session that has ended sees and ends nothing', async (t) => {
  const { world, connections, alice, tokens, works } = await begin(t)
  const [entry] = await connections.list(alice.caller, alice.user.id)
  await world.ledger.transact(SYSTEM, (state) => signOut(state, alice.session))
  const refused = { message: 'session_ended' }
  await t.throwsAsync(connections.list(alice.caller, alice.user.id), refused)
  await t.throwsAsync(connections.endOwn(alice.caller, alice.user.id, entry!.id), refused)
  t.true(await works(tokens.chatgpt))
})

test('a refresh token proves its connection under the key that it was made with, and in no other spelling', (t) => {
  const [key, grant] = [newKey(), newId(Date.UTC(2026, 10, 20))]
  const token = newRefreshToken(key, grant)
  t.is(grantOfRefreshToken(key, token), grant)
  t.is(grantOfRefreshToken(newKey(), token), undefined)
  t.not(newRefreshToken(key, grant), token)
  const wrong = [
    '',
    'dbr_',
    token.slice(0, -1),
    `${token}A`,
    ` ${token}`,
    `${token}\n`,
    token.toUpperCase(),
    `${token}=`,
  ]
  for (const other of [...wrong, grant, digest(token), 'x'.repeat(100_000)])
    t.is(grantOfRefreshToken(key, other), undefined, other.slice(0, 99))
  for (const [i, letter] of [...token].entries())
    for (const another of ['0', 'A', 'B', 'z', '-', '_', 'é'])
      if (another !== letter) t.is(grantOfRefreshToken(key, [...token].with(i, another).join('')), undefined)
})
