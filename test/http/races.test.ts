/** Codes, refreshes and revocations at once, round after round. `ROUNDS=n` for more; `make races` plays a thousand. */
import test, { type ExecutionContext } from 'ava'
import { CHATGPT_ID, CHATGPT_SECRET, ClientSide, person, startWorld, type Tokens, Visitor } from '../_support.ts'

const ROUNDS = Number(process.env.ROUNDS ?? 25)

async function begin(t: ExecutionContext) {
  t.timeout(3_600_000)
  const world = await startWorld(t)
  const [chatgpt, visitor] = [new ClientSide(world.url), new Visitor(world.url)]
  await visitor.signUp(person('alice'))
  const works = async ({ access_token }: Tokens): Promise<boolean> =>
    (await chatgpt.api(access_token, 'GET', '/todos/me')).status === 200
  const connect = async (): Promise<Tokens> => (await chatgpt.exchange(await chatgpt.codeFor(visitor))).json
  const giveBack = async (token: string): Promise<number> => {
    const body = new URLSearchParams({ client_id: CHATGPT_ID, client_secret: CHATGPT_SECRET, token })
    return (await fetch(`${world.url}/auth/revoke`, { method: 'POST', body })).status
  }
  return { world, chatgpt, visitor, works, connect, giveBack }
}

/** Lets so many turns of the event loop pass: each round begins its races in another order. */
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

test(`39. ${ROUNDS} rounds of a code redeemed several times at once: exactly one 200, and what it gave is then dead`, async (t) => {
  const { world, chatgpt, visitor, works } = await begin(t)
  for (let round = 0; round < ROUNDS; round++) {
    const code = await chatgpt.codeFor(visitor)
    const answers = await Promise.all(
      Array.from({ length: 4 }, async (_, i) => {
        await turns((i * round) % 7)
        return chatgpt.exchange(code)
      }),
    )
    const given = answers.filter(({ status }) => status === 200)
    t.is(given.length, 1, `round ${round}`)
    for (const { status, json } of answers)
      if (status !== 200) t.deepEqual([status, json.error], [400, 'invalid_grant'])
    t.false(await works(given[0]!.json), `round ${round}`)
    t.is((await chatgpt.refresh(given[0]!.json.refresh_token)).status, 400)
  }
  const types = (await world.events()).map(({ type }) => type)
  t.is(types.filter((type) => type === 'TokenIssued').length, ROUNDS)
})

test(`43. ${ROUNDS} rounds of refreshes at once: no 5xx, every token given works, and one lineage goes on`, async (t) => {
  const { chatgpt, works, connect } = await begin(t)
  for (let round = 0; round < ROUNDS; round++) {
    const { refresh_token } = await connect()
    const siblings = await Promise.all(
      Array.from({ length: 3 }, async (_, i) => {
        await turns((i * round) % 5)
        return chatgpt.refresh(refresh_token)
      }),
    )
    for (const { status, json } of siblings) {
      t.is(status, 200, `round ${round}`)
      t.true(await works(json))
    }
    const next = await Promise.all(siblings.map(({ json }) => chatgpt.refresh(json.refresh_token)))
    t.deepEqual(next.map(({ status }) => status).sort(), [200, 400, 400], `round ${round}`)
    const [alive] = next.filter(({ status }) => status === 200)
    t.true(await works(alive!.json), 'those who were too late do it no harm')
  }
})

test(`48. ${ROUNDS} rounds of tokens given back while they are refreshed and used: nothing is usable after the answer`, async (t) => {
  const { world, chatgpt, works, connect, giveBack } = await begin(t)
  let won = 0
  for (let round = 0; round < ROUNDS; round++) {
    const tokens = await connect()
    const given: Tokens[] = [tokens]
    const racers = Array.from({ length: 3 }, async (_, i) => {
      await turns((i * 3 + round) % 11)
      const { status, json } = await chatgpt.refresh(tokens.refresh_token)
      t.true(status === 200 || status === 400, String(status))
      if (status === 200) given.push(json)
    })
    const adding = chatgpt.api(tokens.access_token, 'POST', '/todos/me', { todo: `round ${round}` })
    await turns((round * 5) % 13)
    t.is(await giveBack(tokens.refresh_token), 200)
    for (const pair of [...given]) t.false(await works(pair), `round ${round}`)
    await Promise.all([...racers, adding])
    won += given.length - 1
    for (const pair of given) {
      t.false(await works(pair), `round ${round}, given late`)
      t.is((await chatgpt.refresh(pair.refresh_token)).json.error, 'invalid_grant')
    }
  }
  t.true(won > 0, 'some refreshes came before')
  const ended = new Set<string>()
  for (const { type, data } of await world.events()) {
    if (type === 'TokenRevoked') ended.add(data.grant)
    if (type === 'TokenRefreshed') t.false(ended.has(data.grant), 'nothing is given of a grant that was ended')
  }
})
