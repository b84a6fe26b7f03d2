import Stock

/// All buckets, as the contract describes them: what the module does, without holds, transfers and freezing.
struct ModelStock {
  var buckets: [BucketID: ModelBucket] = [:]
  private var epochs: Int64 = 100

  mutating func create(_ id: BucketID, quantity: Int64, terms: SaleTerms, nowMs: Int64) throws(StockError) {
    guard buckets[id] == nil else { throw StockError(.bucketExists, "\(id) is there") }
    epochs += 1
    buckets[id] = ModelBucket(created: quantity, terms: terms, epoch: epochs, nowMs: nowMs)
  }

  mutating func with<R>(
    _ id: BucketID,
    _ body: (inout ModelBucket) throws(StockError) -> R
  ) throws(StockError) -> R {
    guard var bucket = buckets[id] else { throw StockError(.noBucket, "there is no bucket \(id)") }
    let result: R
    do throws(StockError) {
      result = try body(&bucket)
    } catch {
      buckets[id] = bucket
      throw error
    }
    buckets[id] = bucket
    return result
  }
}

struct ModelBucket {
  struct Entry {
    var user: UserID?
    var quantity: Int64?
    var state: PurchaseState
    var sequence: Int64
    var timestampMs: Int64
  }

  var created: Int64
  var added: Int64 = 0
  var available: Int64
  var sold: Int64 = 0
  var cancelled: Int64 = 0
  var terms: SaleTerms
  var epoch: Int64
  var isFrozen = false
  var entries: [Token: Entry] = [:]
  var restocks: [Token: Int64] = [:]
  var log: [StockEvent] = []

  init(created: Int64, terms: SaleTerms, epoch: Int64, nowMs: Int64) {
    self.created = created
    self.terms = terms
    self.epoch = epoch
    available = 0
    move(.create, nil, nil, by: created, nowMs)
  }

  var isConserved: Bool { created + added == available + sold && available >= 0 && sold >= 0 }

  mutating func deduct(_ purchase: Purchase, nowMs: Int64) throws(StockError) -> DeductOutcome {
    if let known = entries[purchase.token] {
      if let user = known.user, user != purchase.user || known.quantity != purchase.quantity {
        throw StockError(.tokenMismatch, "token \(purchase.token) was first sent with another user or quantity")
      }
      switch known.state {
      case .held, .sold: return .accepted(remaining: available, sequence: known.sequence, isRepeat: true)
      case .cancelled: return .cancelled
      }
    }
    if isFrozen { return .refused(.frozen, remaining: available) }
    if terms.opensMs > nowMs { return .refused(.early, remaining: available) }
    if terms.closesMs != 0, terms.closesMs <= nowMs { return .refused(.closed, remaining: available) }
    if terms.limit != 0, units(of: purchase.user) + purchase.quantity > terms.limit {
      return .refused(.limit, remaining: available)
    }
    guard available >= purchase.quantity else { return .refused(.soldOut, remaining: available) }
    sold += purchase.quantity
    move(.deduct, purchase.token.bytes, purchase.user.bytes, by: -purchase.quantity, nowMs)
    entries[purchase.token] = Entry(
      user: purchase.user,
      quantity: purchase.quantity,
      state: .sold,
      sequence: Int64(log.count),
      timestampMs: nowMs
    )
    return .accepted(remaining: available, sequence: Int64(log.count), isRepeat: false)
  }

  mutating func cancel(_ token: Token, fence: Bool, offSale: Bool, nowMs: Int64) throws(StockError) -> CancelOutcome {
    guard let known = entries[token] else {
      guard fence else { return .unknownToken }
      try markCancelled(token, nowMs)
      return .cancelled
    }
    guard known.state != .cancelled else { return .alreadyCancelled }
    let quantity = known.quantity ?? 0
    entries[token]?.state = .cancelled
    sold -= quantity
    cancelled += quantity
    if offSale { added -= quantity }
    move(.cancel, token.bytes, known.user?.bytes, by: offSale ? 0 : quantity, nowMs)
    return .cancelled
  }

  mutating func fence(_ token: Token, nowMs: Int64) throws(StockError) -> FenceOutcome {
    switch entries[token]?.state {
    case .held, .sold: return .live
    case .cancelled: return .alreadyCancelled
    case nil:
      try markCancelled(token, nowMs)
      return .fenced
    }
  }

  mutating func add(_ token: Token, quantity: Int64, nowMs: Int64) throws(StockError) -> AddOutcome {
    if let first = restocks[token] {
      guard first == quantity else { throw StockError(.tokenMismatch, "restock \(token) was of \(first)") }
      return .alreadyAdded
    }
    guard available + quantity >= 0 else { return .short(remaining: available) }
    restocks[token] = quantity
    added += quantity
    move(.add, token.bytes, nil, by: quantity, nowMs)
    return .added(remaining: available)
  }

  mutating func schedule(limit: Int64?, opensMs: Int64?, closesMs: Int64?, nowMs: Int64) {
    terms.limit = limit ?? terms.limit
    terms.opensMs = opensMs ?? terms.opensMs
    terms.closesMs = closesMs ?? terms.closesMs
    move(.schedule, nil, nil, by: 0, nowMs)
  }

  func record(of token: Token) -> PurchaseRecord? {
    entries[token].map {
      PurchaseRecord(
        token: token,
        user: $0.user,
        quantity: $0.quantity,
        state: $0.state,
        sequence: $0.sequence,
        timestampMs: $0.timestampMs
      )
    }
  }

  func events(after position: LogPosition, count: Int) throws(StockError) -> [StockEvent] {
    guard position.epoch == epoch else { throw StockError(.epochMismatch, "the bucket is in epoch \(epoch)") }
    guard position.sequence <= Int64(log.count) else {
      throw StockError(.logAhead, "\(position.sequence) is beyond the last event, \(log.count)")
    }
    return Array(log[Int(position.sequence)...].prefix(count))
  }

  var info: BucketInfo {
    BucketInfo(
      created: created,
      added: added,
      available: available,
      held: 0,
      sold: sold,
      cancelled: cancelled,
      transferredIn: 0,
      transferredOut: 0,
      buckets: terms.buckets,
      limit: terms.limit,
      opensMs: terms.opensMs,
      closesMs: terms.closesMs,
      frozen: isFrozen,
      epoch: epoch,
      tokens: Int64(entries.count),
      logFirst: 1,
      logLast: Int64(log.count),
      bytes: 0
    )
  }

  private mutating func markCancelled(_ token: Token, _ nowMs: Int64) throws(StockError) {
    if isFrozen { throw StockError(.frozen, "the bucket is frozen") }
    move(.fence, token.bytes, nil, by: 0, nowMs)
    entries[token] = Entry(
      user: nil,
      quantity: nil,
      state: .cancelled,
      sequence: Int64(log.count),
      timestampMs: nowMs
    )
  }

  private func units(of user: UserID) -> Int64 {
    entries.values.reduce(0) { $0 + ($1.user == user && $1.state != .cancelled ? $1.quantity ?? 0 : 0) }
  }

  private mutating func move(_ action: StockAction, _ token: [UInt8]?, _ user: [UInt8]?, by change: Int64, _ ms: Int64)
  {
    log.append(
      StockEvent(
        sequence: Int64(log.count) + 1,
        action: action,
        token: token,
        user: user,
        change: change,
        from: available,
        to: available + change,
        timestampMs: ms
      )
    )
    available += change
  }
}
