import Orders
import Stock

extension Doorbuster {
  /// Restocks a sale by `quantity` units, once per token; a negative quantity takes unsold units off sale.
  ///
  /// Up goes the database first, down the buckets first, so that the database always has what a bucket sells. The same
  /// call with the same token completes what a crash or an error left, in either direction. Up, nothing is left where the
  /// first bucket is not there or can't take so many.
  ///
  /// Down, the token's row in the database is the decision, and only one can win: with `quantity` the units are off
  /// sale; with 0 they are given back, because a later bucket or the database was short, or because a repair of the books found
  /// them taken and undecided. A token whose units were given back is spent.
  /// - Parameter token: 1 to 105 bytes for a negative quantity, as the buckets' tokens are made from it.
  /// - Parameter quantity: not 0, -2^53 to 2^53.
  /// - Throws: ``DoorbusterError`` `unknownSale`, `invalid`; `restockMismatch` where the token was used with another
  ///   quantity or was given back; `restockShort`; `stock`, `orders`.
  public func restock(_ sku: SKU, token: Token, quantity: Int64) async throws(DoorbusterError) {
    let bounds = -StockLimits.quantityMax...StockLimits.quantityMax
    guard quantity != 0, bounds.contains(quantity) else {
      throw DoorbusterError(
        InvalidInput(argument: "quantity", value: String(quantity).utf8, requirement: "-2^53 to 2^53, and not 0")
      )
    }
    let sale = try await knownSale(sku)
    let parts = sale.buckets
      .map { Part(bucket: $0, quantity: sale.share(of: quantity, bucket: $0.index)) }
      .filter { $0.quantity != 0 }
    if quantity > 0 {
      try await putOnSale(parts, sku: sku, token: token, quantity: quantity)
    } else {
      try await takeOffSale(parts, sku: sku, token: token, quantity: quantity)
    }
  }

  private struct Part {
    let bucket: BucketID
    let quantity: Int64
  }

  private func putOnSale(
    _ parts: [Part],
    sku: SKU,
    token: Token,
    quantity: Int64
  ) async throws(DoorbusterError) {
    let isNew: Bool
    switch try await note(sku, token, quantity) {
    case .recorded: isNew = true
    case .alreadyRecorded: isNew = false
    case .mismatch(let first): throw mismatch(sku, token, quantity, first: first)
    case .short(let stock): throw short(sku, token, quantity, "the database has \(stock) units left")
    case .unknownProduct: throw .unknownSale(sku)
    }
    for (index, part) in parts.enumerated() {
      do throws(StockError) {
        _ = try await stock.add(token, quantity: part.quantity, to: part.bucket)
      } catch {
        // Buckets are restocked in order, so none has anything where the first, asked for the first time, does not take
        // it. Otherwise buckets may have their shares, and the row stays: the same call goes on.
        if isNew, index == 0, error.tellsOfMissingRestock {
          try await asking(orders: orders) { orders throws(OrderStoreError) in
            try await orders.undoRestock(sku, token: token)
          }
        }
        throw DoorbusterError(error)
      }
    }
  }

  private func takeOffSale(
    _ parts: [Part],
    sku: SKU,
    token: Token,
    quantity: Int64
  ) async throws(DoorbusterError) {
    let taking = try RestockTokens(token, quantity: quantity)
    try await begin(sku, taking)
    for (index, part) in parts.enumerated() {
      if let reason = try await take(taking.take, parts[index...].map { $0 }) {
        // Buckets are asked in order, so where the first is short none has given anything, and nothing is to be decided.
        if index > 0 { try await giveUp(parts, sku: sku, token: token, quantity: quantity, taking) }
        throw short(sku, token, quantity, "bucket \(part.bucket): \(reason)")
      }
    }
    switch try await note(sku, token, quantity) {
    case .recorded, .alreadyRecorded: return
    case .mismatch(let first):
      try await giveBack(parts, taking)
      throw mismatch(sku, token, quantity, first: first)
    case .short(let stock):
      try await giveUp(parts, sku: sku, token: token, quantity: quantity, taking)
      throw short(sku, token, quantity, "the database has \(stock) units left")
    case .unknownProduct:
      try await giveBack(parts, taking)
      throw .unknownSale(sku)
    }
  }

  /// Writes down that units may be missing in buckets from here on, and whose they are: see ``BegunRestock``.
  private func begin(_ sku: SKU, _ taking: RestockTokens) async throws(DoorbusterError) {
    switch try await note(sku, taking.take, 0) {
    case .recorded, .alreadyRecorded: return
    case .mismatch(let first): throw mismatch(sku, taking.take, 0, first: first)
    case .short, .unknownProduct: throw .unknownSale(sku)
    }
  }

