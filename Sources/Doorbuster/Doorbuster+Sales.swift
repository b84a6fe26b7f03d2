import Messaging
import Orders
import Stock

extension Doorbuster {
  /// Sets a sale up, in the database first, then bucket by bucket. After a crash the same call completes it; on a sale
  /// that is complete it changes nothing. A bucket that is frozen is there: whoever froze it sees to it, or a worker where it
  /// lost data, and its terms are not compared. On the path `database` there are no buckets.
  /// - Parameters:
  ///   - units: units put on sale, 0 to 2^53.
  ///   - terms: with 1 bucket on the paths `database` and `redis-mq`.
  /// - Returns: the sale as the database has it.
  /// - Throws: ``DoorbusterError`` `saleDiffers` where the product is on sale with other numbers, `bucketLost` where a
  ///   bucket that was there is gone, `invalid`, `stock` (with ``StockError`` `serversMismatch` where it was created on
  ///   another list of servers), `orders`, `messaging`.
  public func createSale(
    _ sku: SKU,
    stock units: Int64,
    terms: SaleTerms = SaleTerms(),
    path: SalePath = .redisMQ
  ) async throws(DoorbusterError) -> Sale {
    let asked = Sale(
      sku: sku,
      stock: units,
      terms: terms,
      path: path,
      createdAtMs: clock.wallMs,
      servers: path.courier == nil ? nil : stock.serversText
    )
    do {
      try asked.validate()
    } catch {
      throw DoorbusterError(error)
    }
    if path.courier == .messages {
      // The group comes before the first purchase, so that no message can be trimmed before it was recorded.
      try await asking(broker: broker) { broker throws(MessagingError) in
        try await broker.subscribe(configuration.group, to: configuration.topic)
      }
    }
    let sale = try await asking(orders: orders) { orders throws(OrderStoreError) in
      try await orders.create(asked)
    }
    guard sale.isLike(asked) else {
      throw DoorbusterError(.saleDiffers, "\(sku) is on sale already: \(sale.summary); asked for: \(asked.summary)")
    }
    try verifyServers(of: sale)
    for bucket in sale.buckets { try await setUp(bucket, of: sale) }
    directory.note(sale)
    return sale
  }

  /// A sale that was set up before; nil where the database knows none. Its buckets may be frozen.
  /// - Throws: ``DoorbusterError`` `bucketLost` where a bucket that was there is gone, `saleIncomplete` where one was
  ///   never set up, `stock`, `orders`.
  public func existingSale(_ sku: SKU) async throws(DoorbusterError) -> Sale? {
    guard
      let sale = try await asking(
        orders: orders,
        { orders throws(OrderStoreError) in try await orders.sale(sku) }
      )
    else { return nil }
    try verifyServers(of: sale)
    for bucket in sale.buckets {
      if case (nil, nil) = try await look(at: bucket) {
        throw DoorbusterError(
          .saleIncomplete,
          "bucket \(bucket) was never set up; create the sale again to complete it"
        )
      }
    }
    directory.note(sale)
    return sale
  }

  /// Makes sure that the sale's buckets are looked for where they were put.
  /// - Throws: ``DoorbusterError`` `stock` with ``StockError`` `serversMismatch`, which names both.
  func verifyServers(of sale: Sale) throws(DoorbusterError) {
    guard let servers = sale.servers else { return }
    do throws(StockError) {
      try stock.verify(servers: servers)
    } catch {
      throw DoorbusterError(error)
    }
  }

  /// Closes a sale now, in the database and all buckets, by this process' clock. Repeatable; a sale that is closed keeps
  /// its time. What was accepted before still becomes orders.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `stock` (the buckets that it names still sell, all others are closed), `orders`.
  ///   The same call completes what an error left.
  public func closeSale(_ sku: SKU) async throws(DoorbusterError) {
    let sale = try await knownSale(sku)
    let nowMs = clock.wallMs
    let isClosed = sale.terms.closesMs != 0 && sale.terms.closesMs <= nowMs
    let closesMs = isClosed ? sale.terms.closesMs : nowMs
    if !isClosed {
      try await asking(orders: orders) { orders throws(OrderStoreError) in
        try await orders.reschedule(sku, limit: nil, opensMs: nil, closesMs: closesMs)
      }
    }
    // One bucket that can't be asked keeps none of the others open.
    var failure: StockError?
    var open: [Int] = []
    for bucket in sale.buckets {
      do throws(StockError) {
        try await stock.schedule(bucket, limit: nil, opensMs: nil, closesMs: closesMs)
      } catch {
        failure = failure ?? error
        open.append(bucket.index)
      }
    }
    guard let failure else { return }
    throw DoorbusterError(
      .stock,
      """
      \(sku) is closed in the database and in \(sale.buckets.count - open.count) of its \(sale.buckets.count) buckets, and may go on \
      selling in \(open.count == 1 ? "bucket" : "buckets") \(open.map { String($0) }.joined(separator: ", ")) until it is closed \
      again: \(failure.message)
      """,
      cause: .stock(failure)
    )
  }

