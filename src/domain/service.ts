/** The service token: one bearer for whatever service stands before Daybook (`AUTH_MODE=service_http`). */
import { accept, type Decision, type On, type Reason, refuse, type Says } from './shape.ts'
import { type Sight, Table } from './table.ts'

/** `vault`: made here and kept, so that it can be shown again. `settings`: SERVICE_TOKEN says it, here is only a digest. */
type TokenFrom = 'settings' | 'vault'
export type ServiceEvent = { type: 'ServiceTokenRotated'; data: { digest: string; tokenFrom: TokenFrom } }

type Service = { readonly digest: string; readonly tokenFrom: TokenFrom; readonly createdAt: string }
export type Services = { readonly services: Table<Service> }

export const tables = (sight: Sight): Services => ({ services: new Table<Service>(sight, {}) })

/** The one there is, and who acts by its token. */
export const THE_SERVICE = 'service'

export const on: On<Services, ServiceEvent> = {
  ServiceTokenRotated: ({ services }, { at, data }) => services.set(THE_SERVICE, { ...data, createdAt: at }),
}

export const says: Says<ServiceEvent> = {
  ServiceTokenRotated: ({ data }) =>
    `set a new service token${data.tokenFrom === 'settings' ? ' (from the settings)' : ''}`,
}

/** Where the vault keeps a service token that was made here. */
export const SERVICE_TOKEN_NAME = 'service-token'

export const serviceOf = ({ services }: Services): Service | undefined => services.get(THE_SERVICE)

type Made = { token: string; digest: string }

/** Makes the token what the settings say, or one that was made here; records only what differs. @param given its digest */
export function settleService(rows: Services, given: string | undefined, made: Made): Decision<ServiceEvent> {
  const known = serviceOf(rows)
  if (given !== undefined && known?.tokenFrom === 'settings' && known.digest === given) return accept([], undefined)
  if (given === undefined && known?.tokenFrom === 'vault') return accept([], undefined)
  return rotated(given === undefined ? made : undefined, given ?? made.digest)
}

/** Refuses `service_token_from_settings` where the settings would put the old one back. */
export function rotateService(rows: Services, made: Made): Decision<ServiceEvent> {
  return serviceOf(rows)?.tokenFrom === 'settings' ? refuse('service_token_from_settings') : rotated(made, made.digest)
}

const rotated = (made: Made | undefined, digest: string): Decision<ServiceEvent> =>
  accept(
    [{ type: 'ServiceTokenRotated', data: { digest, tokenFrom: made === undefined ? 'settings' : 'vault' } }],
    undefined,
    {
      [SERVICE_TOKEN_NAME]: made?.token,
    },
  )

/** Is this the service? @param digest of the token that came */
export const authenticateService = (rows: Services, digest: string): Reason | undefined =>
  serviceOf(rows)?.digest === digest ? undefined : 'token_unknown'
