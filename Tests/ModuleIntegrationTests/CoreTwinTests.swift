import CStockABI
import StockCore
import TestServers
import Testing

/// The same sequences of commands against the module by RESP and against the core in this process.
@Suite struct CoreTwinTests {
  @Test("The core in process and the module give equal replies, equal logs and equal books")
  func twins() throws {
    let stock = try Stage()
    try withSeed { seed, random in
      for round in 0..<40 {
        let key = "key:\(round)"
        let (quantity, limit) = (Int64.random(in: 0...60, using: &random), [Int64(0), 4][round % 2])
        #expect(try stock("CREATE", key, quantity, "LIMIT", limit) == .ok)
        let commands = (0..<250).map { _ in BucketCommand.random(&random, tokens: 60) }
        let nowMs = try stock.nowMs()
        let replies = try stock.redis.pipeline(commands.map { $0.words(key: key) })
        let log = try #require(stock("LOG", key, 0, "COUNT", 10_000).elements)
        // The core is given the module's clock: the time of each event as the log tells it.
        let times = log.compactMap { $0[7]?.integer }
        let twin = CoreBucket(quantity: quantity, limit: limit, nowMs: try #require(times.first))
        for (index, (command, reply)) in zip(commands, replies).enumerated() {
          let next = Int(twin.figures.log_last)
          let expected = twin.apply(command, nowMs: next < times.count ? times[next] : nowMs)
          let got = reply.errorCode.map { RESP.error($0) } ?? reply
          try #require(got == expected, "seed \(seed), round \(round), command \(index): \(command)")
        }
        #expect(twin.log == log, "seed \(seed), round \(round)")
        let info = try stock.info(key)
        for (name, value) in twin.info { #expect(info[name] == .integer(value), "\(name), seed \(seed), \(round)") }
      }
    }
  }
}

/// A bucket of the core, by the functions that the module itself calls.
private final class CoreBucket {
  private let bucket: OpaquePointer

  init(quantity: Int64, limit: Int64, nowMs: Int64) {
    var settings = stock_settings(buckets: 1, limit: limit, opens: 0, closes: 0)
    let hashKey = [UInt8](repeating: 7, count: Int(STOCK_HASH_KEY_BYTES))
    bucket = stock_create(&settings, quantity, false, 1, hashKey, nowMs)
  }

  deinit { stock_free(bucket) }

  var figures: stock_figures { stock_describe(bucket) }

  var info: [String: Int64] {
    let figures = figures
    return [
      "created": figures.created, "added": figures.added, "available": figures.available, "sold": figures.sold,
      "cancelled": figures.cancelled, "tokens": figures.tokens, "logFirst": figures.log_first,
      "logLast": figures.log_last, "limit": figures.settings.limit, "opens": figures.settings.opens,
      "closes": figures.settings.closes,
    ]
  }

  /// What the module should reply; of an error, its code.
  func apply(_ command: BucketCommand, nowMs: Int64) -> RESP {
    switch command {
    case .deduct(let user, let token, let quantity):
      reply(
        withBytes(user) { user in
          withBytes(token) { stock_deduct(bucket, user, $0, stock_look_ahead(bucket, $0), quantity, 0, nowMs) }
        }
      )
    case .cancel(let token, let fence, let offSale):
      reply(withBytes(token) { stock_cancel(bucket, $0, fence, offSale, nowMs) })
    case .fence(let token): reply(withBytes(token) { stock_fence(bucket, $0, nowMs) })
    case .add(let token, let quantity): reply(withBytes(token) { stock_add(bucket, $0, quantity, nowMs) })
    case .schedule(let changes): schedule(changes, nowMs)
    }
  }

  private func schedule(_ changes: [(option: String, value: Int64)], _ nowMs: Int64) -> RESP {
    var settings = figures.settings
    for change in changes {
      switch change.option {
      case "LIMIT": settings.limit = change.value
      case "OPENS": settings.opens = change.value
      default: settings.closes = change.value
      }
    }
    let outcome = stock_schedule(bucket, settings.limit, settings.opens, settings.closes, nowMs)
    return outcome.fault == .none ? .ok : reply(outcome)
  }

  private func reply(_ outcome: stock_outcome) -> RESP {
    guard outcome.fault == .none else { return .error(String(cString: stock_fault_code(outcome.fault))) }
    return .status(String(cString: stock_status_word(outcome.status)), outcome.remaining, outcome.sequence)
  }

  /// The whole log as `STOCK.LOG` gives it.
  var log: [RESP] {
    var cursor = stock_cursor()
    guard stock_log_seek(bucket, 0, 0, &cursor) == .none else { return [] }
    var (events, event): ([RESP], stock_event) = ([], stock_event())
    while stock_log_next(bucket, &cursor, &event) {
      events.append([
        .integer(event.sequence),
        .bulk(Array(String(cString: stock_action_word(stock_effect_action(event.effect))).utf8)),
        text(event.token), text(event.user), .integer(event.to - event.from), .integer(event.from),
        .integer(event.to), .integer(event.timestamp),
      ])
    }
    return events
  }

  private func text(_ bytes: stock_bytes) -> RESP {
    bytes.start.map { .bulk(Array(UnsafeRawBufferPointer(start: $0, count: bytes.count))) } ?? .null
  }

  private func withBytes<Result>(_ text: String, _ body: (stock_bytes) -> Result) -> Result {
    Array(text.utf8).withUnsafeBytes { body(stock_bytes(start: $0.baseAddress, count: $0.count)) }
  }
}
