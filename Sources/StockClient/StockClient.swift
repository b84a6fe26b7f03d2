import RedisDriver
import Stock
import Synchronization

/// Typed `STOCK` commands over one server, a list of them or a cluster, safe to share among any number of tasks.
///
/// Each command goes to the server that has its bucket. Commands of all tasks are pipelined on the server's connection
/// without their asking. Every command names what it does by a token (or reads only), so it is sent again after a lost
/// connection, until its deadline.
public struct StockClient: StockService, Sendable {
  /// The servers' connections; ``close()`` closes them.
  public let router: RedisRouter
  public let options: StockClientOptions
  let verified: VerifiedBuckets
  let clock = DeadlineClock()
  let watch: SoldOutWatch?

  /// Over connections that are there already. Nothing is sent, and nothing checked; see
  /// ``connect(_:configuration:options:)``. The sold-out cache, if there is one, hears of no changes elsewhere.
  public init(_ router: RedisRouter, options: StockClientOptions = StockClientOptions()) {
    self.init(router, options: options, verified: VerifiedBuckets(), watch: nil)
  }

  /// Over a client of one server.
  public init(_ redis: RedisClient, options: StockClientOptions = StockClientOptions()) {
    self.init(RedisRouter(redis), options: options)
  }

  init(_ router: RedisRouter, options: StockClientOptions, verified: VerifiedBuckets, watch: SoldOutWatch?) {
    self.router = router
    self.options = options
    self.verified = verified
    self.watch = watch
  }

  /// The one server's client; nil where there are several.
  public var redis: RedisClient? { router.client }

  /// The I/O thread of all connections, on which callers are fastest. What runs there must not block.
  public var taskExecutor: any TaskExecutor { router.taskExecutor }

  public var soldOut: SoldOutCache? { options.soldOut }

  public nonisolated(nonsending) func create(
    _ bucket: BucketID,
    quantity: Int64,
    terms: SaleTerms,
    frozen: Bool
  ) async throws(StockError) {
    let request = Request(command: "STOCK.CREATE", key: bucket, effect: .changes)
    do {
      _ = try await router.call("STOCK.CREATE", at: BucketPlace(bucket), as: OK.self, options: .retrying) { writer in
        writer.key(of: bucket)
        writer.argument(quantity)
        writer.option("BUCKETS", Int64(terms.buckets))
        if terms.limit != 0 { writer.option("LIMIT", terms.limit) }
        if terms.opensMs != 0 { writer.option("OPENS", terms.opensMs) }
        if terms.closesMs != 0 { writer.option("CLOSES", terms.closesMs) }
        if frozen { writer.argument("FROZEN") }
      }
    } catch {
      guard error.lostSendings > 0, request.plainError(error).code == .bucketExists else { throw request.error(error) }
      // It may be there because an earlier sending, whose reply was lost, made it. Then it is as this call wants it.
      let found = try await info(bucket, mayBeStale: false)
      guard found.created == quantity, found.terms == terms, !frozen || found.frozen != nil else {
        throw request.plainError(error)
      }
    }
  }

  public nonisolated(nonsending) func schedule(
    _ bucket: BucketID,
    limit: Int64?,
    opensMs: Int64?,
    closesMs: Int64?
  ) async throws(StockError) {
    try await carryOut(Request(command: "STOCK.SCHEDULE", key: bucket, effect: .changes), bucket) { writer in
      writer.key(of: bucket)
      if let limit { writer.option("LIMIT", limit) }
      if let opensMs { writer.option("OPENS", opensMs) }
      if let closesMs { writer.option("CLOSES", closesMs) }
    }
  }

  /// Ends by the deadline, or, if a sending is without reply then, by the end of that sending's time-out: a reply that
  /// comes late is better than `unknown`. A cancelled task waits for the reply of what it has sent.
  public nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DeductOutcome {
    try await deductCall(purchase, bucket, holdMs, deadline).run()
  }

  public nonisolated(nonsending) func deduct(
    _ purchase: Purchase,
    from bucket: BucketID,
    holdMs: Int64?,
    depositing deposits: [Deposit],
    before deadline: ContinuousClock.Instant
  ) async throws(StockError) -> DepositedDeduction {
    try await deductCall(purchase, bucket, holdMs, deadline).run(depositing: deposits)
  }