  /// Creates a bucket, or checks that the one that is there is this sale's; and notes in the database that it is there,
  /// so that its loss can be told from a set-up that a crash cut short.
  private func setUp(_ bucket: BucketID, of sale: Sale) async throws(DoorbusterError) {
    var (position, found) = try await look(at: bucket)
    if found == nil {
      do throws(StockError) {
        let share = sale.share(of: sale.stock, bucket: bucket.index)
        try await stock.create(bucket, quantity: share, terms: sale.terms)
      } catch {
        guard error.code == .bucketExists else { throw DoorbusterError(error) }
      }
      found = try await info(bucket)
    }
    guard let found else { throw DoorbusterError(.bucketLost, "bucket \(bucket) vanished while it was set up") }
    guard found.isBucket(bucket.index, of: sale, comparingTerms: found.frozen == nil) else {
      throw DoorbusterError(
        .saleDiffers,
        """
        bucket \(bucket) is there with other numbers: created with \(found.created) units, \(found.buckets) buckets, \
        limit \(found.limit), opens \(found.opensMs), closes \(found.closesMs); the sale is of \(sale.summary)
        """
      )
    }
    guard position == nil else { return }
    // The first event is the bucket's creation; it concerns no order.
    let first = LogBatch(
      bucket: bucket,
      from: LogPosition(epoch: found.epoch, sequence: 0),
      steps: [LogBatch.Step(sequence: 1, entry: nil)]
    )
    _ = try await asking(orders: orders) { orders throws(OrderStoreError) in try await orders.follow(first) }
  }

  /// How far the database has followed a bucket, and the bucket's books; nil where it never did, and where there is no
  /// bucket. In this order, since the position moves on while we look.
  /// - Throws: ``DoorbusterError`` `bucketLost` where it did, and the bucket is gone, or is another one and sells.
  private func look(at bucket: BucketID) async throws(DoorbusterError) -> (LogPosition?, BucketInfo?) {
    let position = try await asking(orders: orders) { orders throws(OrderStoreError) in
      try await orders.position(of: bucket)
    }
    let info = try await info(bucket)
    guard let position else { return (nil, info) }
    guard let info else {
      throw DoorbusterError(
        .bucketLost,
        "the database knows the sale of \(bucket.sku), and its bucket \(bucket) is gone: run recover \(bucket.sku)"
      )
    }
    // What a frozen bucket lacks is written in before it sells again.
    let isFollowed = info.epoch == position.epoch && info.logLast >= position.sequence
    guard isFollowed || info.frozen != nil else {
      throw DoorbusterError(
        .bucketLost,
        """
        bucket \(bucket) is in epoch \(info.epoch) at event \(info.logLast), and the database has followed it in epoch \
        \(position.epoch) up to \(position.sequence): run recover \(bucket.sku)
        """
      )
    }
    return (position, info)
  }

  /// A bucket's books; nil where there is no such bucket.
  func info(_ bucket: BucketID) async throws(DoorbusterError) -> BucketInfo? {
    do throws(StockError) {
      return try await stock.info(bucket)
    } catch {
      if error.code == .noBucket { return nil }
      throw DoorbusterError(error)
    }
  }
}

extension BucketInfo {
  func isBucket(_ index: Int, of sale: Sale, comparingTerms: Bool) -> Bool {
    let isOfSale = created == sale.share(of: sale.stock, bucket: index) && buckets == sale.terms.buckets
    return isOfSale && (!comparingTerms || hasTerms(sale.terms))
  }
}

extension Sale {
  /// Whether it is the same sale: all that its creation asks for.
  func isLike(_ other: Sale) -> Bool {
    sku == other.sku && stock == other.stock && terms == other.terms && path == other.path
  }

  var summary: String {
    """
    \(stock) units in \(terms.buckets) \(terms.buckets == 1 ? "bucket" : "buckets"), limit \(terms.limit), opens \(terms.opensMs), closes \
    \(terms.closesMs), path \(path.rawValue)
    """
  }

  func validate() throws(InvalidInput) {
    func check(_ name: String, _ value: Int64, _ bounds: ClosedRange<Int64>, _ text: String) throws(InvalidInput) {
      guard bounds.contains(value) else {
        throw InvalidInput(argument: name, value: String(value).utf8, requirement: text)
      }
    }
    let units = 0...StockLimits.quantityMax
    try check("stock", stock, units, "0 to 2^53")
    try check("buckets", Int64(terms.buckets), 1...Int64(PurchaseMessage.bucketMax) + 1, "1 to 16384")
    try check("limit", terms.limit, units, "0 to 2^53")
    try check("opens", terms.opensMs, units, "a time in ms since 1970, or 0 for none")
    try check("closes", terms.closesMs, units, "a time in ms since 1970, or 0 for none")
    try check(
      "servers",
      Int64(servers?.utf8.count ?? 0),
      0...Int64(Self.serversBytesMax),
      "a text of 4096 bytes at most"
    )
    switch path {
    case .database, .redisMQ: try check("buckets", Int64(terms.buckets), 1...1, "1 on the path \(path.rawValue)")
    case .buckets, .combined: break
    }
  }
}
