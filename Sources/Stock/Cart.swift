/// So many units of one product, in a cart.
public struct CartLine: Hashable, Sendable {
  public let sku: SKU
  /// Units, 1 to 2^53.
  public let quantity: Int64

  /// - Throws: ``InvalidInput`` for a quantity outside its bounds.
  public init(sku: SKU, quantity: Int64 = 1) throws(InvalidInput) {
    guard (1...StockLimits.quantityMax).contains(quantity) else {
      throw InvalidInput(
        argument: "quantity of \(sku)",
        value: String(quantity).utf8,
        requirement: "1 to 2^53"
      )
    }
    self.sku = sku
    self.quantity = quantity
  }
}

/// Several products in one purchase, all or nothing. The token names the attempt, and is the token of each line.
public struct Cart: Hashable, Sendable {
  public let user: UserID
  public let token: Token
  /// A purchase for each line, in order of the SKUs' bytes, each SKU once; at least one.
  ///
  /// All carts take their units in this order, so of two that want the same last units the one that gets the first of
  /// them gets the others too.
  public let purchases: [Purchase]

  /// Lines of one cart at most.
  public static let linesMax = 32

  /// - Throws: ``InvalidInput`` for a cart without lines or with more than ``linesMax``, or with a product twice.
  public init(user: UserID, token: Token, lines: [CartLine]) throws(InvalidInput) {
    guard (1...Self.linesMax).contains(lines.count) else {
      throw InvalidInput(
        argument: "cart",
        value: "\(lines.count) lines".utf8,
        requirement: "1 to \(Self.linesMax) lines"
      )
    }
    let sorted = lines.sorted { $0.sku.precedes($1.sku) }
    for (line, next) in zip(sorted, sorted.dropFirst()) where line.sku == next.sku {
      throw InvalidInput(argument: "cart", value: line.sku.text.utf8, requirement: "of products that are in it once")
    }
    var purchases: [Purchase] = []
    for line in sorted {
      purchases.append(try Purchase(sku: line.sku, user: user, token: token, quantity: line.quantity))
    }
    self.user = user
    self.token = token
    self.purchases = purchases
  }
}

extension SKU {
  /// The order in which a cart's lines are taken.
  public func precedes(_ other: SKU) -> Bool { text.utf8.lexicographicallyPrecedes(other.text.utf8) }
}
