/** The service token: the one bearer of `AUTH_MODE=service_http`, from the settings or made here. */
import { rotateService, SERVICE_TOKEN_NAME, serviceOf, settleService } from '../domain/service.ts'
import type { Caller, Ledger } from '../ledger/ledger.ts'
import { digest, newSecret } from './secrets.ts'

/** `token` is `null` where only its digest is kept: SERVICE_TOKEN has it. */
export type ShownToken = { readonly token: string | null; readonly isFromSettings: boolean }

export class ServiceToken {
  readonly #ledger: Ledger

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** The token that holds; `undefined` where there is none yet. */
  async show(caller: Caller): Promise<ShownToken | undefined> {
    const service = await this.#ledger.ask(caller, serviceOf)
    if (service === undefined) return undefined
    const token = this.#ledger.secret(SERVICE_TOKEN_NAME) ?? null
    return { token, isFromSettings: service.tokenFrom === 'settings' }
  }

  /**
   * Makes a new token. The one before ends at once.
   * @returns the new one, and whether there was one before
   * @throws {Refused} `service_token_from_settings`
   */
  async rotate(caller: Caller): Promise<{ token: string; hadToken: boolean }> {
    const made = newToken()
    const hadToken = await this.#ledger.transact(caller, (state) => {
      const known = serviceOf(state)
      const decision = rotateService(state, made)
      return decision.refusal === undefined ? { ...decision, result: known !== undefined } : decision
    })
    return { token: made.token, hadToken }
  }

  /** Makes the token what the settings say. @param given SERVICE_TOKEN; without it, one is made where there is none */
  async settle(caller: Caller, given: string | undefined): Promise<void> {
    await this.#ledger.transact(caller, (state) =>
      settleService(state, given === undefined ? undefined : digest(given), newToken()),
    )
  }
}

function newToken(): { token: string; digest: string } {
  const token = newSecret('dbs')
  return { token, digest: digest(token) }
}
