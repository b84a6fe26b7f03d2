import Logging
import RedisDriver
import Stock

extension StockClient {
  /// A client of the servers, after each that answers was seen to take changes and to have the module; of a cluster, each
  /// of its masters. One that does not answer is a warning in the log, as long as another does: its buckets can't be asked
  /// until it does, and all others can.
  ///
  /// - Throws: ``StockError``: `unavailable` (no server answers, or not in time), `notAuthorized` (password, user or what the
  ///   user may do), `noModule`, `readOnly` (a replica), `refused` with the server's words for anything else. All
  ///   connections are closed then.
  public static func connect(
    _ servers: RedisServers,
    configuration: RedisClient.Configuration = RedisClient.Configuration(),
    options: StockClientOptions = StockClientOptions()
  ) async throws(StockError) -> StockClient {
    let request = Request(command: "connect to Redis", key: nil, effect: .reads)
    let router: RedisRouter
    do {
      router = try RedisRouter(servers, configuration: configuration)
    } catch {
      throw request.error(error)
    }
    do {
      try await probe(router, configuration.logger)
    } catch {
      await router.close()
      throw request.error(error)
    }
    let verified = VerifiedBuckets()
    let watch = options.soldOut.map { SoldOutWatch(router, $0, verified, logger: configuration.logger) }
    return StockClient(router, options: options, verified: verified, watch: watch)
  }

  /// As ``connect(_:configuration:options:)``, of one server.
  public static func connect(
    _ url: RedisURL,
    configuration: RedisClient.Configuration = RedisClient.Configuration(),
    options: StockClientOptions = StockClientOptions()
  ) async throws(StockError) -> StockClient {
    try await connect(.one(url), configuration: configuration, options: options)
  }

  /// As ``connect(_:configuration:options:)``, with the servers as text, as ``RedisServers`` has it.
  /// - Throws: also ``StockError`` `refused` for a text that names no servers.
  public static func connect(
    url text: String,
    configuration: RedisClient.Configuration = RedisClient.Configuration(),
    options: StockClientOptions = StockClientOptions()
  ) async throws(StockError) -> StockClient {
    let servers: RedisServers
    do {
      servers = try RedisServers(text)
    } catch {
      throw Request(command: "connect to Redis", key: nil, effect: .reads).error(error)
    }
    return try await connect(servers, configuration: configuration, options: options)
  }

  /// Refuses further commands, waits for the outcome of those under way, and disconnects.
  public func close() async {
    await watch?.close()
    await router.close()
  }

  private static func probe(_ router: RedisRouter, _ logger: Logger) async throws(RedisError) {
    var silent: [(server: String, error: RedisError)] = []
    var answering = 0
    func take(
      _ server: String,
      _ number: Int,
      _ send: (CallOptions, (inout CommandWriter) -> Void) async throws(RedisError) -> Void
    ) async throws(RedisError) {
      do throws(RedisError) {
        try await probe(number, send)
        answering += 1
      } catch {
        guard error.isSilence else { throw error }
        silent.append((server, error))
      }
    }
    if let cluster = router.cluster {
      let masters = try await cluster.connect()
      for node in cluster.masters.keys {
        guard masters.contains(node) else {
          silent.append((node.description, RedisError(.cannotConnect, "it does not answer")))
          continue
        }
        // The first names that come to mind; one in as many as there are masters is this one's.
        let number = (0..<HashSlot.count).first { cluster.node(of: probeSlot($0)) == node }
        guard let number else { continue }
        try await take(node.description, number) { options, encode throws(RedisError) in
          let slot = probeSlot(number)
          _ = try await cluster.call("STOCK.CANCEL", slot: slot, as: StockReply.self, options: options, encode)
        }
      }
    } else {
      for client in router.clients {
        try await take(client.url.server, 0) { options, encode throws(RedisError) in
          _ = try await client.call("STOCK.CANCEL", as: StockReply.self, options: options, encode)
        }
      }
    }
    if answering == 0, let last = silent.last { throw last.error }
    for (server, error) in silent {
      logger.warning(
        "A server does not answer; its buckets can't be asked until it does",
        metadata: ["server": "\(server)", "cause": "\(error.message)"]
      )
    }
  }

  private static func probeKey(_ number: Int) -> String { "doorbuster:{?/\(number)}" }

  private static func probeSlot(_ number: Int) -> HashSlot { HashSlot(ofKey: Array(probeKey(number).utf8)) }

  /// Asks for a change in a bucket that can't be there, as `?` is outside the alphabet of SKUs. Only a server that has
  /// the module, takes changes and lets this user make them answers that there is none. `INFO` and `MODULE LIST` would
  /// tell less, and need rights that a client has no other use for.
  private static func probe(
    _ number: Int,
    _ send: (CallOptions, (inout CommandWriter) -> Void) async throws(RedisError) -> Void
  ) async throws(RedisError) {
    let options = CallOptions(retry: .always, whenUnreachable: .fail)
    let key = probeKey(number)
    do {
      try await send(options) { writer in
        writer.argument(key)
        writer.argument("probe")
      }
    } catch {
      guard error.code == .serverError, error.serverErrorPrefix == "NOBUCKET" else { throw error }
    }
  }
}
