/** A short run of `make fuzz`: whatever is sent, no 5xx, no crash, no unhandled rejection, nobody harmed. */
import test from 'ava'
import { fuzz } from './_fuzz.ts'

const { FUZZ_REQUESTS = '1500', SEED } = process.env

test('whatever is sent is answered, and harms nobody', async (t) => {
  t.timeout(7_200_000)
  const seed = Number(SEED ?? Math.floor(Math.random() * 2 ** 30))
  const { sent, statuses, findings } = await fuzz(t, Number(FUZZ_REQUESTS), seed)
  t.log(`seed ${seed}: ${sent} requests, answered ${JSON.stringify(statuses)}`)
  t.deepEqual(findings.slice(0, 20), [])
  t.is(sent, Number(FUZZ_REQUESTS))
})
