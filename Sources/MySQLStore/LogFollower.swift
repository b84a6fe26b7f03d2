import Orders
import Stock

/// Bringing a log in.
extension Connection {
  func position(of bucket: BucketID, forUpdate: Bool = false) throws -> LogPosition? {
    try query(
      "SELECT epoch, sequence FROM log_positions WHERE sku = ? AND bucket = ?\(forUpdate ? " FOR UPDATE" : "")",
      [bucket.sku.value, .integer(Int64(bucket.index))],
      [.integer, .integer]
    ) { LogPosition(epoch: $0.integer(0), sequence: $0.integer(1)) }.first
  }

  func positions(of sku: SKU) throws -> [Int: LogPosition] {
    let rows = try query(
      "SELECT bucket, epoch, sequence FROM log_positions WHERE sku = ?",
      [sku.value],
      [.integer, .integer, .integer]
    ) { (Int($0.integer(0)), LogPosition(epoch: $0.integer(1), sequence: $0.integer(2))) }
    return Dictionary(rows, uniquingKeysWith: { first, _ in first })
  }

  /// The caller has looked at the position that is replaced, and locked it if it is there. Of several that find none, one
  /// inserts it and the others try again.
  private func store(_ new: LogPosition, of bucket: BucketID, replacing old: LogPosition?) throws(MySQLFailure) {
    let key: [SQLValue] = [bucket.sku.value, .integer(Int64(bucket.index))]
    let values: [SQLValue] = [.integer(new.epoch), .integer(new.sequence)]
    if old == nil {
      try execute("INSERT INTO log_positions (sku, bucket, epoch, sequence) VALUES (?, ?, ?, ?)", with: key + values)
    } else {
      try execute("UPDATE log_positions SET epoch = ?, sequence = ? WHERE sku = ? AND bucket = ?", with: values + key)
    }
  }

  func replacePosition(
    of bucket: BucketID,
    _ old: LogPosition?,
    with new: LogPosition
  ) throws(OrderStoreError) -> LogPosition? {
    try transaction("replacing the log position of \(bucket)") { _ in
      guard try sale(bucket.sku) != nil else {
        throw OrderStoreError(.unknownProduct, "there is no sale of \(bucket.sku)")
      }
      let stored = try position(of: bucket, forUpdate: true)
      guard stored == old else { return (stored, .rollBack) }
      try store(new, of: bucket, replacing: old)
      return (new, .commit)
    }
  }

  /// One transaction. The first attempt takes it that what the log may store is not there yet and that the stock does,
  /// and locks the product last, so that the followers of several buckets work side by side.
  func follow(_ batch: LogBatch) throws(OrderStoreError) -> LogBatchOutcome {
    try transaction("following the log of \(batch.bucket)") { attempt in
      if attempt.number == 0 {
        if let outcome = try follow(batch, isExact: false) { return outcome }
        try run("ROLLBACK")
        try run("BEGIN")
      }
      guard let outcome = try follow(batch, isExact: true) else {
        throw MySQLFailure(number: 0, state: "HY000", message: "a product changed while it was locked")
      }
      return outcome
    }
  }

  /// - Returns: nil where the stock does not do and was not locked.
  private func follow(_ batch: LogBatch, isExact: Bool) throws -> (LogBatchOutcome, Ending)? {
    let (bucket, sku) = (batch.bucket, batch.bucket.sku)
    let stocks: [SKU: Int64]
    if isExact {
      stocks = try lockStocks(of: [sku])
    } else {
      let known = try query("SELECT stock FROM products WHERE sku = ?", [sku.value], [.integer]) { $0.integer(0) }
      stocks = known.isEmpty ? [:] : [sku: .max / 2]
    }
    guard !stocks.isEmpty else {
      throw OrderStoreError(.unknownProduct, "the log of \(bucket) is of an unknown product")
    }
    let old = try position(of: bucket, forUpdate: true)
    let stored = old ?? LogPosition(epoch: batch.from.epoch, sequence: 0)
    guard stored == batch.from else {
      return (LogBatchOutcome(position: stored, applied: false), .rollBack)
    }
    // Where the product is locked nobody else changes its orders. Else they are locked, or looked at again as they change.
    let looksAgain = !isExact && takesArrays
    let rows = try orders(of: sku, tokens: batch.tokens(withNew: isExact), forUpdate: !isExact && !looksAgain)
    var book = OrderBook(stocks: stocks, orders: rows, capacity: batch.steps.count)
    let outcome = book.follow(batch, from: stored)
    try insert(book.inserted)
    if looksAgain {
      guard try update(expected: book.updated) else { return nil }
    } else {
      try update(book.updated.map(\.after))
    }
    guard try apply(book.changes) else { return nil }
    if outcome.position != stored { try store(outcome.position, of: bucket, replacing: old) }
    return (outcome, .commit)
  }
}

extension LogBatch {
  /// The tokens whose rows must be read. Without the new ones: not those that the log itself stores before it speaks of
  /// them in another way.
  fileprivate func tokens(withNew: Bool) -> [Token] {
    var new: Set<Token> = []
    var tokens: Set<Token> = []
    for step in steps {
      switch step.entry {
      case nil: break
      case .purchased(let order, _, let storeIfMissing):
        let token = order.purchase.token
        if storeIfMissing, !withNew, !tokens.contains(token) { new.insert(token) } else { tokens.insert(token) }
      case .moved(let token, _, _): tokens.insert(token)
      }
    }
    return Array(tokens.subtracting(new))
  }
}
