import CStockABI

// A bucket for callers of ordinary Swift: arguments and results own their bytes. Tests, the simulator and planners use it;
// the module does not.
#if !hasFeature(Embedded)
  /// An event of the log that owns its bytes.
  public struct LoggedEvent: Equatable, Sendable {
    public var sequence: Int64
    public var action: Action
    /// Nil for events of the bucket itself.
    public var token: [UInt8]?
    /// Nil where no user is known.
    public var user: [UInt8]?
    /// Available units after the event minus before.
    public var change: Int64
    public var from: Int64
    public var to: Int64
    /// Milliseconds since 1970 by the master's clock.
    public var timestamp: Int64

    public init(
      sequence: Int64,
      action: Action,
      token: [UInt8]?,
      user: [UInt8]?,
      change: Int64,
      from: Int64,
      to: Int64,
      timestamp: Int64
    ) {
      self.sequence = sequence
      self.action = action
      self.token = token
      self.user = user
      self.change = change
      self.from = from
      self.to = to
      self.timestamp = timestamp
    }

    init(_ event: Event) {
      self.init(
        sequence: event.sequence,
        action: event.action,
        token: event.token.array,
        user: event.user.array,
        change: event.to &- event.from,
        from: event.from,
        to: event.to,
        timestamp: event.timestamp
      )
    }
  }

  /// What a bucket knows of a token, owning its bytes.
  public struct KnownToken: Equatable, Sendable {
    /// The event that first took the token. Where it was trimmed, only token, sequence and action are known.
    public var first: LoggedEvent
    /// 0 for a fence, which has no user either.
    public var quantity: Int64
    public var state: PurchaseState
    /// Whether that event was trimmed.
    public var isTrimmed: Bool
  }

  /// A request or payload that can't be served.
  public struct StockError: Error, Equatable {
    public var fault: Fault

    public init(fault: Fault) { self.fault = fault }
  }

  extension Bucket {
    /// A new bucket. `hashKey` is `Limits.hashKey` random bytes, shorter ones count as followed by zeros; `epoch` 1 to
    /// 2^53; other bounds as `STOCK.CREATE` has them.
    public init(quantity: Int64, settings: Settings, epoch: Int64, hashKey: [UInt8], now: Int64) {
      let key = Array((hashKey + [UInt8](repeating: 0, count: Limits.hashKey)).prefix(Limits.hashKey))
      let hashing = key.withBytes { bytes in
        bytes.start.map { KeyedHash(key: $0) } ?? KeyedHash(low: 0, high: 0)
      }
      self.init(settings: settings, epoch: epoch, hashing: hashing, quantity: quantity, now: now)
    }

    /// `STOCK.DEDUCT`. User and token have 1 to 128 bytes, the quantity is 1 to 2^53.
    public mutating func deduct(user: [UInt8], token: [UInt8], quantity: Int64, now: Int64) -> Outcome {
      user.withBytes { user in
        token.withBytes { deduct(user: user, token: $0, quantity: quantity, now: now) }
      }
    }

    /// `STOCK.CANCEL`. The token has 1 to 128 bytes.
    public mutating func cancel(token: [UInt8], fence: Bool = false, offSale: Bool = false, now: Int64) -> Outcome {
      token.withBytes { cancel(token: $0, fence: fence, offSale: offSale, now: now) }
    }

    /// `STOCK.FENCE`. The token has 1 to 128 bytes.
    public mutating func fence(token: [UInt8], now: Int64) -> Outcome {
      token.withBytes { fence(token: $0, now: now) }
    }

    /// `STOCK.ADD`. The token has 1 to 128 bytes, the quantity is -2^53 to 2^53 and not 0.
    public mutating func add(token: [UInt8], quantity: Int64, now: Int64) -> Outcome {
      token.withBytes { add(token: $0, quantity: quantity, now: now) }
    }

    /// `STOCK.TRIM`: how many events went; `epoch` nil fits any. Throws `epochMismatch`, `ahead` or `overflow`.
    public mutating func trim(to sequence: Int64, epoch: Int64? = nil) throws(StockError) -> Int64 {
      var dropped: Int64 = 0
      let fault = trim(to: sequence, epoch: epoch ?? 0, dropped: &dropped)
      guard fault == .none else { throw StockError(fault: fault) }
      return dropped
    }

    /// `STOCK.GET`: nil if the token is unknown.
    public func known(token: [UInt8]) -> KnownToken? {
      token.withBytes { bytes in
        purchase(token: bytes).map {
          KnownToken(
            first: LoggedEvent($0.event),
            quantity: $0.event.quantity,
            state: $0.state,
            isTrimmed: $0.is_trimmed
          )
        }
      }
    }

    /// `STOCK.LOG`: at most `count` events after a sequence; `epoch` nil fits any.
    public func events(after: Int64, count: Int, epoch: Int64? = nil) throws(StockError) -> [LoggedEvent] {
      var cursor = LogCursor()
      let fault = seek(after: after, epoch: epoch ?? 0, &cursor)
      guard fault == .none else { throw StockError(fault: fault) }
      var events: [LoggedEvent] = []
      while events.count < count, let event = next(&cursor) { events.append(LoggedEvent(event)) }
      return events
    }

    /// What the last event, or a trim after it, propagates. A bucket that was restored has made no change.
    public var lastChange: [UInt8] {
      [UInt8](unsafeUninitializedCapacity: STOCK_CHANGE_BYTES_MAX) { buffer, count in
        guard let start = buffer.baseAddress else { return }
        count = encodeChange(to: start)
      }
    }

    /// The whole bucket in payloads of at most `partBytes` (at least 512) bytes, to be applied in order.
    public func payloads(partBytes: Int = 65536) -> [[UInt8]] {
      var cursor = LogCursor()
      var parts: [[UInt8]] = []
      while true {
        let part = [UInt8](unsafeUninitializedCapacity: partBytes) { buffer, count in
          guard let start = buffer.baseAddress else { return }
          count = encode(from: &cursor, to: start, capacity: partBytes)
        }
        if part.isEmpty { return parts }
        parts.append(part)
      }
    }

    /// The bucket that payloads describe. Throws `damaged`, `version`, `outOfStep` or `overflow`.
    public static func restored(from payloads: [[UInt8]]) throws(StockError) -> Bucket {
      var made: Bucket?
      let fault = payloads.first.map { $0.withBytes { make($0, &made) } } ?? .damaged
      guard fault == .none else { throw StockError(fault: fault) }
      guard var bucket = consume made else { throw StockError(fault: .damaged) }
      for payload in payloads.dropFirst() {
        let fault = bucket.apply(payload)
        guard fault == .none else { throw StockError(fault: fault) }
      }
      guard bucket.awaitedTokens == 0 else { throw StockError(fault: .damaged) }
      return bucket
    }

    /// Applies a payload; the events before a faulty one stay applied.
    public mutating func apply(_ payload: [UInt8]) -> Fault {
      payload.withBytes { applyPayload($0) }
    }
  }

  extension Bytes {
    fileprivate var array: [UInt8]? {
      start.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: count)) }
    }
  }

  extension [UInt8] {
    fileprivate func withBytes<Result>(_ body: (Bytes) -> Result) -> Result {
      withUnsafeBytes { body(Bytes(start: $0.baseAddress, count: $0.count)) }
    }
  }
#endif
