/** A short run of every fault; `make torture` is the long one. */
import test from 'ava'
import { faults, play } from './_faults.ts'
import { has, randomFrom } from './_run.ts'

const seed = Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31))

for (const fault of faults) {
  const { name, needs, rounds } = fault
  const missing = needs.filter((tool) => !has(tool))
  test.serial(missing.length > 0 ? `NOT RUN, needs ${missing.join(', ')}: ${name}` : name, async (t) => {
    if (missing.length > 0) {
      t.log(`not run: this machine has no ${missing.join(', ')}`)
      t.pass()
      return
    }
    const { lost, wrong, falseRefusals, ...rest } = await play(fault, rounds.short, randomFrom(seed))
    t.log(
      `seed ${seed}: ${rest.rounds} rounds, ${rest.checked} acknowledged writes checked, ${rest.noticed} damages noticed`,
    )
    t.deepEqual({ lost, wrong, falseRefusals }, { lost: 0, wrong: [], falseRefusals: [] }, `seed ${seed}`)
  })
}
