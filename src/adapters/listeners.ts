import type { Events } from '../events.ts'
import { workClasses } from '../ports/work.ts'
import { HttpListener, type ListenerLimits, type ListenerOptions } from './http-listener.ts'
import type { ProblemOf } from './socket-refusals.ts'
import type { TlsCertificateFiles, TlsIdentity } from './tls-certificate.ts'
import { turnClock } from './turn-clock.ts'
import { Turns, type TurnLimits } from './turns.ts'

interface ListenersOptions {
  readonly host: string
  readonly port: number
  /** Null: no second listener. */
  readonly pkiPort: number | null
  /** The host for requests without one, which HTTP/1.0 allows. */
  readonly hostname: string
  /** Null: plain HTTP. */
  readonly certificate: TlsCertificateFiles | null
  readonly limits: ListenerLimits
  /** Whether a peer is a declared proxy. */
  readonly isProxy: (peer: string) => boolean
  readonly networkBehind: ListenerOptions['networkBehind']
  readonly turnLimits: TurnLimits
  readonly problemOf: ProblemOf
}

/** The listening sockets of a service: `PORT`, and `PKI_PORT` if it is set. */
export class Listeners {
  readonly service: HttpListener
  readonly pki: HttpListener | null
  readonly #certificate: TlsCertificateFiles | null
  readonly #turns: Turns

  private constructor(
    service: HttpListener,
    pki: HttpListener | null,
    more: Pick<ListenersOptions, 'certificate'> & { readonly turns: Turns },
  ) {
    this.service = service
    this.pki = pki
    this.#certificate = more.certificate
    this.#turns = more.turns
  }

  /** Binds the ports. If one is taken, binds none, and rejects with what to set. */
  static async open(options: ListenersOptions): Promise<Listeners> {
    const { certificate, pkiPort } = options
    const tls = certificate?.identity.options ?? null
    const turns = new Turns(options.turnLimits, turnClock())
    const service = await HttpListener.open({ ...options, turns, portSetting: 'PORT', tls })
    if (pkiPort === null) return new Listeners(service, null, { certificate, turns })
    try {
      const pki = await HttpListener.open({ ...options, turns, port: pkiPort, portSetting: 'PKI_PORT', tls: null })
      return new Listeners(service, pki, { certificate, turns })
    } catch (error) {
      await service.abandon()
      throw error
    }
  }

  get urls(): string[] {
    return this.#all().map(({ url }) => url)
  }

  /** Answers all requests, including those that have already come. */
  answerWith(...answering: Parameters<HttpListener['answerWith']>): void {
    for (const listener of this.#all()) listener.answerWith(...answering)
  }

  /** Uses a changed certificate, or reports why the old one stays. Resolves to a function that stops watching. */
  watchCertificate(events: Events, everyMilliseconds: number): () => Promise<void> {
    const certificate = this.#certificate
    if (certificate === null) return async () => undefined
    const watcher = {
      onChange: (identity: TlsIdentity) => {
        this.service.replaceCertificate(identity.options)
        events.tlsCertificateLoaded({ expiresAt: identity.certificate.validToDate.toISOString() })
      },
      onFault: (error: Error) => events.tlsCertificateRefused({ error }),
    }
    certificate.watch(watcher, everyMilliseconds)
    const reload = (): void => void certificate.reload()
    process.on('SIGHUP', reload)
    return async () => {
      process.off('SIGHUP', reload)
      await certificate.close()
    }
  }

  /** Reports how many clients met a limit since the last report. One event per client would be a flood itself. */
  sayWhoWasCut(events: Events): void {
    for (const listener of this.#all()) {
      const { connections, readers } = listener.takeRefused()
      if (connections + readers > 0) events.clientsCut({ listener: listener.url, connections, readers })
    }
    const shed = this.#turns.takeShed()
    for (const work of workClasses) if (shed[work] > 0) events.requestsShed({ work, requests: shed[work] })
  }

  /** Stops accepting. Resolves when every connection has ended, or was cut after `withinMilliseconds`. */
  async drain(withinMilliseconds: number): Promise<void> {
    await Promise.all(this.#all().map((listener) => listener.drain(withinMilliseconds)))
  }

  /** Closes everything at once, when the start fails. */
  async abandon(): Promise<void> {
    await Promise.all(this.#all().map((listener) => listener.abandon()))
  }

  #all(): HttpListener[] {
    return this.pki === null ? [this.service] : [this.service, this.pki]
  }
}
