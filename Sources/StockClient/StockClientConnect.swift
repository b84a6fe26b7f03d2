import RedisDriver
import Stock

extension StockClient {
  /// A client of the server at `url`, after it was seen to be reachable, to take changes, and to have the module.
  ///
  /// - Throws: ``StockError``: `unavailable` (nobody there, or not in time), `notAuthorized` (password, user or what the
  ///   user may do), `noModule`, `readOnly` (a replica), `refused` with the server's words for anything else. The
  ///   connection is closed then.
  public static func connect(
    _ url: RedisURL,
    configuration: RedisClient.Configuration = RedisClient.Configuration()
  ) async throws(StockError) -> StockClient {
    let request = Request(command: "connect to Redis", key: nil, effect: .reads)
    let redis: RedisClient
    do {
      redis = try RedisClient(url, configuration: configuration)
    } catch {
      throw request.error(error)
    }
    do {
      try await probe(redis)
    } catch {
      await redis.close()
      throw request.error(error)
    }
    return StockClient(redis)
  }

  /// As ``connect(_:configuration:)``, with a URL as text.
  /// - Throws: also ``StockError`` `refused` for a text that is no URL of a server.
  public static func connect(
    url text: String,
    configuration: RedisClient.Configuration = RedisClient.Configuration()
  ) async throws(StockError) -> StockClient {
    let url: RedisURL
    do {
      url = try RedisURL(text)
    } catch {
      throw Request(command: "connect to Redis", key: nil, effect: .reads).error(error)
    }
    return try await connect(url, configuration: configuration)
  }

  /// Refuses further commands, waits for the outcome of those under way, and disconnects.
  public func close() async { await redis.close() }

  /// Asks for a change in a bucket that can't be there, as `?` is outside the alphabet of SKUs. Only a server that has
  /// the module, takes changes and lets this user make them answers that there is none. `INFO` and `MODULE LIST` would
  /// tell less, and need rights that a client has no other use for.
  private static func probe(_ redis: RedisClient) async throws(RedisError) {
    let options = CallOptions(retry: .always, whenUnreachable: .fail)
    do {
      _ = try await redis.call("STOCK.CANCEL", as: StockReply.self, options: options) { writer in
        writer.argument("doorbuster:{?/0}")
        writer.argument("probe")
      }
    } catch {
      guard error.code == .serverError, error.serverErrorPrefix == "NOBUCKET" else { throw error }
    }
  }
}
