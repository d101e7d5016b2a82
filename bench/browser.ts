/** As much of a browser as it takes to get through sign-up and consent: cookies, links, forms, redirects. */

type Fields = { readonly [name: string]: string }

export class Browser {
  /** Where it is: a page of the service, or the address outside of it that it was sent to. */
  at: URL
  #html = ''
  readonly #origin: string
  readonly #cookies = new Map<string, string>()

  constructor(origin: string) {
    this.#origin = origin
    this.at = new URL(origin)
  }

  async open(path: string): Promise<void> {
    await this.#go(new URL(path, this.at))
  }

  /** Follows the first link to that path, whatever its query. */
  async follow(path: string): Promise<void> {
    const link = tags(this.#html, 'a').find(({ href }) => href?.split('?')[0] === path)
    if (link === undefined) throw new Error(`there is no link to ${path} on ${this.at}`)
    await this.open(link.href!)
  }

  /** Fills in and sends the first form that has these fields. */
  async submit(fields: Fields): Promise<void> {
    for (const [, form = ''] of this.#html.matchAll(/(<form\b.*?<\/form>)/gs)) {
      const controls = [...tags(form, 'input'), ...tags(form, 'button')]
      if (!Object.keys(fields).every((name) => controls.some((control) => control.name === name))) continue
      const inputs = tags(form, 'input').map(({ name, value }) => [name ?? '', value ?? ''])
      const body = new URLSearchParams({ ...Object.fromEntries(inputs), ...fields })
      return this.#go(new URL(tags(form, 'form')[0]?.action ?? '', this.at), body)
    }
    throw new Error(`there is no form with ${Object.keys(fields).join(' and ')} on ${this.at}`)
  }

  async #go(to: URL, body?: URLSearchParams): Promise<void> {
    this.at = to
    if (to.origin !== this.#origin) return
    const answer = await fetch(to, { redirect: 'manual', ...this.#request(body) })
    this.#html = await answer.text()
    for (const cookie of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      this.#cookies.set(name, value)
    }
    const location = answer.headers.get('location')
    if (location !== null) return this.#go(new URL(location, to))
    if (!answer.ok) throw new Error(`${to} was answered with ${answer.status}`)
  }

  #request(body: URLSearchParams | undefined): RequestInit {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    if (body === undefined) return { headers: { cookie } }
    return { method: 'POST', body, headers: { cookie, origin: this.#origin } }
  }
}

/** The attributes of every tag of that name. Reads only what a template of this project writes: quoted values. */
const tags = (html: string, name: string): { [attribute: string]: string | undefined }[] =>
  [...html.matchAll(new RegExp(`<${name}\\b[^>]*>`, 'g'))].map(([tag]) =>
    Object.fromEntries([...tag.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, key, value]) => [key, decoded(value!)])),
  )

const ENTITIES: Fields = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&#39;': "'" }
const decoded = (text: string): string => text.replace(/&(?:amp|lt|gt|quot|#39);/g, (entity) => ENTITIES[entity]!)