  /// Takes the first of these parts off sale. The share of a bucket is fixed, whatever it has left; where it is short, the
  /// others' spare units are moved there first.
  /// - Returns: why they can't be had, where all buckets together have too little; nil where they are taken.
  private func take(_ token: Token, _ parts: [Part]) async throws(DoorbusterError) -> String? {
    guard let part = parts.first else { return nil }
    guard case .short(let remaining) = try await add(token, part.quantity, part.bucket) else { return nil }
    let sale = try await lookUp(part.bucket.sku)
    guard sale.buckets > 1 else { return "\(remaining) of \(-part.quantity) units are left" }
    let gathering = UnitGathering(
      sale: sale,
      target: part.bucket.index,
      token: token,
      shares: Dictionary(uniqueKeysWithValues: parts.map { ($0.bucket.index, -$0.quantity) })
    )
    let mover = UnitMover(stock: stock, clock: clock, logger: logger)
    return try await mover.gather(gathering) { () async throws(DoorbusterError) in
      guard case .short = try await self.add(token, part.quantity, part.bucket) else { return true }
      return false
    }
  }

  /// Decides against taking the units, and gives back what was taken of them.
  private func giveUp(
    _ parts: [Part],
    sku: SKU,
    token: Token,
    quantity: Int64,
    _ taking: RestockTokens
  ) async throws(DoorbusterError) {
    switch try await note(sku, token, 0) {
    case .recorded, .alreadyRecorded: try await giveBack(parts, taking)
    case .mismatch(let first):
      // Decided already: by the same call made before, whose units stay off sale, or by one with another quantity.
      if first != quantity { try await giveBack(parts, taking) }
      throw mismatch(sku, token, quantity, first: first)
    case .short, .unknownProduct:
      try await giveBack(parts, taking)
      throw .unknownSale(sku)
    }
  }

  /// Which buckets have given units can't be remembered through a crash, so each is asked again: one that answers that
  /// it is short has given none.
  private func giveBack(_ parts: [Part], _ taking: RestockTokens) async throws(DoorbusterError) {
    for part in parts {
      switch try await add(taking.take, part.quantity, part.bucket) {
      case .added, .alreadyAdded: _ = try await add(taking.giveBack, -part.quantity, part.bucket)
      case .short: break
      }
    }
  }

  private func note(_ sku: SKU, _ token: Token, _ quantity: Int64) async throws(DoorbusterError) -> RestockOutcome {
    try await asking(orders: orders) { orders throws(OrderStoreError) in
      try await orders.restock(sku, token: token, quantity: quantity)
    }
  }

  private func add(_ token: Token, _ quantity: Int64, _ bucket: BucketID) async throws(DoorbusterError) -> AddOutcome {
    try await asking(stock: stock) { stock throws(StockError) in
      try await stock.add(token, quantity: quantity, to: bucket)
    }
  }

  private func mismatch(_ sku: SKU, _ token: Token, _ quantity: Int64, first: Int64) -> DoorbusterError {
    let what = first == 0 ? "was given back; use a new token" : "was of \(first) units"
    return DoorbusterError(
      .restockMismatch,
      "\(sku) restock token \(token) with \(quantity) units: the token's first restock \(what)"
    )
  }

  private func short(_ sku: SKU, _ token: Token, _ quantity: Int64, _ why: String) -> DoorbusterError {
    DoorbusterError(
      .restockShort,
      "\(-quantity) units of \(sku) can't be taken off sale by token \(token): \(why); nothing is taken"
    )
  }
}

extension StockError {
  /// Whether a bucket's answer to a restock tells that the bucket does not have it. What its server or the driver refuses
  /// never came before the bucket, which may have it from an earlier sending.
  fileprivate var tellsOfMissingRestock: Bool {
    code == .noBucket || code == .wrongType || code == .tokenMismatch || code == .overflow
  }
}

/// The buckets' tokens of a restock that takes units off sale: one under which they are taken, one under which they are
/// given back. The quantity is part of them, so that a call with another quantity can't touch this one's units.
struct RestockTokens {
  let take: Token
  let giveBack: Token

  init(_ token: Token, quantity: Int64) throws(DoorbusterError) {
    let suffix = Array("\u{0}\(quantity)".utf8)
    do throws(InvalidInput) {
      guard token.bytes.count <= 105 else {
        throw InvalidInput(argument: "token", value: token.bytes, requirement: "1 to 105 bytes for a negative quantity")
      }
      take = try Token(bytes: token.bytes + suffix)
      giveBack = try Token(bytes: token.bytes + suffix + Array("\u{0}back".utf8))
    } catch {
      throw DoorbusterError(error)
    }
  }

  /// The restock whose buckets know it by `take`; nil where that is no such name.
  static func restock(takingBy take: Token) -> (token: Token, quantity: Int64)? {
    guard let end = take.bytes.lastIndex(of: 0), let token = try? Token(bytes: Array(take.bytes[..<end])),
      let quantity = Int64(String(decoding: take.bytes[(end + 1)...], as: UTF8.self)), quantity < 0,
      let tokens = try? RestockTokens(token, quantity: quantity), tokens.take == take
    else { return nil }
    return (token, quantity)
  }
}
