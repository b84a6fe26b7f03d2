import RedisDriver
import Stock

extension StockClient {
  /// A client of the servers, after each was seen to be reachable, to take changes, and to have the module; of a cluster,
  /// each of its masters.
  ///
  /// - Throws: ``StockError``: `unavailable` (nobody there, or not in time), `notAuthorized` (password, user or what the
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
      try await probe(router)
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

  private static func probe(_ router: RedisRouter) async throws(RedisError) {
    guard let cluster = router.cluster else {
      for client in router.clients {
        try await probe(0) { options, encode throws(RedisError) in
          _ = try await client.call("STOCK.CANCEL", as: StockReply.self, options: options, encode)
        }
      }
      return
    }
    try await cluster.connect()
    for node in cluster.masters.keys {
      // The first names that come to mind; one in as many as there are masters is this one's.
      let number = (0..<HashSlot.count).first { cluster.node(of: probeSlot($0)) == node }
      guard let number else { continue }
      try await probe(number) { options, encode throws(RedisError) in
        let slot = probeSlot(number)
        _ = try await cluster.call("STOCK.CANCEL", slot: slot, as: StockReply.self, options: options, encode)
      }
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
