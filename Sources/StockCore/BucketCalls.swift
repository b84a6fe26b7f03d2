import CStockABI

// The commands of a bucket for callers of ordinary Swift. Tokens, users and names of transfers have the bytes, and quantities
// the bounds, that the commands of the module ask for.
#if !hasFeature(Embedded)
  extension Bucket {
    /// A new bucket. `hashKey` is `Limits.hashKey` random bytes, shorter ones count as followed by zeros; `epoch` 1 to
    /// 2^53; other bounds as `STOCK.CREATE` has them.
    public init(
      quantity: Int64,
      settings: Settings,
      isFrozen: Bool = false,
      epoch: Int64,
      hashKey: [UInt8],
      now: Int64
    ) {
      let key = Array((hashKey + [UInt8](repeating: 0, count: Limits.hashKey)).prefix(Limits.hashKey))
      let hashing = key.withBytes { bytes in
        bytes.start.map { KeyedHash(key: $0) } ?? KeyedHash(low: 0, high: 0)
      }
      self.init(settings: settings, isFrozen: isFrozen, epoch: epoch, hashing: hashing, quantity: quantity, now: now)
    }

    /// `STOCK.DEDUCT`; `hold` in milliseconds, 0 for none.
    public mutating func deduct(
      user: [UInt8],
      token: [UInt8],
      quantity: Int64,
      hold: Int64 = 0,
      now: Int64
    ) -> Outcome {
      user.withBytes { user in
        token.withBytes {
          deduct(user: user, token: $0, hash: lookAhead($0), quantity: quantity, hold: hold, now: now)
        }
      }
    }

    /// `STOCK.CONFIRM`.
    public mutating func confirm(token: [UInt8], now: Int64) -> Outcome {
      token.withBytes { confirm(token: $0, now: now) }
    }

    /// `STOCK.CANCEL`.
    public mutating func cancel(token: [UInt8], fence: Bool = false, offSale: Bool = false, now: Int64) -> Outcome {
      token.withBytes { cancel(token: $0, fence: fence, offSale: offSale, now: now) }
    }

    /// `STOCK.FENCE`.
    public mutating func fence(token: [UInt8], now: Int64) -> Outcome {
      token.withBytes { fence(token: $0, now: now) }
    }

    /// `STOCK.ADD`.
    public mutating func add(token: [UInt8], quantity: Int64, now: Int64) -> Outcome {
      token.withBytes { add(token: $0, quantity: quantity, now: now) }
    }

    /// `STOCK.WITHDRAW`; `remaining` of the outcome is the units moved.
    public mutating func withdraw(transfer: [UInt8], quantity: Int64, to peer: UInt16, now: Int64) -> Outcome {
      transfer.withBytes { withdraw($0, quantity: quantity, to: peer, now: now) }
    }

    /// `STOCK.DEPOSIT`.
    public mutating func deposit(transfer: [UInt8], quantity: Int64, from peer: UInt16, now: Int64) -> Outcome {
      transfer.withBytes { deposit($0, quantity: quantity, from: peer, now: now) }
    }

    /// `STOCK.SETTLE`.
    public mutating func settle(transfer: [UInt8]) -> Outcome {
      transfer.withBytes { settle($0) }
    }

    /// `STOCK.RECORD key user token quantity state`.
    public mutating func record(
      user: [UInt8],
      token: [UInt8],
      quantity: Int64,
      as recording: Recording,
      now: Int64
    ) -> Outcome {
      user.withBytes { user in
        token.withBytes { record(user: user, token: $0, quantity: quantity, as: recording, now: now) }
      }
    }

    /// `STOCK.RECORD key TRANSFER …`.
    public mutating func record(
      transfer: [UInt8],
      direction: Direction,
      peer: UInt16,
      quantity: Int64,
      now: Int64
    ) -> Outcome {
      transfer.withBytes { record(transfer: $0, direction, peer: peer, quantity: quantity, now: now) }
    }

    /// `STOCK.RECORD key RESTOCK …`.
    public mutating func record(restock token: [UInt8], quantity: Int64, now: Int64) -> Outcome {
      token.withBytes { record(restock: $0, quantity: quantity, now: now) }
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
            expires: $0.event.expires,
            isTrimmed: $0.is_trimmed,
            isFence: $0.is_fence
          )
        }
      }
    }

    /// `STOCK.LOG`: at most `count` events after a sequence; `epoch` nil fits any.
    public func events(after: Int64, count: Int, epoch: Int64? = nil) throws(StockError) -> [LoggedEvent] {
      var cursor = Cursor()
      let fault = seek(after: after, epoch: epoch ?? 0, &cursor)
      guard fault == .none else { throw StockError(fault: fault) }
      var events: [LoggedEvent] = []
      while events.count < count, let event = next(&cursor) { events.append(LoggedEvent(event)) }
      return events
    }

    /// `STOCK.TRANSFERS`: at most `count` of the open transfers, or of all, in order of making after one of them; nil where
    /// the bucket does not know that one.
    public func transfers(all: Bool = false, after name: [UInt8] = [], count: Int) -> [KnownTransfer]? {
      var cursor = Cursor()
      guard name.withBytes({ seekTransfers(after: $0, all: all, &cursor) }) else { return nil }
      var found: [KnownTransfer] = []
      while found.count < count, let transfer = nextTransfer(&cursor) { found.append(KnownTransfer(transfer)) }
      return found
    }

    /// What the last command propagates. Only where it changed something.
    public var lastChange: [UInt8] {
      [UInt8](unsafeUninitializedCapacity: changeBytes) { buffer, count in
        guard let start = buffer.baseAddress else { return }
        count = encodeChange(to: start)
      }
    }

    /// What tells two buckets of equal books and logs apart: the same wherever tokens and transfers lie.
    public var digestSums: [UInt64] {
      let sums = digest()
      return [sums.0, sums.1]
    }

    /// The whole bucket in payloads of at most `partBytes` (at least 512) bytes, to be applied in order.
    public func payloads(partBytes: Int = 65536) -> [[UInt8]] {
      var cursor = Cursor()
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
      guard bucket.isWhole else { throw StockError(fault: .damaged) }
      return bucket
    }

    /// Applies a payload; the events before a faulty one stay applied.
    public mutating func apply(_ payload: [UInt8]) -> Fault {
      payload.withBytes { applyPayload($0) }
    }

    /// `STOCK.REBALANCE` of buckets at places that don't overlap: each one's outcome. Weights as many as buckets, 0 to 2^53
    /// each, not all 0; nil shares evenly. Throws `frozen` or `overflow`, and then nothing has changed.
    public static func rebalance(
      _ buckets: [UnsafeMutablePointer<Bucket>],
      weights: [Int64]? = nil,
      now: Int64
    ) throws(StockError) -> [Outcome] {
      var outcomes = [Outcome](repeating: Outcome(), count: buckets.count)
      var culprit = 0
      let fault = buckets.withUnsafeBufferPointer { places in
        outcomes.withUnsafeMutableBufferPointer { results -> Fault in
          guard let first = places.baseAddress, let result = results.baseAddress else { return .none }
          let count = places.count
          guard let weights else {
            return rebalance(first, count: count, weights: nil, now: now, outcomes: result, culprit: &culprit)
          }
          return weights.withUnsafeBufferPointer {
            rebalance(
              first,
              count: count,
              weights: $0.baseAddress,
              now: now,
              outcomes: result,
              culprit: &culprit
            )
          }
        }
      }
      guard fault == .none else { throw StockError(fault: fault) }
      return outcomes
    }
  }

  /// Shares a whole (0 to 2^53) out in proportion to weights (at least 0 each, their sum 1 to 2^63 - 1): each share is its exact
  /// part rounded down or up, and all add up. Equal weights give shares that differ by one at most. This is how
  /// `STOCK.REBALANCE` shares stock out.
  public func shares(of whole: Int64, weights: [Int64]) -> [Int64] {
    var allocation = Allocation(whole: whole, weightTotal: weights.reduce(0, &+))
    return weights.map { allocation.next(weight: $0) }
  }

  extension KnownTransfer {
    fileprivate init(_ transfer: Transfer) {
      self.init(
        name: transfer.name.array ?? [],
        direction: transfer.direction,
        peer: transfer.peer,
        quantity: transfer.quantity,
        timestamp: transfer.timestamp,
        isSettled: transfer.is_settled
      )
    }
  }
#endif