  private func deductCall(
    _ purchase: Purchase,
    _ bucket: BucketID,
    _ holdMs: Int64?,
    _ deadline: ContinuousClock.Instant
  ) throws(StockError) -> DeductCall {
    guard purchase.sku == bucket.sku else {
      throw StockError(.refused, "STOCK.DEDUCT: a purchase of \(purchase.sku) does not belong to bucket \(bucket)")
    }
    return DeductCall(
      router: router,
      replication: options.replication,
      purchase: purchase,
      bucket: bucket,
      holdMs: holdMs,
      deadline: clock.time(of: deadline)
    )
  }

  public nonisolated(nonsending) func confirm(_ token: Token, in bucket: BucketID) async throws(StockError)
    -> ConfirmOutcome
  {
    let request = Request(command: "STOCK.CONFIRM", key: bucket, effect: .changes)
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(token.bytes)
    }
    switch reply.value.status {
    case .ok: return .confirmed
    case .duplicate: return .alreadyConfirmed
    case .cancelled: return .cancelled
    case .unknown:
      try request.requireFinal(reply)
      return .unknownToken
    case .frozen: throw request.frozen(reply)
    case .early, .closed, .limit, .soldOut, .live: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func cancel(
    _ token: Token,
    in bucket: BucketID,
    fence: Bool,
    offSale: Bool
  ) async throws(StockError) -> CancelOutcome {
    let request = Request(command: "STOCK.CANCEL", key: bucket, effect: .changes)
    defer { unitsMayBeBack(in: bucket) }
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(token.bytes)
      if fence { writer.argument("FENCE") }
      if offSale { writer.argument("OFFSALE") }
    }
    switch reply.value.status {
    case .ok: return .cancelled
    case .duplicate: return .alreadyCancelled
    case .unknown:
      try request.requireFinal(reply)
      return .unknownToken
    case .frozen: throw request.frozen(reply)
    case .cancelled, .early, .closed, .limit, .soldOut, .live: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func fence(_ token: Token, in bucket: BucketID) async throws(StockError)
    -> FenceOutcome
  {
    let request = Request(command: "STOCK.FENCE", key: bucket, effect: .changes)
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(token.bytes)
    }
    switch reply.value.status {
    case .ok: return .fenced
    case .duplicate: return .alreadyCancelled
    case .live: return .live
    case .frozen: throw request.frozen(reply)
    case .cancelled, .early, .closed, .limit, .soldOut, .unknown: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func add(_ token: Token, quantity: Int64, to bucket: BucketID) async throws(StockError)
    -> AddOutcome
  {
    let request = Request(command: "STOCK.ADD", key: bucket, effect: .changes)
    defer { unitsMayBeBack(in: bucket) }
    let reply = try await change(request, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(token.bytes)
      writer.argument(quantity)
    }
    switch reply.value.status {
    case .ok: return .added(remaining: reply.value.remaining)
    case .duplicate: return .alreadyAdded
    case .soldOut:
      try request.requireFinal(reply)
      return .short(remaining: reply.value.remaining)
    case .frozen: throw request.frozen(reply)
    case .cancelled, .early, .closed, .limit, .live, .unknown: throw request.unexpected(reply)
    }
  }

  public nonisolated(nonsending) func purchase(_ token: Token, in bucket: BucketID) async throws(StockError)
    -> PurchaseRecord?
  {
    let reply = try await read("STOCK.GET", RecordReply.self, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(token.bytes)
    }
    return reply.record.map { record in
      PurchaseRecord(
        token: token,
        user: record.user,
        quantity: record.quantity,
        state: record.state,
        sequence: record.sequence,
        timestampMs: record.timestampMs,
        expiresMs: record.expiresMs
      )
    }
  }

  public nonisolated(nonsending) func info(_ bucket: BucketID) async throws(StockError) -> BucketInfo {
    try await info(bucket, mayBeStale: options.readsFromReplicas)
  }

  private nonisolated(nonsending) func info(_ bucket: BucketID, mayBeStale: Bool) async throws(StockError) -> BucketInfo
  {
    try await read("STOCK.INFO", InfoReply.self, bucket, mayBeStale: mayBeStale) { $0.key(of: bucket) }.info
  }

  public nonisolated(nonsending) func log(
    _ bucket: BucketID,
    after position: LogPosition,
    count: Int
  ) async throws(StockError) -> [StockEvent] {
    try await read("STOCK.LOG", LogReply.self, bucket) { writer in
      writer.key(of: bucket)
      writer.argument(position.sequence)
      writer.option("COUNT", Int64(count))
      writer.option("EPOCH", position.epoch)
    }.events
  }

  public nonisolated(nonsending) func trim(_ bucket: BucketID, upTo position: LogPosition) async throws(StockError)
    -> Int64
  {
    let request = Request(command: "STOCK.TRIM", key: bucket, effect: .changes)
    do {
      return Int64(
        try await router.call(request.command, at: BucketPlace(bucket), as: Int.self, options: .retrying) { writer in
          writer.key(of: bucket)
          writer.argument(position.sequence)
          writer.option("EPOCH", position.epoch)
        }.value
      )
    } catch {
      throw request.error(error)
    }
  }

  /// Asks the server once for each bucket and connection; in between an answer costs one look into a table.
  public nonisolated(nonsending) func verify(_ bucket: BucketID, buckets: Int) async throws(StockError) {
    let connection = router.connectionEpoch(of: BucketPlace(bucket))
    guard !verified.contains(bucket, buckets: buckets, connection: connection) else { return }
    try Self.require(try await info(bucket, mayBeStale: false), bucket, buckets: buckets)
    verified.insert(bucket, buckets: buckets, connection: connection)
  }

  public var serversText: String { router.servers.canonicalText }

  public func server(of bucket: BucketID) async -> String? {
    if let server = router.server(of: BucketPlace(bucket)) { return server }
    // The cluster's map is not there yet; where it can't be had, nobody knows.
    _ = try? await router.cluster?.connect()
    return router.server(of: BucketPlace(bucket))
  }
}

extension StockClient {
  /// To be called at the end of a change that may have put units on sale, whatever was answered.
  func unitsMayBeBack(in bucket: BucketID) { options.soldOut?.clear(bucket.sku) }

  /// A change that is answered `OK` or an error.
  nonisolated(nonsending) func carryOut(
    _ request: Request,
    _ bucket: BucketID,
    options: CallOptions = .retrying,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(StockError) {
    do {
      _ = try await router.call(request.command, at: BucketPlace(bucket), as: OK.self, options: options, encode)
    } catch {
      throw request.error(error)
    }
  }

  /// A change that is answered with a status.
  nonisolated(nonsending) func change(
    _ request: Request,
    _ bucket: BucketID,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(StockError) -> Reply<StockReply> {
    let place = BucketPlace(bucket)
    let unreplicated: String
    do throws(RedisError) {
      guard let replication = options.replication else {
        return try await router.call(request.command, at: place, as: StockReply.self, options: .retrying, encode)
      }
      let (reply, verdict) = try await router.call(
        request.command,
        at: place,
        as: StockReply.self,
        options: .retrying,
        replicated: replication,
        need: \.replicaNeed,
        encode
      )
      guard let shortfall = replication.shortfall(verdict) else { return reply }
      unreplicated = shortfall
    } catch {
      throw request.error(error)
    }
    throw request.error(.replyLost, unreplicated)
  }

  nonisolated(nonsending) func read<Answer: RedisReply>(
    _ command: StaticString,
    _: Answer.Type,
    _ bucket: BucketID,
    mayBeStale: Bool? = nil,
    _ encode: (inout CommandWriter) -> Void
  ) async throws(StockError) -> Answer {
    let place = BucketPlace(bucket)
    do {
      return mayBeStale ?? options.readsFromReplicas
        ? try await router.read(command, at: place, as: Answer.self, options: .retrying, encode).value
        : try await router.call(command, at: place, as: Answer.self, options: .retrying, encode).value
    } catch {
      throw Request(command: command, key: bucket, effect: .reads).error(error)
    }
  }
}

extension BucketInfo {
  fileprivate var terms: SaleTerms {
    SaleTerms(buckets: buckets, limit: limit, opensMs: opensMs, closesMs: closesMs)
  }
}

extension CommandWriter {
  mutating func option(_ name: StaticString, _ value: Int64) {
    argument(name)
    argument(value)
  }
}
